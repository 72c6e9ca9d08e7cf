"""Decoding and resizing full-size photographs: netwright's store against Pillow's plain way in as many processes.

    python benchmarks/decoding.py FOLDER [--short 1080] [--images 64] [--pairs 7] [--workers 2] [--cpu]

The photographs of FOLDER (any depth) are enlarged to a short side of `--short` pixels and written as JPEG of quality 90
to a temporary folder: 1440 × 1080 for those of 4 : 3. Theirs: processes, started before the clock is, that open, resize
(bilinear, antialiased, short side 258), crop (258 × 258) and convert each to RGB bytes. Ours: the decoded store from an
empty cache, in as many threads, with all that belongs to it: header, checks, hash, orientation, the file that is kept.
A pair is one run of each, alternating in which is first; reported are medians over the pairs, the ratio of the pairs,
and how far ours is from a full decode by Pillow (mean absolute difference, in levels of 255). `--cpu` counts processor
time of one thread in place of the clock: for a machine that is not quiet. `--json` prints one object.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import PIL
from PIL import Image

from netwright.config.recipe import build_recipe
from netwright.data import decoded
from netwright.data.prepare import prepare
from netwright.data.resize import fit
from netwright.data.sources import open_data
from netwright.data.transform import EvalTransform
from netwright.runtime.allocator import keep_large_blocks

STORE = 258  # 1.15 × 224
SUFFIXES = {".jpg", ".jpeg"}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder of photographs")
    parser.add_argument("--short", type=int, default=1080, help="their short side in pixels (default: 1080)")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2, help="their processes and our threads (default: 2)")
    parser.add_argument(
        "--cpu", action="store_true", help="processor time of one thread, for a machine that is not quiet"
    )
    parser.add_argument("--json", action="store_true", help="print one object")
    options = parser.parse_args(arguments)
    keep_large_blocks()  # as training does
    with tempfile.TemporaryDirectory() as folder:
        paths = enlarged(options.folder, Path(folder) / "photographs", options.short, options.images)
        result = compare(paths, options.pairs, 1 if options.cpu else options.workers, options.cpu)
        result["difference"] = median(difference(path) for path in paths)
    result |= {"images": len(paths), "short_side": options.short, "pillow": PIL.__version__}
    print(json.dumps(result) if options.json else table(result))
    return 0


def enlarged(folder: Path, target: Path, short: int, count: int) -> list[Path]:
    """Write evenly spaced photographs, enlarged, into two folders; return their paths."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    paths = []
    for place, row in enumerate(np.unique(np.linspace(0, len(found) - 1, count).astype(int))):
        image = Image.open(found[row]).convert("RGB")
        scale = short / min(image.size)
        paths.append(target / "ab"[place % 2] / f"{place}.jpg")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        size = (round(image.width * scale), round(image.height * scale))
        image.resize(size, Image.Resampling.LANCZOS).save(paths[-1], quality=90)
    return paths


def compare(paths: list[Path], pairs: int, workers: int, cpu: bool) -> dict[str, Any]:
    """Time both sides in turn."""
    clock = time.process_time if cpu else time.perf_counter
    decoded._MOST_THREADS = workers
    seconds: list[tuple[float, float]] = []
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(plain, paths[:workers]))  # started
        for number in range(pairs):
            order = (0, 1) if number % 2 == 0 else (1, 0)
            taken = [0.0, 0.0]
            for side in order:
                start = clock()
                if side == 1:
                    ours(paths)
                elif cpu:
                    assert all(plain(path) for path in paths)
                else:
                    list(pool.map(plain, paths, chunksize=4))
                taken[side] = clock() - start
            seconds.append((taken[0], taken[1]))
            print(f"pair {number + 1} of {pairs}: {taken}", file=sys.stderr)
    ratios = sorted(theirs / mine for theirs, mine in seconds)
    return {
        "theirs_ms_an_image": 1000 * median(one for one, _ in seconds) / len(paths),
        "ours_ms_an_image": 1000 * median(two for _, two in seconds) / len(paths),
        "ratio": median(ratios),
        "ratio_from": ratios[0],
        "ratio_to": ratios[-1],
        "workers": workers,
    }


def plain(path: Path) -> bytes:
    """Open, resize, crop and convert one photograph as a tutorial does."""
    image = Image.open(path)
    scale = STORE / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - STORE) // 2, (image.height - STORE) // 2
    return image.crop((left, top, left + STORE, top + STORE)).convert("RGB").tobytes()


def ours(paths: list[Path]) -> np.ndarray:
    """Decode all photographs into the store, from an empty cache; return its pixels."""
    cache = tempfile.mkdtemp()
    os.environ["XDG_CACHE_HOME"] = cache
    source = str(paths[0].parents[1])
    recipe = build_recipe({"data": {"source": source, "image_size": 224}, "transform": {"normalize": "weights"}})
    try:
        labelled = open_data(recipe.data)
        return prepare(labelled, {"train": np.arange(len(labelled))}, recipe).store.pixels.numpy()
    finally:
        shutil.rmtree(cache, ignore_errors=True)


def difference(path: Path) -> float:
    """Return the mean absolute difference, in levels, between ours and a full decode resized and cut the same way."""
    transform = EvalTransform(channels=3, image_size=(224, 224), store_size=(STORE, STORE))
    full = np.asarray(fit(Image.open(path).convert("RGB"), (STORE, STORE)))
    return float(np.abs(transform.decode(path).astype(int) - full).mean())


def table(result: dict[str, Any]) -> str:
    """Return the result for people."""
    return (
        f"{result['images']} photographs of short side {result['short_side']}, {result['workers']} workers, "
        f"Pillow {result['pillow']}\n"
        f"theirs {result['theirs_ms_an_image']:.1f} ms an image, ours {result['ours_ms_an_image']:.1f}: "
        f"ratio {result['ratio']:.2f} ({result['ratio_from']:.2f} – {result['ratio_to']:.2f})\n"
        f"difference from a full decode: {result['difference']:.2f} levels"
    )


if __name__ == "__main__":
    sys.exit(main())
