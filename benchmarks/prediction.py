"""Predicting many images: netwright beside a hand-written batched loop and the one-at-a-time loop of courses.

    python benchmarks/prediction.py RUN FOLDER [--pairs 7] [--images 2000] [--threads 2] [--engine torch]
    python benchmarks/prediction.py RUN --memory 100000

RUN is a run of a CNN (such as cifar10-cnn), FOLDER has image files, which are taken in turn until there are `--images`
of them. Two comparisons, each alternating, in fp32: `decoded` are arrays in memory, ours against one loop over batches
that an expert would write (uint8 by batches, normalised at once, channels_last, inference mode, a softmax); `files` are
files, ours against one `Image.open`, transform, forward pass and softmax an image. Ours computes with `--engine`; what
it costs to build is left out (benchmarks/engines.py compares engines themselves). `--memory N` predicts N small files
and prints anonymous memory after every tenth of them.
"""

import argparse
import copy
import dataclasses
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

from netwright.config.engines import ENGINES
from netwright.data.image_paths import image_paths
from netwright.data.listing import IMAGE_SUFFIXES
from netwright.deployment.engine_choice import EngineChoice
from netwright.deployment.predictor import Predictor
from netwright.deployment.stream import predict_array, predict_stream
from netwright.runtime.allocator import keep_large_blocks
from netwright.workflows.own import Own
from netwright.workflows.predict import opened

BATCH_SIZE = 256


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--engine", choices=ENGINES, default="torch")
    parser.add_argument("--memory", type=int, metavar="N")
    options = parser.parse_args()
    keep_large_blocks()
    if options.memory:
        return memory(options.run, options.memory)
    with opened(options.run, Own(), options.engine, "fp32") as predictor:
        predictor.machine = dataclasses.replace(predictor.machine, threads=options.threads)
        torch.set_num_threads(options.threads)
        choice = EngineChoice(predictor, options.engine)
        files = [path for path in sorted(options.folder.rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES]
        chosen = list(islice(cycle(files), options.images))
        result = {
            "decoded: hand-written ÷ ours": decoded(choice, chosen, options.pairs),
            "files: one at a time ÷ ours": from_files(choice, chosen, options.pairs),
        }
    print(json.dumps(result, ensure_ascii=False, indent=1))
    return 0


def alternate(ours: Callable[[], Tensor], theirs: Callable[[], Tensor], pairs: int) -> dict[str, float]:
    """Time both in turn; return the median of the ratios theirs ÷ ours, and the medians of the seconds."""
    difference = float((ours().double() - theirs().double()).abs().max())  # a warm-up too
    seconds: list[tuple[float, float]] = []
    for number in range(pairs):
        times = {}
        for side in (ours, theirs) if number % 2 else (theirs, ours):
            start = perf_counter()
            side()
            times[side] = perf_counter() - start
        seconds.append((times[ours], times[theirs]))
        print(f"pair {number + 1}: ours {seconds[-1][0]:.3f} s, theirs {seconds[-1][1]:.3f} s", file=sys.stderr)
    return {
        "ratio": median(theirs / ours for ours, theirs in seconds),
        "ours_seconds": median(ours for ours, _ in seconds),
        "theirs_seconds": median(theirs for _, theirs in seconds),
        "largest_difference_of_probabilities": difference,
    }


def decoded(choice: EngineChoice, files: list[Path], pairs: int) -> dict[str, float]:
    """Arrays in memory: ours against a hand-written loop over batches."""
    predictor = choice.predictor
    transform = predictor.transform
    images = np.stack([transform.view(transform.decode(path)) for path in files])

    def ours() -> Tensor:
        batches = predict_array(predictor, images, choice=choice)
        return torch.tensor(np.stack([answer.probabilities for batch in batches for answer in batch]))

    def theirs() -> Tensor:
        return by_hand(predictor, torch.from_numpy(images))

    return alternate(ours, theirs, pairs)


def by_hand(predictor: Predictor, images: Tensor) -> Tensor:
    """Predict uint8 images (N, H, W, C) as an expert would write it for this one case."""
    network, temperature = predictor.network, predictor.bundle.temperature or 1.0
    mean = 255 * torch.tensor(predictor.transform.mean).view(1, -1, 1, 1)
    std = 255 * torch.tensor(predictor.transform.std).view(1, -1, 1, 1)
    made = []
    with torch.inference_mode():
        for start in range(0, len(images), BATCH_SIZE):
            batch = images[start : start + BATCH_SIZE].permute(0, 3, 1, 2).float()  # channels_last already
            made.append((network((batch - mean) / std) / temperature).softmax(1))
    return torch.cat(made)


def from_files(choice: EngineChoice, files: list[Path], pairs: int) -> dict[str, float]:
    """Files: ours against one image at a time, as courses show it."""
    predictor = choice.predictor
    steps = [
        transforms.Resize(min(predictor.transform.store_size)),
        transforms.CenterCrop(predictor.transform.image_size),
        transforms.ToTensor(),
        transforms.Normalize(predictor.transform.mean, predictor.transform.std),
    ]
    one = transforms.Compose(steps)
    network: nn.Module = copy.deepcopy(predictor.network).to(memory_format=torch.contiguous_format)
    temperature = predictor.bundle.temperature or 1.0

    def ours() -> Tensor:
        batches = predict_stream(predictor, ((path, str(path)) for path in files), choice=choice)
        return torch.tensor(np.stack([answer.probabilities for batch in batches for answer in batch]))

    def theirs() -> Tensor:
        made = []
        with torch.no_grad():
            for path in files:
                image = Image.open(path).convert("RGB" if predictor.bundle.in_channels == 3 else "L")
                made.append((network(one(image)[None]) / temperature).softmax(1))
        return torch.cat(made)

    return alternate(ours, theirs, pairs)


def memory(run: str, number: int) -> int:
    """Predict `number` small files; print anonymous memory along the way."""
    folder = Path(tempfile.mkdtemp())
    try:
        Image.effect_noise((32, 32), 60).convert("RGB").save(folder / "one.png")
        for place in range(number):
            part = folder / "shots" / f"{place % 100:02d}"
            part.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / "one.png", part / f"{place:07d}.png")
        seen: dict[int, float] = {}
        with opened(run, Own()) as predictor:
            done = 0
            for batch in predict_stream(predictor, ((path, path) for path in image_paths([str(folder / "shots")]))):
                done += len(batch)
                if done * 10 // number != (done - len(batch)) * 10 // number:
                    seen[done] = anonymous_mib()
        print(json.dumps({"images": number, "anonymous_mib": seen}))
    finally:
        shutil.rmtree(folder)
    return 0


def anonymous_mib() -> float:
    """Return this process's anonymous resident memory (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return round(int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024, 1)


if __name__ == "__main__":
    sys.exit(main())
