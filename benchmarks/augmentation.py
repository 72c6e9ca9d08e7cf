"""What each random transform costs an image, beside torchvision's own transform of one image after the other.

    python benchmarks/augmentation.py [--size 224] [--batch-size 64] [--rounds 7] [--json]

One thread, seconds of the processor, uint8 in and out, the two sides in turns; medians over the rounds. torchvision's
transforms are v2, on (3, H, W) uint8 tensors, which is their quicker form, stacked to the batch that a training needs.
Mixing is of finished float batches, where
torchvision too works on the batch.
"""

import argparse
import json
from collections.abc import Callable
from statistics import median
from time import process_time
from typing import Any

import torch
from torchvision.transforms import v2

from netwright.config import augmentations as parts
from netwright.data.augment import build_augmentation, build_mixer
from netwright.runtime.allocator import keep_large_blocks

PAIRS: list[tuple[parts.Augmentation, Any]] = [
    (parts.HorizontalFlip(), v2.RandomHorizontalFlip()),
    (parts.Rotation(), v2.RandomRotation(15, interpolation=v2.InterpolationMode.BILINEAR)),
    (parts.Affine(), v2.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), interpolation=v2.InterpolationMode.BILINEAR)),
    (parts.ColorJitter(hue=0.1), v2.ColorJitter(0.2, 0.2, 0.2, 0.1)),
    (parts.Grayscale(p=0.5), v2.RandomGrayscale(0.5)),
    (parts.GaussianBlur(p=1.0), v2.GaussianBlur(9)),
    (parts.RandomErasing(fill="black"), v2.RandomErasing()),
    (parts.RandAugment(), v2.RandAugment()),
    (parts.TrivialAugmentWide(), v2.TrivialAugmentWide()),
]
MIXING: list[tuple[parts.Mixing, Any]] = [
    (parts.MixUp(), v2.MixUp(alpha=0.2, num_classes=10)),
    (parts.CutMix(), v2.CutMix(num_classes=10)),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_large_blocks()  # for both: new pages for every large tensor cost more than some of the transforms
    found = [*transforms(given), *mixing(given)]
    if given.json:
        print(json.dumps(found))
        return
    print(f"µs an image of {given.size} × {given.size} × 3, batches of {given.batch_size}, one thread")
    for row in found:
        print(f"  {row['name']:22} ours {row['ours']:7.1f}   torchvision {row['theirs']:7.1f}   {row['ratio']:5.2f} ×")


def transforms(given: argparse.Namespace) -> list[dict[str, Any]]:
    size, count = given.size, given.batch_size
    coarse = torch.rand((count, 3, size // 8, size // 8), generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")
    images = (smooth * 255).to(torch.uint8)
    pixels, rows = images.permute(0, 2, 3, 1).contiguous(), torch.arange(count)
    found = []
    for part, theirs in PAIRS:
        augment = build_augmentation((part,), 0, (size, size))
        assert augment is not None
        epochs = iter(range(10**9))
        ours = lambda augment=augment, epochs=epochs: augment(pixels, next(epochs), rows)
        one_by_one = lambda theirs=theirs: torch.stack([theirs(image) for image in images])
        found.append(compared(part.name, ours, one_by_one, given))
    return found


def mixing(given: argparse.Namespace) -> list[dict[str, Any]]:
    images = torch.randn(given.batch_size, 3, given.size, given.size).contiguous(memory_format=torch.channels_last)
    targets, rows = torch.arange(given.batch_size) % 10, torch.arange(given.batch_size)
    found = []
    for part, theirs in MIXING:
        mixer = build_mixer((part,), 0, 10)
        assert mixer is not None
        ours = lambda mixer=mixer: mixer(images, targets, 1, rows)
        found.append(compared(part.name, ours, lambda theirs=theirs: theirs(images, targets), given))
    return found


def compared(
    name: str, ours: Callable[[], object], theirs: Callable[[], object], given: argparse.Namespace
) -> dict[str, Any]:
    """Run both in turns, once each beforehand; microseconds an image and theirs over ours."""
    pairs = []
    for place in range(given.rounds + 1):
        pair = []
        for side in (ours, theirs):
            started = process_time()
            side()
            pair.append((process_time() - started) / given.batch_size * 1e6)
        if place:
            pairs.append(pair)
    return {
        "name": name,
        "ours": median(pair[0] for pair in pairs),
        "theirs": median(pair[1] for pair in pairs),
        "ratio": median(pair[1] / pair[0] for pair in pairs),
    }


if __name__ == "__main__":
    main()
