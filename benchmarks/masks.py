"""What a training step on masks costs beside a loop written by hand for this one case.

    python -m benchmarks.masks [--size 512] [--window 256] [--width 16] [--rounds 7] [--threads 2] [--json]

The same U-Net, windows and mirrored images, AdamW and cross-entropy on both sides. The loop by hand keeps images and
masks in memory, cuts each window by slicing, and runs in channels_last with the fused optimizer, in bf16 where
the hardware has it: what is quickest on a CPU. One epoch of 24 images a side and round, in turns; seconds of the
processor, medians.
"""

import argparse
import copy
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from netwright.config.recipe import Recipe
from netwright.runtime.machine import choose_machine, hardware_bf16
from netwright.training.clock import Clock
from netwright.training.fit import train_epoch
from netwright.workflows.build import build_plan, build_state, build_task, open_prepared, resolve
from netwright.workflows.own import Own
from netwright.workflows.plan import plan_recipe

NUM_IMAGES, BATCH, SEED = 24, 4, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("size", 512), ("window", 256), ("width", 16), ("rounds", 7), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = compared(write_images(Path(folder), given.size), given)
    if given.json:
        print(json.dumps(found))
        return
    print(f"U-Net of width {given.width}, batches of {BATCH} windows of {given.window} pixels, {given.threads} threads")
    print(f"  ours {found['ours_ms']:.1f} ms a step, by hand {found['by_hand_ms']:.1f}: {found['ratio']:.3f} ×")


def write_images(root: Path, size: int) -> Path:
    """Write gray images of noise and masks of blocks."""
    random = np.random.default_rng(0)
    for name in ("images", "masks"):
        (root / name).mkdir()
    for place in range(NUM_IMAGES):
        blocks = np.kron(random.integers(0, 2, (size // 32, size // 32)), np.ones((32, 32))).astype(np.uint8)
        Image.fromarray(random.integers(0, 256, blocks.shape, dtype=np.uint8)).save(root / "images" / f"{place}.png")
        Image.fromarray(blocks * 255).save(root / "masks" / f"{place}.png")
    return root


class Nobody:
    """A listener that hears nothing."""

    def step(self, done: int, total: int, num_samples: int) -> None: ...

    def epoch(self, record: dict[str, Any], model: nn.Module) -> None: ...

    def stop_requested(self) -> bool:
        return False


def compared(root: Path, given: argparse.Namespace) -> dict[str, float]:
    """Time both sides in turns."""
    settings: list[tuple[str, Any]] = [
        ("split.val", 0.0),
        ("split.test", 0.0),
        ("augmentation", [{"name": "random_window", "size": given.window}, "horizontal_flip", "vertical_flip"]),
        ("model", {"name": "unet", "width": given.width}),
        ("optimizer.name", "adamw"),
        ("training.batch_size", BATCH),
        ("training.monitor", "train_loss"),
        ("training.epochs", 1000),
        ("runtime.threads", given.threads),
        ("runtime.memory_format", "channels_last"),
        ("runtime.optimizer_kernel", "fused"),
        ("runtime.device", "cpu"),
    ]
    ours, network = our_epoch(plan_recipe(str(root), settings))
    by_hand = epoch_by_hand(root, copy.deepcopy(network), given.window)
    torch.set_num_threads(given.threads)
    sides = {"ours": ours, "by_hand": by_hand}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(1 + given.rounds):
        order = list(sides) if number % 2 else list(reversed(sides))
        for name in order:
            start = process_time()
            sides[name]()
            if number:  # the first one warms up
                seconds[name].append(process_time() - start)
    steps = NUM_IMAGES / BATCH
    result = {f"{name}_ms": 1000 * median(values) / steps for name, values in seconds.items()}
    ratios = [mine / theirs for mine, theirs in zip(seconds["ours"], seconds["by_hand"], strict=True)]
    return {**result, "ratio": median(ratios), "ratio_low": min(ratios), "ratio_high": max(ratios)}


def our_epoch(recipe: Recipe) -> tuple[Callable[[], None], nn.Module]:
    """Return what trains one epoch more by the loop of netwright, and a copy of the network before it."""
    machine = choose_machine(recipe.runtime)
    prepared = open_prepared(recipe, Own())
    recipe = resolve(recipe, prepared, machine)
    task = build_task(recipe, prepared)
    plan = build_plan(None, recipe, prepared, task, machine, Own())
    state = build_state(recipe, prepared, task, machine, Own())
    before = copy.deepcopy(state.model)
    clock = Clock(plan, state)

    def epoch() -> None:
        train_epoch(state, plan, Nobody(), clock)
        state.progress.epoch += 1
        state.progress.batch = 0
        state.sums.reset()

    return epoch, before


def epoch_by_hand(root: Path, network: nn.Module, window: int) -> Callable[[], None]:
    """Return what trains one epoch more by a loop written for this case alone."""
    names = [f"{place}.png" for place in range(NUM_IMAGES)]
    images = torch.stack([_read(root / "images" / name) for name in names])
    masks = torch.stack([_read(root / "masks" / name) for name in names]) // 255
    mean, std = images.float().mean().item(), images.float().std().item()
    network = network.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-4, fused=True)
    random = np.random.default_rng(SEED)
    bf16 = hardware_bf16(torch.device("cpu"))

    def epoch() -> None:
        for rows in torch.from_numpy(random.permutation(NUM_IMAGES)).split(BATCH):
            parts = [_window(images[row], masks[row], window, random) for row in rows.tolist()]
            pixels = torch.stack([part[0] for part in parts]).unsqueeze(1)
            targets = torch.stack([part[1] for part in parts]).long()
            batch = ((pixels.float() - mean) / std).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                outputs = network(batch)
            loss = functional.cross_entropy(outputs.float(), targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    return epoch


def _read(path: Path) -> Tensor:
    return torch.from_numpy(np.array(Image.open(path)))


def _window(image: Tensor, mask: Tensor, size: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    top, left = (int(random.integers(0, side - size + 1)) for side in image.shape)
    parts = image[top : top + size, left : left + size], mask[top : top + size, left : left + size]
    for axis in (0, 1):
        if random.random() < 0.5:
            parts = parts[0].flip(axis), parts[1].flip(axis)
    return parts


if __name__ == "__main__":
    main()
