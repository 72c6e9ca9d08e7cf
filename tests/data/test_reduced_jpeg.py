"""JPEGs that are much larger than what is kept are decoded at reduced size: how far that is from a full decode."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netwright.data.transform import EvalTransform

# levels of 255, mean absolute difference: of a photograph, and on average
MOST_OF_ONE, MOST_ON_AVERAGE = 3.0, 1.5  # of those that were enlarged, as benchmarks/decoding.py makes them
MOST_OF_A_SHARP_ONE, MOST_ON_AVERAGE_SHARP = 6.0, 2.5


def transform_of(whole: bool = False) -> EvalTransform:
    return EvalTransform(channels=3, image_size=(224, 224), store_size=(258, 258), resize=258, whole=whole)


def enlarged(path: Path, short: int) -> Image.Image:
    image = Image.open(path).convert("RGB")
    scale = short / min(image.size)
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)


def as_jpeg(image: Image.Image, **how: object) -> bytes:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=90, **how)
    return content.getvalue()


def plain(content: bytes, whole: bool) -> np.ndarray:
    """All of Pillow's pixels, resized to a short side of 258 and, unless whole, cut from the centre."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    scale = 258 / min(image.size)
    image = image.resize((int(image.width * scale), int(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = round((image.width - 258) / 2), round((image.height - 258) / 2)
    return np.asarray(image if whole else image.crop((left, top, left + 258, top + 258))).astype(int)


@pytest.mark.parametrize(("short", "whole"), [(1080, False), (1080, True), (2160, False)])
def test_photographs_are_near_their_full_decode(short: int, whole: bool, data_dir: Path) -> None:
    paths = sorted((data_dir / "hymenoptera").rglob("*.jpg"))[:: 80 if short == 1080 else 130]
    differences = []
    for path in paths:
        content = as_jpeg(enlarged(path, short))
        reference = plain(content, whole)
        decoded = transform_of(whole).decode(content).astype(int)
        assert decoded.shape == reference.shape
        differences.append(np.abs(decoded - reference).mean())
    assert len(differences) >= 3
    assert max(differences) < MOST_OF_ONE, differences
    assert np.mean(differences) < MOST_ON_AVERAGE, differences
    assert max(differences) > 0.01  # not the full decode itself


@pytest.mark.parametrize("times", [2.01, 4.05, 6.0])
def test_sharp_photographs_are_near_their_full_decode(times: float, data_dir: Path) -> None:
    """As they were published, kept at a fraction: just under a half and a quarter nothing is left to the resize."""
    differences = []
    for path in sorted((data_dir / "hymenoptera").rglob("*.jpg"))[::20]:
        image = Image.open(path).convert("RGB")
        side = int(min(image.size) / times)
        transform = EvalTransform(channels=3, image_size=(side, side), store_size=(side, side), resize=side)
        exact = transform.decode(image).astype(int)
        differences.append(np.abs(transform.decode(path).astype(int) - exact).mean())
    assert len(differences) >= 15
    assert max(differences) < MOST_OF_A_SHARP_ONE
    assert 0.1 < np.mean(differences) < MOST_ON_AVERAGE_SHARP


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("size", [(2821, 2068), (519, 517)])
def test_the_cut_of_sides_that_are_no_multiple_is_in_its_place(
    size: tuple[int, int], whole: bool, data_dir: Path
) -> None:
    """A reduced side is rounded up; what was cut by it lay a pixel beside, 13 levels from the full decode."""
    path = sorted((data_dir / "hymenoptera").rglob("2683605182_9d2a0c66cf.jpg"))[0]
    content = as_jpeg(Image.open(path).convert("RGB").resize((size[1], size[0]), Image.Resampling.LANCZOS))
    decoded = transform_of(whole).decode(content).astype(int)
    assert np.abs(decoded - plain(content, whole)).mean() < MOST_OF_A_SHARP_ONE


@pytest.mark.parametrize("size", [(500, 500), (515, 700)])
def test_less_than_twice_the_store_is_decoded_in_full(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    content = as_jpeg(Image.fromarray(noise))
    exact = transform_of().decode(Image.open(io.BytesIO(content)))
    assert np.array_equal(transform_of().decode(content), exact)


@pytest.mark.parametrize("orientation", [1, 6])
def test_turned_and_cmyk_photographs_are_reduced_alike(orientation: int) -> None:
    """A picture that varies slowly is the same at any size: what is wrong here would be sides, channels or the turn."""
    down, across = np.mgrid[0:1200, 0:1700]
    upright = np.stack([down / 1200 * 255, across / 1700 * 255, (down + across) / 2900 * 255], axis=2).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright if orientation == 1 else np.rot90(upright, 1)
    image = Image.fromarray(np.ascontiguousarray(stored))
    reference = plain(as_jpeg(Image.fromarray(upright)), whole=False)
    for content in (as_jpeg(image, exif=exif), as_jpeg(image.convert("CMYK"), exif=exif)):
        decoded = transform_of().decode(content).astype(int)
        assert np.abs(decoded - reference).mean() < MOST_ON_AVERAGE
