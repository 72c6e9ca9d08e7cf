"""Images one by one, as courses load them: torchvision's data sets hold arrays and make a PIL image of every item."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.works import Work


class Pictures(Dataset[tuple[Any, int]]):
    """The `__getitem__` of torchvision.datasets.MNIST (gray) and CIFAR10 (colour), on arrays."""

    def __init__(self, pixels: np.ndarray, targets: np.ndarray, transform: Callable[[Image.Image], Any]) -> None:
        self.gray = pixels.ndim == 3
        # MNIST keeps tensors, CIFAR10 an array and a list
        self.data = torch.from_numpy(pixels) if self.gray else pixels
        self.targets = torch.from_numpy(targets) if self.gray else targets.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image, target = self.data[index], int(self.targets[index])
        picture = Image.fromarray(image.numpy(), mode="L") if self.gray else Image.fromarray(image)
        return self.transform(picture), target


def build_transform(work: Work, *, training: bool) -> Callable[[Image.Image], Any]:
    """Return the usual chain of torchvision's transforms."""
    channels = 1 if work.data == "mnist" else 3
    mean, std = work.mean_std
    chain: list[Any] = [transforms.ToTensor(), transforms.Normalize((mean,) * channels, (std,) * channels)]
    if work.augment and training:
        chain = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), *chain]
    return transforms.Compose(chain)


def loader(work: Work, pixels: np.ndarray, targets: np.ndarray, *, training: bool, workers: int) -> DataLoader[Any]:
    """Return the usual DataLoader."""
    dataset = Pictures(pixels, targets, build_transform(work, training=training))
    return DataLoader(dataset, batch_size=work.batch_size, shuffle=training, num_workers=workers)
