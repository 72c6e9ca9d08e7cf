"""Training from a data set larger than memory: the mapped file under a memory limit, against all of it in memory.

    python benchmarks/larger_than_memory.py [--gigabytes 3] [--limit-gigabytes 2] [--steps 60] [--pairs 7]

Makes photo-like pixels (258 × 258 RGB, `--gigabytes` in all) in a kept block under `--folder`, then trains the same CNN
on the same batches in two processes that take turns: one has the pixels in its own memory, one maps the file. The
second is put into a control group whose limit, file cache included, is below the size of the data, so that many of the
pictures come from the disk in every epoch. The group is made inside our own (version 1 or 2), which root may do, or
whoever was given it: `systemd-run --user --scope -p Delegate=yes python benchmarks/larger_than_memory.py`. Without a
group nothing is limited, and the benchmark says so. The limit has to hold the network's activations too (0.7 GB).

Printed: the ratio of the times of `--steps` steps, and the resident memory of both, anonymous (RssAnon) and of files.
What it shows depends on the disk: a step must take longer than reading its pictures, 16 × 200 kB.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

SIZE, INPUT, CLASSES, BATCH = 258, 224, 10, 16
PICTURE = SIZE * SIZE * 3
GROUPS = Path("/sys/fs/cgroup")


def open_pixels(num_images: int) -> Any:
    """Return the block of pictures: 256 different ones of smooth noise, over and over."""
    from netwright.files.blocks import open_block

    def fill(values: Any) -> dict[str, Any]:
        random = np.random.default_rng(0)
        coarse = random.integers(0, 256, (256, SIZE // 6, SIZE // 6, 3), dtype=np.uint8)
        some = coarse.repeat(6, axis=1).repeat(6, axis=2).reshape(256, PICTURE)
        for start in range(0, num_images, 256):
            part = values[start * PICTURE : (start + 256) * PICTURE]
            part[:] = some.reshape(-1)[: len(part)]
        return {}

    key = {"kind": "benchmark", "images": num_images}
    return open_block(key, title="benchmark", size=num_images * PICTURE, dtype="uint8", fill=fill)


def open_batches(name: str, num_images: int) -> Any:
    """Return the batches that both sides train on: shuffled, flipped at random, cut from the centre, normalised."""
    import torch

    from netwright.config.augmentations import HorizontalFlip
    from netwright.data.augment import build_augmentation
    from netwright.data.batches import Batches
    from netwright.data.labelled import ArrayImages, LabelledData
    from netwright.data.prepare import PreparedData
    from netwright.data.store import store_of
    from netwright.data.transform import EvalTransform

    pixels = open_pixels(num_images).values.reshape(num_images, SIZE, SIZE, 3)
    pixels = pixels.copy() if name == "memory" else pixels
    targets = np.arange(num_images, dtype=np.int64) % CLASSES
    rows = {"train": np.arange(num_images, dtype=np.int64)}
    names = tuple(map(str, range(CLASSES)))
    labelled = LabelledData("benchmark", names, ArrayImages(pixels), targets, [""] * num_images, rows)
    sizes: dict[str, Any] = {"image_size": (INPUT, INPUT), "store_size": (SIZE, SIZE)}
    transform = EvalTransform(channels=3, mean=(0.5,) * 3, std=(0.25,) * 3, **sizes)
    store = store_of(pixels, torch.from_numpy(targets))
    prepared = PreparedData(labelled, rows, store, transform, "", {}, (3, INPUT, INPUT))
    augment = build_augmentation((HorizontalFlip(),), 0, (INPUT, INPUT), (0.0, 1.0))
    return Batches(prepared, "train", batch_size=BATCH, device=torch.device("cpu"), augment=augment, shuffle=True)


def build_network() -> Any:
    """Return a small CNN: three convolutions (16, 32, 64), the first in steps of 2, each with ReLU and max-pool."""
    import torch
    from torch import nn

    layers: list[nn.Module] = []
    for inside, outside, stride in ((3, 16, 2), (16, 32, 1), (32, 64, 1)):
        layers += [nn.Conv2d(inside, outside, 3, stride, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def side(name: str, num_images: int, steps: int, threads: int) -> None:
    """Train some steps for every line on standard input; answer with seconds and memory. Runs in its own process."""
    sys.stdin.readline()  # until then we may be moved into a control group
    import torch
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    batches, network = open_batches(name, num_images), build_network()
    optimizer = torch.optim.Adam(network.parameters(), 3e-4)
    print("ready", flush=True)
    for epoch, _ in enumerate(sys.stdin, 1):
        start, loss = time.perf_counter(), torch.zeros(())
        for batch in islice(batches.epoch(epoch), steps):
            loss = cross_entropy(network(batch.images), batch.targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(json.dumps({"seconds": time.perf_counter() - start, "loss": loss.item()} | memory()), flush=True)


def memory() -> dict[str, float]:
    """Return the resident memory of this process in GB: anonymous, and of mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = {
        line.split(":")[0]: int(line.split()[1]) / 1e6 for line in lines if line.startswith(("RssAnon", "RssFile"))
    }
    return {"anonymous": found["RssAnon"], "file": found["RssFile"]}


@contextlib.contextmanager
def limited(process: "subprocess.Popen[str]", num_bytes: int) -> Iterator[str]:
    """Put a process into a control group of its own below ours; yield what is limited, in words."""
    places = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    old = places.get("memory")
    own = GROUPS / ("memory" if old else "") / (old or places.get("", "")).lstrip("/")
    group, limit = own / f"larger-than-memory-{process.pid}", "memory.limit_in_bytes" if old else "memory.max"
    try:
        group.mkdir()
        (group / limit).write_text(str(num_bytes))
        (group / "cgroup.procs").write_text(str(process.pid))
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        yield f"NOTHING IS LIMITED: no control group can be made ({error.strerror}); see the top of this file"
        return
    try:
        yield f"the mapped side may use {num_bytes / 1e9:.1f} GB, file cache included"
    finally:
        process.wait()
        for _ in range(50):
            with contextlib.suppress(OSError):
                group.rmdir()
            if not group.exists():
                break
            time.sleep(0.1)


def start(name: str, arguments: argparse.Namespace, num_images: int) -> "subprocess.Popen[str]":
    command = [sys.executable, __file__, "--side", name, "--images", str(num_images)]
    command += ["--steps", str(arguments.steps), "--threads", str(arguments.threads)]
    environment = os.environ | {"XDG_CACHE_HOME": arguments.folder, "OMP_NUM_THREADS": str(arguments.threads)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True, bufsize=1)


def ask(process: "subprocess.Popen[str]") -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    answer = process.stdout.readline()
    if not answer:
        sys.exit(f"a side has ended with {process.wait()}; -9: the limit is too small for the network alone")
    return answer


def forget(folder: str) -> None:
    """Take the file out of the system's cache, which is charged to whoever reads it first."""
    for path in Path(folder).rglob("*.block"):
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=3.0)
    parser.add_argument("--limit-gigabytes", type=float, default=2.0)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", default=None, help="on the disk to be measured; a temporary folder")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--images", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        side(arguments.side, arguments.images, arguments.steps, arguments.threads)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        arguments.folder = folder
        compare(arguments)


def told(name: str, found: dict[str, float]) -> str:
    return f"{name} {found['seconds']:.2f} s ({found['anonymous']:.2f} GB anonymous, {found['file']:.2f} of files)"


def compare(arguments: argparse.Namespace) -> None:
    num_images = int(arguments.gigabytes * 1e9) // PICTURE
    with start("memory", arguments, num_images) as in_memory, start("mapped", arguments, num_images) as mapped:
        ask(in_memory)  # makes the file, and copies it
        forget(arguments.folder)
        with limited(mapped, int(arguments.limit_gigabytes * 1e9)) as said:
            print(f"{num_images:,} pictures, {num_images * PICTURE / 1e9:.1f} GB; {said}", flush=True)
            ask(mapped)
            ratios = []
            for pair in range(arguments.pairs + 1):
                order = (in_memory, mapped) if pair % 2 else (mapped, in_memory)
                found = {process.args[3]: json.loads(ask(process)) for process in order}  # type: ignore[index]
                ours, theirs = found["mapped"], found["memory"]
                assert ours["loss"] == theirs["loss"], "the two sides must train on the same pictures"
                if pair:  # the first of each warms up
                    ratios.append(ours["seconds"] / theirs["seconds"])
                print(f"{pair or 'warm-up'}: {told('memory', theirs)}; {told('mapped', ours)}", flush=True)
            for process in (in_memory, mapped):
                assert process.stdin is not None
                process.stdin.close()
        print(f"time from the mapped file / in memory: median {statistics.median(ratios):.3f} of {len(ratios)}")


if __name__ == "__main__":
    main()
