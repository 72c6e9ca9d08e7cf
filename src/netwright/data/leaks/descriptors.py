"""What of an image stays when it is re-encoded, resized, brightened or mirrored: low frequencies, made comparable."""

from dataclasses import dataclass

import torch
from torch import Tensor

FREQUENCIES = 6
_FLAT = 1.0  # standard deviation in gray levels under which an image shows nothing that could be compared
_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Descriptors:
    """Unit vectors of N images: `even` and `odd` (N, ·) are the parts that a mirror keeps and whose sign it changes.

    So the similarity of two images is even·even' + odd·odd', and that with the second one's mirror image even·even' -
    odd·odd'. `comparable` (N,) bool: false where an image is one flat colour."""

    even: Tensor
    odd: Tensor
    comparable: Tensor

    def __len__(self) -> int:
        return len(self.even)


def describe(thumbnails: Tensor) -> Descriptors:
    """Return the descriptors of gray thumbnails (N, h, w) uint8.

    The lowest 6 × 6 frequencies of the cosine transform without the mean, divided by their norm (so neither brightness
    nor contrast counts), then each brought to mean 0 and standard deviation 1 over these images and divided by the norm
    again: what all the images of a set have in common does not make two of them alike. Measured on CIFAR-10 with 5 %
    cut from every side: at 3 candidates an image 100 % are among them, 93 % without the second division."""
    coefficients, comparable = _coefficients(thumbnails)
    known = coefficients if bool(comparable.all()) else coefficients[comparable]
    if len(known):
        mean, std = known.mean(0), known.std(0, correction=0)
        coefficients.sub_(mean).div_(std.clamp_min(0.1 * float(std.max()) + 1e-9))
    unit = coefficients.div_(coefficients.norm(dim=1, keepdim=True).clamp_min(1e-9))
    unit[~comparable] = 0
    across = torch.arange(FREQUENCIES * FREQUENCIES)[1:] % FREQUENCIES  # cos(π k (x + ½) / w) mirrored: (-1)^k
    return Descriptors(unit[:, across % 2 == 0].contiguous(), unit[:, across % 2 == 1].contiguous(), comparable)


def _coefficients(thumbnails: Tensor) -> tuple[Tensor, Tensor]:
    """Return (N, 35) unit vectors of cosine coefficients, and which images (N,) are not flat."""
    _, height, width = thumbnails.shape
    down, across = cosines(height, FREQUENCIES), cosines(width, FREQUENCIES)
    made = torch.empty(len(thumbnails), FREQUENCIES * FREQUENCIES - 1)
    comparable = torch.empty(len(thumbnails), dtype=torch.bool)
    blocks = (torch.split(whole, _BLOCK) for whole in (thumbnails, made, comparable))
    for some, part, is_comparable in zip(*blocks, strict=True):
        part.copy_((down @ some.to(torch.float32) @ across.T).flatten(1)[:, 1:])
        norm = part.norm(dim=1, keepdim=True)
        is_comparable.copy_(norm[:, 0] > _FLAT * (height * width) ** 0.5)
        part.div_(norm.clamp_min(1e-9))
    return made, comparable


def cosines(size: int, count: int) -> Tensor:
    """Return the first orthonormal vectors of the cosine transform DCT-II, (count, size)."""
    place = torch.arange(size, dtype=torch.float64) + 0.5
    waves = torch.cos(torch.pi / size * torch.arange(count, dtype=torch.float64)[:, None] * place)
    unit: Tensor = waves / waves.norm(dim=1, keepdim=True).clamp_min(1e-9)
    return unit.to(torch.float32)
