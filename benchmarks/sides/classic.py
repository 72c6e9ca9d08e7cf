"""The classic loop as courses write it: PIL images one by one, DataLoader, default layout, Adam, `.item()` every step.

Seconds go from the epoch's first line to its last, the start of the loader's workers included."""

from time import perf_counter

import torch
from torch import nn
from torch.utils.data import DataLoader

from benchmarks.sides.networks import accuracy_of, build_network, warm_up
from benchmarks.sides.pictures import loader
from benchmarks.sides.report import arguments_of, read_arrays, report, work_of
from benchmarks.works import LEARNING_RATE


def main() -> None:
    arguments = arguments_of(__doc__)
    work = work_of(arguments)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    pixels, targets = read_arrays(arguments.npz, "train")
    train_loader = loader(work, pixels, targets, training=True, workers=arguments.workers)
    model = build_network(work.recipe)
    warm_up(work.recipe, tuple(train_loader.dataset[0][0].shape), work.batch_size)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    start = perf_counter()
    for _ in range(work.epochs):
        loss, accuracy = train_epoch(model, optimizer, train_loader)
    seconds = (perf_counter() - start) / work.epochs
    val_accuracy = accuracy_of(model, *read_arrays(arguments.npz, "val"), work.mean_std)
    report(
        seconds,
        val_accuracy,
        ("torch", "torchvision", "pillow"),
        workers=arguments.workers,
        train_loss=loss,
        train_accuracy=accuracy,
    )


def train_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, train_loader: DataLoader) -> tuple[float, float]:
    """Train one epoch where the network is; return its mean loss and accuracy."""
    device = next(model.parameters()).device
    criterion = nn.CrossEntropyLoss()
    model.train()
    running_loss, correct, total = 0.0, 0, 0
    for images, targets in train_loader:
        images, targets = images.to(device, non_blocking=True), targets.to(device, non_blocking=True)
        optimizer.zero_grad()
        logits = model(images)
        loss = criterion(logits, targets)
        loss.backward()
        optimizer.step()
        running_loss += loss.item() * len(targets)
        correct += (logits.argmax(1) == targets).sum().item()
        total += len(targets)
    return running_loss / total, correct / total


if __name__ == "__main__":
    main()
