"""A first layer that decorrelates patches of the training images, and is not trained.

State dict: `whitening.conv.weight` (frozen), `whitening.conv.bias` (trained). The idea is that of Page 2019 ("How to
Train Your ResNet 8: Bag of Tricks") in the form of Jordan 2024 ("94% on CIFAR-10 in 3.29 Seconds"): every eigenvector
of the patches' second moments once with each sign, so that no activation after it loses a half.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from netwright.config.models import Activation
from netwright.models.layers import ACTIVATIONS

EPS = 5e-4  # added to the eigenvalues: directions in which normalised images hardly vary are not blown up


class Whitening(nn.Module):
    """Images (B, C, H, W) -> activation of (B, 2 · C · k², H - k + 1, W - k + 1), k the patch's side in pixels.

    Until `whiten` is called the filters are those of a fresh convolution."""

    def __init__(self, in_channels: int, size: int, activation: Activation) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, whitening_channels(in_channels, size), size)
        self.conv.weight.requires_grad_(False)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, images: Tensor) -> Tensor:
        return self.activation(self.conv(images))  # type: ignore[no-any-return]


def whitening_channels(in_channels: int, size: int) -> int:
    """Return how many channels come out: two for every number of a patch."""
    return 2 * in_channels * size * size


def whitening_of(model: nn.Module) -> Whitening | None:
    """Return the network's whitening layer, if it has one."""
    return next((module for module in model.modules() if isinstance(module, Whitening)), None)


def whiten(layer: Whitening, images: Iterable[Tensor]) -> None:
    """Set the filters from images (B, C, H, W), as the network sees them, batch after batch.

    Rows of the weight are v / √(λ + EPS) for every eigenvector v of the patches' second moments (not centred: their
    mean is a direction like others), then the same negated. Sums are float64: the order of batches hardly counts."""
    weight = layer.conv.weight
    moments = torch.zeros(weight[0].numel(), weight[0].numel(), dtype=torch.float64)
    num_patches = 0
    for batch in images:
        patches = nn.functional.unfold(batch.detach().float(), weight.shape[2:]).transpose(1, 2).flatten(0, 1).cpu()
        moments += (patches.T @ patches).double()
        num_patches += len(patches)
    eigenvalues, eigenvectors = torch.linalg.eigh(moments / max(num_patches, 1))
    rows = (eigenvectors / (eigenvalues.clamp(min=0) + EPS).sqrt()).T
    largest = rows.gather(1, rows.abs().argmax(dim=1, keepdim=True))
    rows = rows * largest.sign()  # an eigenvector has no sign of its own: which half it lands in must not vary
    with torch.no_grad():
        weight.copy_(torch.cat([rows, -rows]).view(weight.shape))
