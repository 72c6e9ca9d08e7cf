"""The recipes' networks as anyone writes them, and what the sides that are plain PyTorch share."""

import numpy as np
import torch
from torch import Tensor, nn

EVALUATION_BATCH = 500


def build_network(recipe: str) -> nn.Sequential:
    """Build a recipe's network: images (B, C, H, W) -> logits (B, 10)."""
    if recipe == "mnist-mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 10))
    if recipe == "mnist-cnn":
        layers = [nn.Conv2d(1, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 10, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(10 * 14 * 14, 10))
    assert recipe == "cifar10-cnn", recipe
    layers = []
    for before, after in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 4 * 4, 10))


def warm_up(recipe: str, image_shape: tuple[int, ...], batch_size: int) -> None:
    """Do four steps on a network that is thrown away, as ours does to estimate how long a run will take."""
    network = build_network(recipe)
    optimizer = torch.optim.Adam(network.parameters())
    images, targets = torch.zeros(batch_size, *image_shape), torch.zeros(batch_size, dtype=torch.int64)
    for _ in range(4):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), targets).backward()
        optimizer.step()


def to_images(pixels: np.ndarray, mean_std: tuple[float, float]) -> Tensor:
    """Normalise pixels (N, H, W[, C]) uint8 at once: (N, C, H, W) float32, contiguous."""
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    mean, std = mean_std
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float()
    return images.mul_(1 / (255 * std)).sub_(mean / std)


def accuracy_of(network: nn.Module, pixels: np.ndarray, targets: np.ndarray, mean_std: tuple[float, float]) -> float:
    """Return the fraction of right answers; not part of any time."""
    network.eval()
    correct = 0
    with torch.inference_mode():
        for start in range(0, len(pixels), EVALUATION_BATCH):
            rows = slice(start, start + EVALUATION_BATCH)
            logits = network(to_images(pixels[rows], mean_std))
            correct += int((logits.argmax(1) == torch.from_numpy(targets[rows])).sum())
    return correct / len(pixels)
