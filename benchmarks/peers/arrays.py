"""What the peers share: their loaders of pictures, of tensors, and (--tuned) of whole batches of tensors."""

import argparse
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, TensorDataset

from benchmarks.sides.networks import to_images
from benchmarks.sides.pictures import loader
from benchmarks.sides.report import read_arrays
from benchmarks.works import Work


def whole_batches(dataset: Dataset[Any], num_images: int, batch_size: int) -> DataLoader[Any]:
    """Return a loader that asks the data set for a list of rows at a time: the quickest of torch's own DataLoader."""
    rows = BatchSampler(RandomSampler(range(num_images)), batch_size, drop_last=False)
    return DataLoader(dataset, sampler=rows, batch_size=None)


def training_loader(work: Work, arguments: argparse.Namespace) -> DataLoader[Any]:
    """Return tensors normalised beforehand (--in-memory; not part of the time), or PIL images one by one."""
    pixels, targets = read_arrays(arguments.npz, "train")
    if not arguments.in_memory:
        return loader(work, pixels, targets, training=True, workers=arguments.workers)
    images, chosen = training_tensors(work, arguments)
    dataset = TensorDataset(images, chosen)
    if arguments.tuned:
        return whole_batches(dataset, len(images), work.batch_size)
    return DataLoader(dataset, batch_size=work.batch_size, shuffle=True)


def training_tensors(work: Work, arguments: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Return normalised images (N, C, H, W) float32 and targets (N,) int64."""
    pixels, targets = read_arrays(arguments.npz, "train")
    return to_images(pixels, work.mean_std), torch.from_numpy(targets)
