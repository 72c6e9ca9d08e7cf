import io

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from netwright.data.transform import EvalTransform
from netwright.errors import DataError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def transform_of(
    channels: int = 3, image: tuple[int, int] = (20, 22), store: tuple[int, int] = (24, 26), **more: object
) -> EvalTransform:
    how = {"mean": MEAN[:channels], "std": STD[:channels]} | more
    return EvalTransform(channels=channels, image_size=image, store_size=store, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("image", [(20, 22), (24, 26), (19, 21)])
def test_finish_equals_torchvision(channels: int, image: tuple[int, int]) -> None:
    pixels = torch.randint(0, 256, (5, 24, 26, channels), dtype=torch.uint8)
    before = pixels.clone()
    ours = transform_of(channels, image).finish(pixels)
    steps = [v2.CenterCrop(image), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN[:channels], STD[:channels])]
    assert torch.allclose(ours, v2.Compose(steps)(pixels.permute(0, 3, 1, 2)), atol=1e-5)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(pixels, before)


def test_floats_mean_the_same_as_bytes_in_their_range() -> None:
    pixels = torch.randint(0, 256, (2, 20, 22, 3), dtype=torch.uint8)
    floats = pixels.float() / 255 * 2 - 1
    transform = transform_of(value_range=(-1.0, 1.0))
    before = floats.clone()
    assert torch.allclose(transform.finish(floats), transform.finish(pixels), atol=1e-5)
    assert torch.allclose(
        transform.finish(transform.unit(floats), in_unit_range=True), transform.finish(pixels), atol=1e-5
    )
    assert torch.equal(floats, before)


@pytest.mark.parametrize("size", [(640, 480), (300, 258), (258, 258), (500, 1000), (60, 90)])
def test_decode_equals_torchvisions_resize_and_crop(size: tuple[int, int]) -> None:
    low = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    image = Image.fromarray(low).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    theirs = v2.Compose([v2.Resize(258), v2.CenterCrop(258)])(image)
    ours = transform_of(image=(224, 224), store=(258, 258), resize=258).decode(image)
    assert np.array_equal(ours, np.asarray(theirs))


def test_every_kind_of_source_gives_the_same_pixels(tmp_path: object) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    path = tmp_path / "نص\nüñ.png"  # type: ignore[operator]
    path.write_bytes(buffer.getvalue())
    for channels in (1, 3):
        transform = transform_of(channels)
        made = [
            transform.decode(source) for source in (path, str(path), buffer.getvalue(), Image.fromarray(pixels), pixels)
        ]
        assert all(np.array_equal(made[0], other) for other in made)
        assert made[0].shape == (24, 26, channels)


def test_a_large_jpeg_decoded_small_is_near_the_full_one() -> None:
    low = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    image = Image.fromarray(low).resize((1600, 1200), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    transform = transform_of(image=(64, 64), store=(74, 74))
    difference = np.abs(transform.decode(buffer.getvalue()).astype(int) - transform.decode(image).astype(int))
    assert difference.mean() < 2


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((20000, 1, 3), np.uint8), "too thin"),
        (np.zeros((3, 20, 20), np.uint8), r"expected \(H, W\)"),
        (np.zeros((20, 20), np.float32), "give uint8"),
        (np.zeros((0, 20), np.uint8), "expected"),
    ],
)
def test_arrays_that_are_no_pictures(array: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        transform_of().decode(array)


def test_floats_outside_their_range_are_refused_and_inside_resized() -> None:
    transform = transform_of(value_range=(0.0, 1.0))
    with pytest.raises(DataError, match="values from 0 to 255"):
        transform.decode(np.full((30, 30, 3), 255, np.uint8) * np.eye(30, dtype=np.uint8)[..., None])
    assert transform.decode(np.full((30, 30, 3), 0.5)).dtype == np.float32
    assert np.allclose(transform.decode(np.full((30, 30), 0.5)), 0.5)


def test_1_pixel_works_and_the_bundle_keeps_all() -> None:
    transform = transform_of(value_range=(0.0, 1.0), resize=24, background=7)
    assert transform.decode(Image.new("RGB", (1, 1), "red")).shape == (24, 26, 3)
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(transform)), EvalTransform) == transform
