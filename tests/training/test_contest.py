"""Contests under a clock of the test's own: who wins, who does not, and what may be spent."""

from collections.abc import Callable, Iterator
from itertools import cycle, repeat

import pytest

from netwright.training.contest import MOST_ROUNDS, Contest, hold_contest


class Clock:
    """A clock that only its steps move."""

    def __init__(self) -> None:
        self.now = 100.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now

    def step(self, name: str, seconds: Iterator[float]) -> Callable[[], None]:
        def run() -> None:
            self.log.append(name)
            self.now += next(seconds)

        return run


def contest(plain: Iterator[float], other: Iterator[float], budget_seconds: float) -> tuple[Contest, Clock, float]:
    clock = Clock()
    held = hold_contest(clock.step("plain", plain), clock.step("other", other), budget_seconds, clock)
    return held, clock, clock.now - 100.0


def test_a_clear_winner_wins_by_its_factor() -> None:
    held, _, _ = contest(repeat(0.03), repeat(0.02), 10.0)
    assert held.verdict == "other" and held.gain == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(0.0195, "plain"), (0.0185, "other"), (0.02, "plain"), (0.1, "plain")]
)
def test_less_than_five_percent_is_no_win(seconds: float, verdict: str) -> None:
    assert contest(repeat(0.02), repeat(seconds), 10.0)[0].verdict == verdict


def test_rounds_that_disagree_are_noise() -> None:
    held, _, _ = contest(repeat(0.02), cycle([0.01, 0.05, 0.012]), 10.0)
    assert held.gain > 1.05 and held.verdict == "noisy"


def test_a_gain_below_the_spread_is_noise() -> None:
    """Quicker in every round, by 2 % to 60 %: nobody knows by how much the next."""
    ratios = (1.02, 1.6, 1.03, 1.5, 1.12, 1.04, 1.55, 1.02, 1.12)
    assert Contest(ratios, (1.0,) * 9).verdict == "noisy"


def test_a_gain_of_a_quarter_and_more_in_every_round_wins_whatever_its_spread() -> None:
    assert Contest((14.5, 12.0, 3.9, 13.0, 1.9, 1.4, 1.3, 3.2, 17.0), (1.0,) * 9).verdict == "other"
    assert Contest((14.5, 12.0, 3.9, 13.0, 1.9, 1.1, 1.1, 1.1, 17.0), (1.0,) * 9).verdict == "noisy"


def test_one_lost_round_among_nine_does_not_take_the_win_away() -> None:
    assert Contest((2.0,) * 8 + (0.5,), (1.0,) * 9).verdict == "other"
    assert Contest((2.0,) * 7 + (0.5,) * 2, (1.0,) * 9).verdict == "noisy"


def test_the_two_take_turns() -> None:
    _, clock, _ = contest(repeat(0.02), repeat(0.02), 10.0)
    assert clock.log == ["plain", "other"] * (2 + MOST_ROUNDS)


def test_short_steps_are_bundled_to_turns_that_a_clock_can_read() -> None:
    _, clock, _ = contest(repeat(0.0005), repeat(0.0005), 10.0)
    assert "".join(name[0] for name in clock.log[4:]) == ("p" * 8 + "o" * 8) * MOST_ROUNDS


@pytest.mark.parametrize("budget_seconds", [0.1, 0.3, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("step_seconds", [0.001, 0.01, 0.03, 0.2, 2.0])
def test_the_budget_is_kept(step_seconds: float, budget_seconds: float) -> None:
    """What can't be known before is the first step alone."""
    held, clock, spent = contest(repeat(step_seconds), repeat(1.1 * step_seconds), budget_seconds)
    assert spent <= max(budget_seconds, step_seconds) + 1e-9
    fits = budget_seconds >= 16 * 1.1 * step_seconds
    assert held.verdict == "plain" if fits else len(clock.log) <= 2 + 2 + 10


def test_what_is_far_slower_is_given_up_after_three_rounds() -> None:
    held, clock, _ = contest(repeat(0.02), repeat(0.2), 100.0)
    assert held.verdict == "plain" and len(held.plain) == 3 and clock.log.count("other") == 5


@pytest.mark.parametrize(("budget_seconds", "verdict"), [(0.515, "other"), (0.4, "unheard")])
def test_an_overwhelming_gain_is_seen_in_one_round(budget_seconds: float, verdict: str) -> None:
    """Two threads took 0.237 s a step beside other programs, one 0.006: 5 % of the run were two rounds."""
    held, _, spent = contest(repeat(0.237), repeat(0.006), budget_seconds)
    assert held.verdict == verdict and spent <= budget_seconds


def test_an_overwhelming_gain_in_some_rounds_only_is_none() -> None:
    assert Contest((39.0, 1.1), (1.0,) * 2).verdict == "unheard"
