"""In which order an epoch shows the samples: a pure function of (seed, epoch).

What is shown is a *visit*: row + times * (number of rows in the data), `times` being how often the epoch has shown the
row before. Random transforms are drawn for the visit, so that a row that comes again in an epoch looks different;
`visit % number` is the row.
"""

import numpy as np
import torch
from torch import Tensor

from netwright.data.labelled import Rows
from netwright.runtime.randomness import generator


def shuffled(rows: Tensor, seed: int, epoch: int) -> Tensor:
    """Return rows (N,) in the order of an epoch: `torch.randperm` under (seed, "order", epoch)."""
    return rows[torch.randperm(len(rows), generator=generator(seed, "order", epoch))]


def balanced(rows: Tensor, targets: Rows, seed: int, epoch: int) -> Tensor:
    """Return N visits for an epoch (from 1) of rows (N,), every class as often as the others to within one, shuffled.

    `targets` are of all rows of the data. Each class goes round and round through its rows, each round in an order of
    its own, and an epoch takes up where the one before it left: none is shown again before all of its class were,
    within an epoch or across. So small classes are repeated, and of large ones an epoch has a part. Classes without
    rows are left out."""
    of_rows = targets[rows.numpy()]
    classes = np.unique(of_rows).tolist()
    chosen = []
    for place, number in enumerate(classes):
        # sum over places of floor((n + place) / K) is n (Hermite): the shares of an epoch add up to N exactly
        first, end = (((epoch - back) * len(rows) + place) // len(classes) for back in (1, 0))
        order, times = _stretch(rows[torch.from_numpy(of_rows == number)], first, end, seed, number)
        chosen.append(order + times * len(targets))
    return shuffled(torch.cat(chosen), seed, epoch)


def _stretch(members: Tensor, first: int, end: int, seed: int, number: int) -> tuple[Tensor, Tensor]:
    """Return places `first` ... `end` - 1 of an endless row of shuffled rounds, and how often each was there before."""
    size = len(members)
    drawn = [
        members[torch.randperm(size, generator=generator(seed, "class order", number, each))]
        for each in range(first // size, end // size + 1)
    ]
    start = first % size
    order = torch.cat(drawn)[start : start + end - first]
    by_row = order.argsort(stable=True)  # equal rows stay in the order in which they come
    ordered = order[by_row]
    times = torch.arange(len(order)) - torch.searchsorted(ordered, ordered)  # minus the place of the first of them
    return order, torch.empty_like(times).scatter_(0, by_row, times)
