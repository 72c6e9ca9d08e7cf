"""Copies of real images, made in the ways that benchmarks/leaks.py plants by the hundred."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from netwright.data.labelled import ArrayImages, FileImages
from netwright.data.leaks import thumbnails
from netwright.data.leaks.candidates import find_candidates, look_out
from netwright.data.leaks.descriptors import describe
from netwright.data.leaks.near import find_near
from netwright.data.leaks.thumbnails import gray_thumbnails
from netwright.data.texts import Paths
from netwright.files.block_file import mapping_of

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "leaks.py"
spec = importlib.util.spec_from_file_location("planted_leaks", BENCHMARK)
assert spec is not None and spec.loader is not None
planted = importlib.util.module_from_spec(spec)
spec.loader.exec_module(planted)
MADE_ANEW = [name for name in planted.WAYS if name != "same file"]


@pytest.fixture(scope="module")
def some(cifar10_npz: Path) -> np.ndarray:
    with np.load(cifar10_npz) as file:
        return file["x_test"][:1500]


def near_pairs(pixels: np.ndarray) -> set[tuple[int, int]]:
    near = find_near(gray_thumbnails(ArrayImages(pixels), np.arange(len(pixels))))
    return set(zip(near.first.tolist(), near.second.tolist(), strict=True))


def test_copies_are_found_and_nothing_else(some: np.ndarray) -> None:
    """40 images, each copied in every way: 95 % of every kind, and what else is found was there before."""
    natural = near_pairs(some)
    assert len(natural) <= 6  # of 1,124,250 pairs
    for name in MADE_ANEW:
        copies = np.stack([np.asarray(planted.WAYS[name](Image.fromarray(image))) for image in some[:40]])
        found = near_pairs(np.concatenate([some, copies]))
        assert sum((row, 1500 + row) in found for row in range(40)) >= 38, name
        strays = [pair for pair in found - natural if pair[1] - pair[0] != 1500]
        assert len(strays) <= 2, (name, strays)


def test_handwritten_digits_of_a_kind_are_no_twins(mnist_arrays: dict[str, np.ndarray]) -> None:
    images = mnist_arrays["x_test"][:3000, ..., None]
    copy = np.minimum(images[:1].astype(int) * 11 // 10, 255).astype(np.uint8)
    found = near_pairs(np.concatenate([images, copy]))
    assert (0, 3000) in found
    assert len(found) <= 3


def test_flat_images_have_no_twin() -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    pixels[:10] = np.arange(10, dtype=np.uint8)[:, None, None, None] * 20
    assert near_pairs(pixels) == set()


@pytest.mark.parametrize("count", [2, 767, 1700])  # blocks of 768
def test_candidates_are_those_of_all_pairs(count: int) -> None:
    random = np.random.default_rng(count)
    pixels = random.integers(0, 256, (count, 20, 20), dtype=np.uint8)
    pixels[-1] = pixels[0, :, ::-1]
    descriptors = describe(torch.from_numpy(pixels))
    found = find_candidates(descriptors, 0.5)
    even, odd = descriptors.even.double().numpy(), descriptors.odd.double().numpy()
    similar = even @ even.T + np.abs(odd @ odd.T)
    wanted = {(int(one), int(other)) for one, other in zip(*np.nonzero(np.triu(similar >= 0.5, 1)), strict=True)}
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) == wanted
    turned = found.mirrored[(found.first == 0) & (found.second == count - 1)]
    assert turned.tolist() == [True]


@pytest.mark.parametrize("count", [3, 40, 700])
def test_what_is_seen_in_parts_is_what_is_seen_at_once(count: int) -> None:
    images = torch.randint(0, 256, (count, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    descriptors = describe(images)
    even, odd = descriptors.even.double().numpy(), descriptors.odd.double().numpy()
    rows = np.arange(min(count, 256)) * count // min(count, 256)
    similar = even[rows] @ even.T + np.abs(odd[rows] @ odd.T)
    similar[np.arange(len(rows)), rows] = -1
    wanted = min(similar.size, max(1, round(max(3, 100_000 / count) * len(rows))))
    found = look_out(descriptors)
    assert found.limit == pytest.approx(max(0.6, np.sort(similar.ravel())[-wanted]), abs=1e-5)
    rank = min(20, count // 4)
    expected = np.argsort(-similar, axis=1, kind="stable")[:, rank - 1] if rank else np.empty(0)
    assert (found.neighbours.second.numpy() == expected).mean() > 0.99 if rank else not len(found.neighbours)


MEMORY = """
import resource, sys, numpy as np, torch
from netwright.data.leaks.near import find_near
torch.set_num_threads(1)
draws = np.random.default_rng(0)
def peak(count):
    find_near(draws.integers(0, 256, (count, 16, 16), dtype=np.uint8))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
small = peak(2_000)
print((peak(40_000) - small) * 1024 / 38_000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kB on Linux")
def test_an_image_more_takes_little_memory() -> None:
    """The search took 5.0 kB an image when 256 rows of similarities with all images lay there whole, and copies."""
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, timeout=200, check=True)
    assert float(done.stdout) < 2000  # bytes; 1,015 when this was written, of which 256 are the pixels


@pytest.mark.parametrize("last", [32, 20])
def test_thumbnails_of_many_files_lie_in_a_file(last: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many a folder has, memory stays; the pixels are Pillow's. A last one of another size changes all."""
    draws = np.random.default_rng(0)
    sides = [*[20] * 5, last]
    for place, side in enumerate(sides):
        picture = Image.fromarray(draws.integers(0, 256, (side, side, 3), dtype=np.uint8))
        picture.save(tmp_path / f"{place}.png")
    paths = sorted(tmp_path.glob("*.png"))
    monkeypatch.setattr(thumbnails, "IN_FILE_BYTES", 0)
    found = gray_thumbnails(FileImages(Paths(tmp_path, [path.name for path in paths])), np.arange(len(paths)))
    assert mapping_of(found) is not None
    for path, made in zip(paths, found, strict=True):
        expected = Image.open(path).convert("L").resize((last, last), Image.Resampling.BILINEAR)
        assert np.array_equal(made, np.asarray(expected))
