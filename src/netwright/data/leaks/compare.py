"""Which candidate pairs are twins: laid over each other, do they agree in their details?"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from netwright.data.leaks.candidates import Pairs
from netwright.data.leaks.register import agreement, align, lay_over, window
from netwright.runtime.threads import share_out

_BLUR, _MORE_BLUR = 0.8, 1.0  # pixels (standard deviation); the second is about what halving the size does
_BATCH = 512


@dataclass(frozen=True)
class Limits:
    """From which agreement on two images are twins: `coarse` at half the size, `fine` of the details."""

    coarse: float = 0.9
    fine: float = 0.955


def verify(thumbnails: Tensor, candidates: Pairs, limits: Limits) -> tuple[Pairs, Tensor]:
    """Return the candidates that are twins and how well their details agree, (P,) float32 up to 1.

    `thumbnails` are gray, (N, h, w) uint8. First at half the size in 2 steps of alignment, which leaves about a sixth;
    these at full size in 4."""
    candidates = candidates.take(rough_agreement(thumbnails, candidates) > limits.coarse)
    agreements = fine_agreement(thumbnails, candidates)
    twins = agreements > limits.fine
    return candidates.take(twins), agreements[twins]


def choose_limits(thumbnails: Tensor, neighbours: Pairs) -> Limits:
    """Return limits for a set of images, from pairs that are alike and, being far from the likest, hardly twins.

    Two handwritten ones, laid over each other, agree to 0.97, two photographs to 0.7: so a twin's disagreement has to
    be a sixth of what 98 % of these pairs reach. On CIFAR-10 that leaves 0.955, on MNIST it gives 0.996: 16 pairs where
    0.955 gave 132,000. docs/data.md has what was judged by eye."""
    if not len(neighbours):
        return Limits()
    coarse = torch.quantile(rough_agreement(thumbnails, neighbours), 0.98).item()
    fine = torch.quantile(fine_agreement(thumbnails, neighbours), 0.98).item()
    # never above 0.996: where even these are twins, as in a video, the likest are still to be found
    return Limits(max(0.9, min(0.99, 1 - (1 - coarse) / 1.5)), max(0.955, min(0.996, 1 - (1 - fine) / 6)))


def rough_agreement(thumbnails: Tensor, pairs: Pairs) -> Tensor:
    """Return the correlation (P,) of pairs at half the size, laid over each other."""
    return _in_batches(halved(thumbnails), pairs, _sharp, _rough)


def fine_agreement(thumbnails: Tensor, pairs: Pairs) -> Tensor:
    """Return the agreement (P,) of the details of pairs, see `detail`."""
    return _in_batches(thumbnails, pairs, _smooth, detail)


def _rough(first: Tensor, second: Tensor) -> Tensor:
    return agreement(first, second, align(first, second, 2))


def detail(first: Tensor, second: Tensor) -> Tensor:
    """Return the correlation (P,) of the gradients of images (P, h, w) laid over each other.

    Gradients, since two ships between sky and sea agree to 0.97 in their pixels and to 0.5..0.9 in these. The better of
    three: as they are, the first one blurred, the second one blurred, for a copy that was made smaller in between has
    lost its finest details."""
    moved = lay_over(second, align(first, second))
    weight = window(first.shape[1], first.shape[2])
    plain, blurred = _slopes(first), _slopes(blur(first, _MORE_BLUR))
    plain_moved, blurred_moved = _slopes(moved), _slopes(blur(moved, _MORE_BLUR))
    ways = ((plain, plain_moved), (blurred, plain_moved), (plain, blurred_moved))
    return torch.stack([_correlation(a, b, weight) for a, b in ways]).amax(0)


def _slopes(images: Tensor) -> Tensor:
    return torch.stack(torch.gradient(images, dim=(1, 2)), dim=1)


def _correlation(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Return the cosine of two fields of gradients (P, 2, h, w), 0 where one has none."""
    energy = (first.square() * weight).sum((1, 2, 3)) * (second.square() * weight).sum((1, 2, 3))
    return (first * second * weight).sum((1, 2, 3)) / (energy + 1e-9).sqrt()


def blur(images: Tensor, deviation: float) -> Tensor:
    """Return images (P, h, w) under a Gaussian of 5 × 5 pixels; beyond the border they repeat."""
    return _wave(images.shape[1], deviation) @ images @ _wave(images.shape[2], deviation).T


def _wave(size: int, deviation: float) -> Tensor:
    """Return the Gaussian as a matrix (size, size): a product of 32 × 32 is 10 times faster than conv2d here."""
    matrix = torch.zeros(size, size)
    taps = torch.exp(-(torch.arange(-2.0, 3.0) ** 2) / (2 * deviation**2))
    rows = torch.arange(size)
    for step, tap in zip(range(-2, 3), (taps / taps.sum()).tolist(), strict=True):
        matrix.index_put_((rows, (rows + step).clamp(0, size - 1)), torch.tensor(tap), accumulate=True)
    return matrix


def halved(thumbnails: Tensor) -> Tensor:
    """Return thumbnails (N, h, w) uint8 at half the size, uint8."""
    height, width = thumbnails.shape[1] // 2, thumbnails.shape[2] // 2
    made = torch.empty((len(thumbnails), height, width), dtype=torch.uint8)
    for some, half in zip(torch.split(thumbnails, _BATCH), torch.split(made, _BATCH), strict=True):
        whole = some[:, : 2 * height, : 2 * width].to(torch.int16)
        rows = whole[:, 0::2] + whole[:, 1::2]
        half.copy_((rows[:, :, 0::2] + rows[:, :, 1::2] + 2) // 4)
    return made


def _sharp(images: Tensor) -> Tensor:
    return images


def _smooth(images: Tensor) -> Tensor:
    return blur(images, _BLUR)


def _in_batches(
    thumbnails: Tensor,
    pairs: Pairs,
    arrange: Callable[[Tensor], Tensor],
    measure: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Measure pairs 512 at a time: their floats stay in a core's cache, and all of CIFAR-10's would be 245 MB."""

    def of_batch(part: Pairs) -> Tensor:
        first, second = (arrange(thumbnails[rows].to(torch.float32)) for rows in (part.first, part.second))
        return measure(first, torch.where(part.mirrored[:, None, None], second.flip(2), second))

    batches = (pairs.take(rows) for rows in torch.split(torch.arange(len(pairs)), _BATCH))
    return torch.cat(share_out(of_batch, batches)) if len(pairs) else torch.empty(0)
