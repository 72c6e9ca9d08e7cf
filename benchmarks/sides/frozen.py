"""What the sides of `pretrained.py` share: frozen SqueezeNet, a linear head, photographs one by one."""

import argparse
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import models, transforms
from torchvision.datasets import ImageFolder

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZE = 224


def build_network(weights: str, num_classes: int) -> nn.Module:
    """Return the network as courses make it: weights loaded, everything frozen, a new head on the mean over places."""
    network = models.squeezenet1_1()
    network.load_state_dict(torch.load(weights, weights_only=True))
    for parameter in network.parameters():
        parameter.requires_grad = False
    network.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, num_classes))
    return network


def loaders(arguments: argparse.Namespace) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Return the usual loaders of train and val: ImageFolder, resize, centre crop, normalise; no augmentation."""
    steps = [
        transforms.Resize(256),
        transforms.CenterCrop(SIZE),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
    sets = [ImageFolder(arguments.folder / split, transforms.Compose(steps)) for split in ("train", "val")]
    settings = {"batch_size": arguments.batch_size, "num_workers": arguments.workers}
    return DataLoader(sets[0], shuffle=True, **settings), DataLoader(sets[1], **settings)
