"""Is the machine busy with something else at this moment?"""

from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch

LEAST_SPEEDUP = 1.3  # of all threads over one: a quiet pair of cores gives 1.7 to 2, a busy one under 1.2
_SIZE, _ROUNDS = 384, 5  # 0.6 ms a product on one core of 2024: 10 ms in all


def machine_is_busy(threads: int, clock: Callable[[], float] = perf_counter) -> bool:
    """Say whether `threads` threads are hardly quicker than one in a matrix product, as when other processes compute.

    The number of torch's threads is put back. False where there is only one thread to ask for."""
    if threads < 2:
        return False
    before, square = torch.get_num_threads(), torch.ones(_SIZE, _SIZE)
    ratios = []
    try:
        for _ in range(1 + _ROUNDS):
            ratios.append(_seconds(square, 1, clock) / _seconds(square, threads, clock))
    finally:
        torch.set_num_threads(before)
    return median(ratios[1:]) < LEAST_SPEEDUP


def _seconds(square: torch.Tensor, threads: int, clock: Callable[[], float]) -> float:
    torch.set_num_threads(threads)
    start = clock()
    square @ square
    return max(clock() - start, 1e-9)
