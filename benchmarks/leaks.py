"""Planted leaks: how many copies of test images in train does the gate find, and what else does it call a twin?

    python benchmarks/leaks.py CIFAR10.npz              # x_train, x_test: 200 test images, each copied in seven ways
    python benchmarks/leaks.py FOLDER                   # photographs, in any folders: 200 of them are the test images
    … --sheet twins.png                                 # what was found without being planted, to be judged by eye
    python benchmarks/leaks.py CIFAR10.npz --times 3    # nothing planted: how long it takes, cold and again
    python benchmarks/leaks.py mnist --root DIR --times 3

Every way is planted at once, so that all compete. Cold: the gate's cache lies in a folder of its own."""

import argparse
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

NUM_PLANTED = 200
Picture = Image.Image


def jpeg(picture: Picture) -> Picture:
    """Through JPEG at quality 75."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=75)
    return Image.open(file).convert("RGB")


def resized(picture: Picture) -> Picture:
    """To half the size and back, bilinear."""
    width, height = picture.size
    small = picture.resize((width // 2, height // 2), Image.Resampling.BILINEAR)
    return small.resize((width, height), Image.Resampling.BILINEAR)


def brighter(picture: Picture) -> Picture:
    """10 % brighter, white stays white."""
    return picture.point(lambda value: min(255, round(1.1 * value)))


def mirrored(picture: Picture) -> Picture:
    """As in a mirror."""
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def cropped(picture: Picture, left: float = 0.05, top: float = 0.05, right: float = 0.05, low: float = 0.05) -> Picture:
    """5 % cut from every side, at the old size."""
    width, height = picture.size
    box = (left * width, top * height, (1 - right) * width, (1 - low) * height)
    return picture.resize((width, height), Image.Resampling.BILINEAR, box=box)


def corner(picture: Picture) -> Picture:
    """5 % cut from the left and from the top."""
    return cropped(picture, right=0, low=0)


WAYS: dict[str, Callable[[Picture], Picture]] = {
    "same file": lambda picture: picture,
    "JPEG quality 75": jpeg,
    "half and back": resized,
    "10 % brighter": brighter,
    "mirrored": mirrored,
    "5 % off every side": cropped,
    "5 % off two sides": corner,
}


def from_npz(path: Path):
    """Return labelled data with the copies after train's own images, and the test row of each copy."""
    from netwright.data.given import open_given

    with np.load(path) as file:
        x_train, x_test = file["x_train"], file["x_test"]
        y_train, y_test = file["y_train"].reshape(-1), file["y_test"].reshape(-1)
    chosen = np.random.default_rng(0).choice(len(x_test), NUM_PLANTED, replace=False)
    copies = [np.asarray(way(Image.fromarray(x_test[row]))) for way in WAYS.values() for row in chosen]
    y_copies = np.tile(y_test[chosen], len(WAYS))
    train = (np.concatenate([x_train, np.stack(copies)]), np.concatenate([y_train, y_copies]))
    labelled = open_given({"train": train, "test": (x_test, y_test)}, None)
    return labelled, len(x_train), len(train[0]) + chosen


def from_folder(path: Path, scratch: Path):
    """Return the same of photographs: 200 of them as test, the others and the copies, as files, in train."""
    from netwright.data.labelled import FileImages, LabelledData

    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
    order = np.random.default_rng(0).permutation(len(files))
    test, train = [files[i] for i in order[:NUM_PLANTED]], [files[i] for i in order[NUM_PLANTED:]]
    copies = []
    for name, way in WAYS.items():
        for number, file in enumerate(test):
            target = scratch / f"{name.replace(' ', '-')}-{number}{file.suffix if name == 'same file' else '.png'}"
            if name == "same file":
                target.write_bytes(file.read_bytes())
            elif name == "JPEG quality 75":
                target = target.with_suffix(".jpg")
                Image.open(file).convert("RGB").save(target, quality=75)
            else:
                way(Image.open(file).convert("RGB")).save(target)
            copies.append(target)
    paths = (*train, *copies, *test)
    num_train = len(train) + len(copies)
    given = {"train": np.arange(num_train), "test": np.arange(num_train, len(paths))}
    targets = np.zeros(len(paths), np.int64)
    labelled = LabelledData("photographs", ("all",), FileImages(paths), targets, [str(p) for p in paths], given)
    return labelled, len(train), num_train + np.arange(len(test))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--times", type=int, help="time the gate so often, on the data as they are")
    parser.add_argument("--root", help="where a named data set lies")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_CACHE_HOME"] = scratch
        from netwright.data.leaks.twins import find_twins

        if arguments.times:
            measure(str(arguments.data), arguments.root, arguments.times)
            return
        is_npz = arguments.data.suffix == ".npz"
        labelled, first_copy, test_rows = (
            from_npz(arguments.data) if is_npz else from_folder(arguments.data, Path(scratch))
        )
        seconds = []
        for _ in range(2):
            began = time.perf_counter()
            twins = find_twins(labelled.images)
            seconds.append(round(time.perf_counter() - began, 2))
        result = judge(labelled, twins, first_copy, test_rows)
        result |= {"images": len(labelled), "seconds_cold": seconds[0], "seconds_again": seconds[1]}
        print(json.dumps(result, indent=1))
        if arguments.sheet:
            draw(labelled, natural(labelled, twins, first_copy, test_rows), arguments.sheet)


def measure(source: str, root: str | None, times: int) -> None:
    """Print seconds of the clock (of the processor): of all digests, which a run's fingerprint needs as well and a
    process makes once, then of the gate with them, cold and again."""
    from netwright.config.sections import Data
    from netwright.data.fingerprint import sample_digests
    from netwright.data.leaks.twins import find_twins
    from netwright.data.sources import open_data

    for _ in range(times):
        shutil.rmtree(Path(os.environ["XDG_CACHE_HOME"], "netwright", "leaks"), ignore_errors=True)
        images = open_data(Data(source=source, root=root)).images
        parts = []
        for name, work in (("digests", sample_digests), ("cold", find_twins), ("again", find_twins)):
            began, worked = time.perf_counter(), time.process_time()
            work(images)
            clock, processor = time.perf_counter() - began, time.process_time() - worked
            parts.append(f"{name} {clock:.2f} ({processor:.2f}) s")
        print(f"{len(images):,} images: {', '.join(parts)}", flush=True)


def judge(labelled, twins, first_copy: int, test_rows) -> dict[str, object]:
    """Count the copies that are found as a twin of what they were made of, by way, and the other twins."""
    pairs = set(zip(twins.near.first.tolist(), twins.near.second.tolist(), strict=True))
    found: dict[str, float] = {}
    for number, way in enumerate(WAYS):
        hits = 0
        for place, test in enumerate(test_rows):
            copy, row = (twins.content[r] for r in (first_copy + number * NUM_PLANTED + place, test))
            hits += copy == row or (min(copy, row), max(copy, row)) in pairs
        found[way] = hits / len(test_rows)
    others = natural(labelled, twins, first_copy, test_rows)
    return {
        "found": found,
        "limit": twins.near.limit,
        "other_test_images_with_twin": len({two for _, two, *_ in others}),
    }


def natural(labelled, twins, first_copy: int, test_rows):
    """Return (train row, test row, agreement, mirrored) of the near twins across the splits that nobody planted."""
    near = twins.near
    first_test = int(labelled.given["test"][0])
    source = {
        first_copy + number: int(test_rows[number % len(test_rows)]) for number in range(len(test_rows) * len(WAYS))
    }
    best: dict[int, tuple[int, int, float, bool]] = {}
    planted = set(source.values())
    for one, other, agreement, turned in zip(near.first, near.second, near.agreement, near.mirrored, strict=True):
        if one < first_copy and other >= first_test and int(other) not in planted:
            if int(other) not in best or best[int(other)][2] < agreement:
                best[int(other)] = (int(one), int(other), float(agreement), bool(turned))
    return sorted(best.values(), key=lambda pair: pair[2])


def draw(labelled, pairs, path: Path, columns: int = 12, size: int = 64) -> None:
    """Draw pairs side by side, the least alike first."""
    rows = -(-len(pairs) // columns)
    sheet = Image.new("RGB", (columns * (2 * size + 8), max(1, rows) * (size + 6)), "white")
    for place, (one, other, _, turned) in enumerate(pairs):
        x, y = place % columns * (2 * size + 8), place // columns * (size + 6)
        pictures = [picture_of(labelled, row).resize((size, size)) for row in (one, other)]
        sheet.paste(pictures[0], (x, y))
        sheet.paste(mirrored(pictures[1]) if turned else pictures[1], (x + size + 1, y))
    sheet.save(path)


def picture_of(labelled, row: int) -> Picture:
    """Return an image of labelled data as a picture."""
    images = labelled.images
    return (
        Image.fromarray(images.pixels[row])
        if hasattr(images, "pixels")
        else Image.open(images.paths[row]).convert("RGB")
    )


if __name__ == "__main__":
    main()
