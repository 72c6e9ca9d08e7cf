"""Peak anonymous memory while training on a folder of photographs, however large the folder is.

    python -m benchmarks.folder_memory PHOTOGRAPHS [--images 500 3000] [--weights FILE] [--threads 2]
        [--image-size 224] [--side 0]

Makes folders of so many photographs of two classes, by turning, flipping and shading those in PHOTOGRAPHS (one folder a
class), and trains a frozen SqueezeNet 1.1 (random weights without --weights) on each: from cold caches, features
computed once, the report at the end. The process is looked at every 20 ms (RssAnon of /proc/PID/status; Linux only).
Aim: under 1.5 GiB, and about the same for the larger folder as for the smaller."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

AIM_GIB = 1.5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--images", type=int, nargs="+", default=[500, 3000])
    parser.add_argument("--weights", help="a state dict of torchvision's squeezenet1_1")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--image-size", default="224", help="of the training; smaller for many photographs")
    parser.add_argument("--side", type=int, default=0, help="make the photographs at most so many pixels a side")
    parser.add_argument("--more", nargs="*", default=[], help="words added to the command line, without their dashes")
    options = parser.parse_args()
    for number in options.images:
        with tempfile.TemporaryDirectory() as folder:
            made = make_folder(options.photographs, Path(folder) / "photographs", number, options.side)
            peak, code = peak_of(made, Path(folder), options)
        said = f"{peak:.2f} GiB, aim under {AIM_GIB}" if code == 0 else f"failed with exit code {code}"
        print(f"{number:7,} photographs  {said}", flush=True)
    return 0


def make_folder(photographs: Path, target: Path, number: int, side: int) -> Path:
    """Write so many different photographs, equally many a class, at most `side` pixels large; return the folder."""
    draws = np.random.default_rng(0)
    classes = sorted(path for path in photographs.iterdir() if path.is_dir())
    for folder in classes:
        (target / folder.name).mkdir(parents=True)
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
        for place in range(number // len(classes)):
            with Image.open(files[place % len(files)]) as opened:
                if side:
                    opened.thumbnail((side, side), Image.Resampling.BOX)
                turned = opened.convert("RGB").rotate(float(draws.uniform(-180, 180)), expand=True)
            shaded = np.clip(np.asarray(turned) * draws.uniform(0.5, 1.5), 0, 255).astype(np.uint8)
            Image.fromarray(shaded).save(target / folder.name / f"{place}.jpg", quality=85)
    return target


def peak_of(folder: Path, scratch: Path, options: argparse.Namespace) -> tuple[float, int]:
    """Train on a folder in a process of its own; return its peak in GiB and its exit code."""
    line = [sys.executable, "-m", "netwright", "train", str(folder), "--model", "squeezenet1_1", "--quiet"]
    line += ["--freeze", "backbone", "--epochs", "3", "--threads", str(options.threads)]
    line += ["--image-size", options.image_size]
    line += ["--weights", options.weights] if options.weights else []
    line += [f"--{word}" for word in options.more]
    environment = os.environ | {f"XDG_{kind}_HOME": str(scratch / kind) for kind in ("CACHE", "STATE")}
    process = subprocess.Popen([*line, "--out", str(scratch / "run")], stdout=subprocess.DEVNULL, env=environment)
    peak = 0
    while process.poll() is None:
        try:
            found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
        except OSError:  # it has just ended
            break
        peak = max(peak, int(found[1]) if found else 0)
        time.sleep(0.02)
    return peak / 2**20, process.wait()


if __name__ == "__main__":
    sys.exit(main())
