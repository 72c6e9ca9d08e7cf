"""The hand-written loop: pixels in memory as bytes, whole batches, sums on tensors, nothing read back in an epoch."""

from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.sides.networks import build_network
from benchmarks.works import LEARNING_RATE

PADDING = 4
AT_ONCE_VALUES = 1_600_000  # pixels made at once, 6 MB: more would leave the processor's caches


class Plain:
    """Rows (B,) int64 -> normalised images (B, C, H, W) float32 in channels_last: one gather, three passes."""

    def __init__(self, pixels: np.ndarray, mean_std: tuple[float, float]) -> None:
        self.pixels = torch.from_numpy(pixels if pixels.ndim == 4 else pixels[..., None])
        self.channels, self.num_values = self.pixels.shape[3], self.pixels[0].numel()
        mean, std = mean_std
        self.scale, self.shift = 1 / (255 * std), -mean / std

    def __call__(self, rows: Tensor) -> Tensor:
        return self.normalise(self.pixels.index_select(0, rows))

    def normalise(self, pixels: Tensor) -> Tensor:
        return pixels.permute(0, 3, 1, 2).float().mul_(self.scale).add_(self.shift)


class CropAndFlip(Plain):
    """The same with a random crop (4 pixels of padding) and a horizontal flip, each sample's own.

    All images are padded once; then gathering and cropping are one: a row of a window is one stretch of memory."""

    def __init__(self, pixels: np.ndarray, mean_std: tuple[float, float]) -> None:
        super().__init__(pixels, mean_std)
        self.size = self.pixels.shape[1]
        self.pixels = functional.pad(self.pixels, (0, 0, PADDING, PADDING, PADDING, PADDING))
        self.padded_size = self.pixels.shape[1]
        length = self.size * self.channels
        self.stretches = self.pixels.as_strided((self.pixels.numel() - length + 1, length), (1, 1))
        self.steps = torch.arange(self.size) * (self.padded_size * self.channels)

    def __call__(self, rows: Tensor) -> Tensor:
        tops, lefts = torch.randint(0, 2 * PADDING + 1, (2, len(rows)))
        firsts = ((rows * self.padded_size + tops) * self.padded_size + lefts) * self.channels
        places = (firsts.unsqueeze(1) + self.steps).flatten()
        cut = self.stretches.index_select(0, places).view(len(rows), self.size, self.size, self.channels)
        flipped = (torch.rand(len(rows)) < 0.5).nonzero().squeeze(1)
        cut.index_copy_(0, flipped, cut.index_select(0, flipped).flip(2))
        return self.normalise(cut)


def build(recipe: str) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Build the network in channels_last and Adam in one kernel."""
    model = build_network(recipe).to(memory_format=torch.channels_last)
    return model, torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)


def train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    make_images: Plain,
    targets: Tensor,
    batch_size: int,
    bf16: bool,
) -> tuple[float, float]:
    """Train one epoch; return its mean loss and accuracy."""
    model.train()
    loss_sum, correct = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.int64)
    for rows in torch.randperm(len(targets)).split(batch_size * batches_at_once(make_images, batch_size)):
        all_images, all_targets = make_images(rows), targets.index_select(0, rows)
        answers = []
        for images, chosen in zip(all_images.split(batch_size), all_targets.split(batch_size), strict=True):
            with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
                logits = model(images)
            loss = functional.cross_entropy(logits.float(), chosen)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            loss_sum += loss.detach() * len(chosen)
            answers.append(logits.detach())
        correct += (torch.cat(answers).argmax(1) == all_targets).sum()
    return float(loss_sum) / len(targets), int(correct) / len(targets)


def batches_at_once(make_images: Plain, batch_size: int) -> int:
    """Return how many batches one gather makes: 32 of 64 MNIST images, where small calls cost more than they do."""
    return max(1, AT_ONCE_VALUES // (batch_size * make_images.num_values))
