"""Threads that compute beside each other."""

import threading

import pytest
import torch

from netwright.runtime.threads import share_out, thread_pool


def test_parts_come_back_in_their_order_from_threads_that_compute_alone() -> None:
    def work(part: int) -> tuple[int, int, bool, str]:
        return part * part, torch.get_num_threads(), torch.is_inference_mode_enabled(), threading.current_thread().name

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with torch.inference_mode():
            found = share_out(work, range(50))
        outside = share_out(work, [3])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert [square for square, *_ in found] == [part * part for part in range(50)]
    assert {threads for _, threads, *_ in found} == {1}
    assert all(inference for _, _, inference, _ in found)
    assert not outside[0][2]
    assert threading.current_thread().name not in {name for *_, name in found}


def test_a_failure_in_a_thread_is_raised_and_ends_the_threads() -> None:
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        share_out(lambda part: 1 // part, [2, 1, 0, 1])
    assert threading.active_count() == before


def test_the_threads_of_a_pool_compute_alone_while_the_others_do_not() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with thread_pool(3) as pool:
            assert set(pool.map(lambda part: torch.get_num_threads(), range(100))) == {1}
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
