"""Whether the machine is busy, by a clock of the test's own."""

import pytest
import torch

from netwright.runtime.load import machine_is_busy


class Clock:
    """A clock on which a product takes what `seconds` says for the threads that torch has at that moment."""

    def __init__(self, seconds: dict[int, float]) -> None:
        self.now, self.calls, self.seconds = 0.0, 0, seconds

    def __call__(self) -> float:
        self.calls += 1
        if self.calls % 2 == 0:  # the end of a product
            self.now += self.seconds[torch.get_num_threads()]
        return self.now


@pytest.mark.parametrize(("two_threads", "busy"), [(0.55, False), (0.75, False), (0.95, True), (30.0, True)])
def test_two_threads_that_gain_nothing_mean_a_busy_machine(two_threads: float, busy: bool) -> None:
    before = torch.get_num_threads()
    assert machine_is_busy(2, Clock({1: 1.0, 2: two_threads})) is busy
    assert torch.get_num_threads() == before


def test_one_thread_says_nothing() -> None:
    clock = Clock({1: 1.0})
    assert not machine_is_busy(1, clock) and not clock.calls
