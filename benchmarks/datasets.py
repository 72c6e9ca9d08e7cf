"""The data of the benchmarks: one uncompressed .npz a data set, so that every side reads the same images.

x_train (N, H, W[, 3]) uint8 and y_train (N,) int64 without the last 5,000 of the published training images, which are
x_val and y_val; x_test and y_test are the published test images: evaluation is timed on them, nothing is chosen."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np

NUM_VAL = 5_000


def prepare_npz(data: str, source: Path, folder: Path, num_images: int | None) -> Path:
    """Write the .npz of `mnist` or `cifar10` into a folder, with the first `num_images` of train alone if given."""
    target = folder / (f"{data}-{num_images}.npz" if num_images else f"{data}.npz")
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    arrays = _read_mnist(source) if data == "mnist" else _read_cifar10(source, folder)
    images, targets = arrays["x_train"], arrays["y_train"]
    num_train, num_val = num_images or len(images) - NUM_VAL, min(num_images or NUM_VAL, NUM_VAL)
    num_test = num_images or len(arrays["x_test"])
    part = folder / f"part-{target.name}"
    np.savez(
        part,
        x_train=images[:-NUM_VAL][:num_train],
        y_train=targets[:-NUM_VAL][:num_train],
        x_val=images[-NUM_VAL:][:num_val],
        y_val=targets[-NUM_VAL:][:num_val],
        x_test=arrays["x_test"][:num_test],
        y_test=arrays["y_test"][:num_test],
    )
    part.replace(target)
    return target


def data_root(source: Path, folder: Path) -> Path:
    """Return a folder in which `netwright --data-root` finds MNIST and CIFAR-10, made of links."""
    root = folder / "root"
    root.mkdir(parents=True, exist_ok=True)
    for name, target in (("MNIST", source / "MNIST"), ("cifar10.npz", _cifar10_npz(source, folder))):
        if not (root / name).exists():
            (root / name).symlink_to(target)
    return root


def _read_mnist(source: Path) -> dict[str, np.ndarray]:
    arrays = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
        files = [_needed(source / "MNIST" / "raw" / f"{prefix}-{kind}.gz") for kind in kinds]
        images, targets = (gzip.decompress(file.read_bytes()) for file in files)
        arrays[f"x_{split}"] = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
        arrays[f"y_{split}"] = np.frombuffer(targets, np.uint8, offset=8).astype(np.int64)
    return arrays


def _read_cifar10(source: Path, folder: Path) -> dict[str, np.ndarray]:
    with np.load(_cifar10_npz(source, folder)) as archive:
        return {key: archive[key] for key in ("x_train", "y_train", "x_test", "y_test")}


def _cifar10_npz(source: Path, folder: Path) -> Path:
    """Return `cifar10.npz` (Keras' keys) of the data folder; unpack it first where it is packed."""
    given, program, unpacked = source / "cifar10.npz", source / "unpack-cifar10", folder / "unpacked-cifar10.npz"
    if given.exists():
        return given
    if not unpacked.exists():
        subprocess.run([sys.executable, _needed(program), unpacked], check=True, stdout=subprocess.DEVNULL)
    return unpacked


def _needed(path: Path) -> Path:
    if not path.exists():
        sys.exit(f"{path} is not there; say with --data where MNIST/raw and cifar10.npz (or unpack-cifar10) are")
    return path
