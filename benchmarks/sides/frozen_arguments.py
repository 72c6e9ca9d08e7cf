"""What the benchmark of frozen networks gives to each of its sides. No torch here."""

import argparse
from pathlib import Path


def arguments_of(description: str | None) -> argparse.Namespace:
    """Read the arguments; a side ignores what has no meaning for it."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--folder", type=Path, required=True, help="with train/ and val/ of class folders")
    parser.add_argument("--weights", required=True, help="a state dict of torchvision's squeezenet1_1")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2, help="of the DataLoader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--solver", action="store_true", help="ours: the head's optimum in place of training it")
    return parser.parse_args()
