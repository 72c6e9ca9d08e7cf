"""Pairs of images that may be twins: all against all by one matrix product in blocks, the likest few an image."""

from dataclasses import dataclass

import torch
from torch import Tensor

from netwright.data.leaks.descriptors import Descriptors
from netwright.runtime.threads import share_out

PER_IMAGE, AT_LEAST = 3, 100_000  # pairs: of few images more each are affordable, and one may have many copies
LOWEST = 0.6
RANK = 20  # the neighbours that are alike and hardly twins
_BLOCK = 768  # rows, columns: two blocks of 2.4 MB stay in a core's cache
_SAMPLE, _TOGETHER = 256, 16
_PAIRS_TOGETHER = 2**14


@dataclass(frozen=True, eq=False)
class Pairs:
    """P pairs of rows (P,) int64; `mirrored` (P,) bool: the second is compared as a mirror image."""

    first: Tensor
    second: Tensor
    mirrored: Tensor

    def __len__(self) -> int:
        return len(self.first)

    def take(self, kept: Tensor) -> "Pairs":
        """Return the pairs of an index or a mask."""
        return Pairs(self.first[kept], self.second[kept], self.mirrored[kept])


@dataclass(frozen=True, eq=False)
class Outlook:
    """What 256 evenly spaced images say of all: `limit`, the similarity that a few others of an image reach on average,
    and each one's 20th neighbour."""

    limit: float
    neighbours: Pairs


def look_out(descriptors: Descriptors) -> Outlook:
    """Compare 256 evenly spaced images with all; the limit is never under 0.6."""
    count = len(descriptors)
    sample = min(count, _SAMPLE)
    rows = torch.arange(sample) * count // sample
    per_image = max(PER_IMAGE, AT_LEAST / max(1, count))
    wanted = min(sample * count, max(1, round(per_image * sample)))
    rank = min(RANK, count // 4)
    likest, others = torch.empty(0), []
    for some in torch.split(rows, _TOGETHER):  # a row has N numbers, and there are two to four of it meanwhile
        odd = descriptors.odd[some] @ descriptors.odd.T
        similar = torch.addmm(odd.abs_(), descriptors.even[some], descriptors.even.T)
        similar[torch.arange(len(some)), some] = -1
        others.append(similar.topk(rank, dim=1).indices[:, -1:])
        likest = torch.cat([likest, similar.flatten()])
        likest = likest.topk(min(wanted, len(likest))).values
    limit = max(LOWEST, float(likest.min()))
    if rank == 0:
        return Outlook(limit, pairs_of(descriptors, rows[:0], rows[:0]))
    other = torch.cat(others)[:, 0]
    known = descriptors.comparable[rows] & descriptors.comparable[other]
    return Outlook(limit, pairs_of(descriptors, rows[known], other[known]))


def pairs_of(descriptors: Descriptors, first: Tensor, second: Tensor) -> Pairs:
    """Return pairs in the orientation in which they are more alike."""
    odd = descriptors.odd
    parts = zip(torch.split(first, _PAIRS_TOGETHER), torch.split(second, _PAIRS_TOGETHER), strict=True)
    mirrored = [(odd[some] * odd[others]).sum(1) < 0 for some, others in parts]
    return Pairs(first, second, torch.cat(mirrored))


def find_candidates(descriptors: Descriptors, limit: float) -> Pairs:
    """Return the pairs, `first` < `second`, whose similarity in either orientation reaches the limit.

    N²/2 · 35 multiply-adds (both orientations from one product); memory is that of a block a thread and of what is
    found."""
    tops = range(0, len(descriptors), _BLOCK)
    found = share_out(lambda top: _beside(descriptors, limit, top), tops)
    return pairs_of(descriptors, *(torch.cat([part[side] for part in found]) for side in (0, 1)))


def _beside(descriptors: Descriptors, limit: float, top: int) -> tuple[Tensor, Tensor]:
    """Compare the rows of one block with themselves and all rows after them."""
    count = len(descriptors)
    rows = slice(top, min(count, top + _BLOCK))
    even, odd = torch.empty(_BLOCK * _BLOCK), torch.empty(_BLOCK * _BLOCK)
    found = []
    for left in range(top, count, _BLOCK):
        columns = slice(left, min(count, left + _BLOCK))
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        plain, turned = (part[: shape[0] * shape[1]].view(shape) for part in (even, odd))
        torch.mm(descriptors.even[rows], descriptors.even[columns].T, out=plain)
        torch.mm(descriptors.odd[rows], descriptors.odd[columns].T, out=turned)
        found.append(_above(plain, turned, limit, top, left))
    return torch.cat([part[0] for part in found]), torch.cat([part[1] for part in found])


def _above(even: Tensor, odd: Tensor, limit: float, top: int, left: int) -> tuple[Tensor, Tensor]:
    """Return the pairs of a block whose similarity, the better of both orientations, reaches the limit.

    Rows that have none are left out first: 3 passes over the block in place of 6 (3 s in place of 11 on CIFAR-10)."""
    likest = torch.add(even, odd.abs_(), out=even)
    hits = (likest.amax(1) >= limit).nonzero()[:, 0]
    at = (likest[hits] >= limit).nonzero()
    row, column = hits[at[:, 0]], at[:, 1]
    first, second = row + top, column + left
    kept = first < second
    return first[kept], second[kept]
