"""Which of two ways to compute a step is quicker: measured in turns, and judged only where the rounds agree."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Literal

Clock = Callable[[], float]  # seconds, such as time.perf_counter
Step = Callable[[], None]  # runs one step and waits for its end

LEAST_GAIN = 1.05  # a challenger must be so many times quicker
SURE_GAIN = 1.25  # so much in three of four rounds is a win, whatever the spread
OVERWHELMING_GAIN = 4.0  # so much in every round there was is a win, be it one: two threads beside others took 39 times
LEAST_ROUNDS, MOST_ROUNDS = 5, 9
TURN_SECONDS = 0.004  # a turn is as many steps as take so long: the clock and the scheduler blur shorter ones


@dataclass(frozen=True)
class Contest:
    """Seconds a step of two ways, one pair a round."""

    plain: tuple[float, ...] = ()
    other: tuple[float, ...] = ()
    given_up: bool = False  # so much slower that the rest of the rounds was spared

    @property
    def gain(self) -> float:
        """How many times quicker the other way is, the median over the rounds; 1 when there were none."""
        return math.exp(median(self._logs)) if self.plain else 1.0

    @property
    def verdict(self) -> Literal["other", "plain", "noisy", "unheard"]:
        """`other` for a clear winner, `plain` for a clear loser, `noisy` in between, `unheard` with too few rounds.

        A winner gains 5 % in the median and is quicker in all rounds but one in six; and their interquartile range
        (of logarithms) is below the gain, or the gain is a quarter and more in three of four rounds: two threads on a
        busy machine took 3 to 17 times one thread's time. A loser gains less than 5 % in three of four rounds. Four
        times as quick in every round is a win whatever their number: that slow, few rounds fit."""
        if self.given_up:
            return "plain"
        if self.plain and min(self._logs) >= math.log(OVERWHELMING_GAIN):
            return "other"
        if len(self.plain) < LEAST_ROUNDS:
            return "unheard"
        logs = self._logs
        low, middle, high = quantiles(logs, n=4, method="inclusive")
        losses = sum(log <= 0 for log in logs)
        agreed = losses <= len(logs) // 6 and (high - low <= middle or low >= math.log(SURE_GAIN))
        if middle >= math.log(LEAST_GAIN) and agreed:
            return "other"
        return "plain" if high < math.log(LEAST_GAIN) else "noisy"

    @property
    def _logs(self) -> list[float]:
        return [math.log(plain / other) for plain, other in zip(self.plain, self.other, strict=True)]


def hold_contest(plain: Step, other: Step, budget_seconds: float, clock: Clock) -> Contest:
    """Let two steps run in turns, A B A B …, for at most `budget_seconds`; the first step of each warms it up.

    Ends early when fewer than 5 rounds fit, after one more if the first steps were overwhelming, or when the first 3
    show the other more than 20 % slower."""
    started = clock()
    first = _turn(plain, 1, clock)
    if 2 * first > budget_seconds:
        return Contest()
    overwhelming = first >= OVERWHELMING_GAIN * _turn(other, 1, clock)
    taken = clock() - started
    if (2 * taken if overwhelming else taken * (1 + LEAST_ROUNDS)) > budget_seconds:
        return Contest()
    once = _turn(plain, 1, clock), _turn(other, 1, clock)
    if overwhelming and sum(once) * LEAST_ROUNDS > budget_seconds - (clock() - started):
        return _contest([once])
    number = max(1, math.ceil(TURN_SECONDS / min(once)))
    rounds: list[tuple[float, float]] = []
    longest = number * sum(once)
    while len(rounds) < MOST_ROUNDS and clock() - started + longest <= budget_seconds:
        begun = clock()
        rounds.append((_turn(plain, number, clock), _turn(other, number, clock)))
        longest = max(longest, clock() - begun)
        missing = LEAST_ROUNDS - len(rounds)
        if missing > 0 and clock() - started + missing * longest > budget_seconds:
            break
        if len(rounds) == 3 and all(other > 1.2 * plain for plain, other in rounds):
            return _contest(rounds, given_up=True)
    return _contest(rounds)


def _contest(rounds: list[tuple[float, float]], given_up: bool = False) -> Contest:
    return Contest(tuple(plain for plain, _ in rounds), tuple(other for _, other in rounds), given_up)


def _turn(step: Step, number: int, clock: Clock) -> float:
    start = clock()
    for _ in range(number):
        step()
    return max(clock() - start, 1e-9) / number
