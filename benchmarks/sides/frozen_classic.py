"""The classic loop on photographs: the frozen network is run again over train and val in every epoch."""

from time import perf_counter

import torch
from torch import nn

from benchmarks.sides.classic import train_epoch
from benchmarks.sides.frozen import build_network, loaders
from benchmarks.sides.frozen_arguments import arguments_of
from benchmarks.sides.report import report


def main() -> None:
    arguments = arguments_of(__doc__)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    train_loader, val_loader = loaders(arguments)
    network = build_network(arguments.weights, len(train_loader.dataset.classes))
    optimizer = torch.optim.Adam(network.classifier.parameters(), lr=arguments.lr)
    seconds, best = [], 0.0
    for _ in range(arguments.epochs):
        start = perf_counter()
        train_epoch(network, optimizer, train_loader)
        best = max(best, validate(network, val_loader))
        seconds.append(perf_counter() - start)
    report(sum(seconds), best, ("torch", "torchvision", "pillow"), epoch_seconds=min(seconds))


@torch.no_grad()
def validate(network: nn.Module, val_loader: torch.utils.data.DataLoader) -> float:
    """Return the accuracy on val."""
    network.eval()
    correct = sum((network(images).argmax(1) == targets).sum().item() for images, targets in val_loader)
    return correct / len(val_loader.dataset)


if __name__ == "__main__":
    main()
