import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netwright.data.decode import decode_picture, read_header
from netwright.data.transform import EvalTransform
from netwright.errors import DataError


def encoded(image: Image.Image, kind: str, **how: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def png(width: int, height: int, bits: int, color: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG written by hand: an independent reference, and headers that no encoder would write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright(picture: Image.Image, kind: str, orientation: int) -> None:
    turns = {2: lambda p: p[:, ::-1], 3: lambda p: p[::-1, ::-1], 4: lambda p: p[::-1], 5: lambda p: p.swapaxes(0, 1)}
    turns |= {6: lambda p: np.rot90(p, 1), 7: lambda p: p[::-1, ::-1].swapaxes(0, 1), 8: lambda p: np.rot90(p, -1)}
    upright = np.asarray(picture)
    stored = np.ascontiguousarray(turns.get(orientation, lambda p: p)(upright))  # the inverse of what a viewer does
    exif = Image.Exif()
    exif[0x0112] = orientation
    how = {"PNG": {}, "TIFF": {}, "JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}[kind]
    content = encoded(Image.fromarray(stored), kind, exif=exif, **how)
    decoded = np.asarray(decode_picture(content, 3)).astype(int)
    assert read_header(content)[:2] == upright.shape[:2]
    assert decoded.shape == upright.shape
    assert np.abs(decoded - upright).max() <= (6 if kind == "JPEG" else 0)


def test_cmyk_jpeg_is_near_its_rgb(picture: Image.Image) -> None:
    decoded = np.asarray(decode_picture(encoded(picture.convert("CMYK"), "JPEG", quality=100), 3)).astype(int)
    assert np.abs(decoded - np.asarray(picture)).mean() < 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_gray_is_scaled_and_not_saturated(kind: str) -> None:
    ramp = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    decoded = np.asarray(decode_picture(encoded(Image.fromarray(ramp), kind), 1))
    assert decoded.tolist() == np.rint(ramp / 257).astype(int).tolist()
    window = np.asarray(decode_picture(encoded(Image.fromarray(ramp), kind), 1, window=(0, 32768)))
    assert window.tolist() == np.clip(np.rint(ramp / 32768 * 255), 0, 255).astype(int).tolist()


def test_float_tiff_needs_a_declared_range() -> None:
    content = encoded(Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)), "TIFF")
    with pytest.raises(DataError, match="value_range"):
        decode_picture(content, 1)
    decoded = np.asarray(decode_picture(content, 1, window=(0, 1)))
    assert (decoded.min(), decoded.max()) == (0, 255)


def test_transparency_is_laid_on_the_background() -> None:
    red = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    red.putpixel((0, 0), (255, 0, 0, 255))
    red.putpixel((1, 0), (255, 0, 0, 128))
    on_white = np.asarray(decode_picture(encoded(red, "PNG"), 3))
    assert on_white[0, 0].tolist() == [255, 0, 0]
    assert on_white[0, 1].tolist() == [255, 127, 127]
    assert on_white[2, 2].tolist() == [255, 255, 255]
    assert np.asarray(decode_picture(encoded(red, "PNG"), 3, background=0))[2, 2].tolist() == [0, 0, 0]
    gray = np.asarray(decode_picture(encoded(Image.new("LA", (4, 4), (10, 0)), "PNG"), 1, background=200))
    assert gray.tolist() == [[200] * 4] * 4


def test_palettes_with_and_without_transparency() -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([9, 9, 9, 0, 200, 0, 0, 0, 250])
    assert np.asarray(decode_picture(encoded(palette, "PNG"), 3))[0, 0].tolist() == [0, 200, 0]
    for transparency in (1, bytes([255, 0, 255])):
        content = encoded(palette, "PNG", transparency=transparency)
        assert np.asarray(decode_picture(content, 3))[0, 0].tolist() == [255, 255, 255]


def test_1_bit_and_first_frame() -> None:
    assert np.asarray(decode_picture(encoded(Image.new("1", (4, 4), 1), "PNG"), 1)).max() == 255
    frames = [Image.new("RGB", (6, 6), color) for color in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert read_header(content).animated
    assert np.asarray(decode_picture(content, 3))[0, 0].tolist() == [255, 0, 0]


def test_gray_is_pillows_luma(picture: Image.Image) -> None:
    assert np.array_equal(np.asarray(decode_picture(encoded(picture, "PNG"), 1)), np.asarray(picture.convert("L")))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "looks like HTML"),
        (b"Not found: the picture was moved.\n", "looks like text"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\x01\x02\x03\x04" * 9, "unknown content"),
        (png(50000, 50000, 8, 2, b""), "declares"),
        (png(9400, 9400, 8, 0, b""), "more than 50 million"),
        (png(64, 64, 8, 2, b"\0" * 100), "damaged"),
    ],
)
def test_what_is_no_picture_is_named_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "kitten.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason) as caught:
        decode_picture(path, 3)
    assert "kitten.jpg" in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_half_a_file_is_refused(picture: Image.Image, kind: str) -> None:
    content = encoded(picture.resize((200, 150)), kind)
    with pytest.raises(DataError):
        decode_picture(content[: len(content) // 2], 3)


def test_missing_file_and_compressed_text_bomb(tmp_path: Path, picture: Image.Image) -> None:
    with pytest.raises(DataError, match="no such file"):
        decode_picture(tmp_path / "gone.png", 3)
    text = b"key\0\0" + zlib.compress(b"a" * 20_000_000, 9)
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text + struct.pack(">I", zlib.crc32(b"zTXt" + text))
    with pytest.raises(DataError):
        decode_picture(png(8, 8, 8, 0, b"\0" * 72, chunk), 1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_flipped_bits_end_in_a_picture_or_a_data_error(picture: Image.Image, kind: str) -> None:
    content = encoded(picture, kind)
    random = np.random.default_rng(7)
    transform = EvalTransform(channels=3, image_size=(16, 16), store_size=(18, 18), mean=(0,) * 3, std=(1,) * 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(60):
            damaged = bytearray(content)
            damaged[random.integers(0, len(content))] ^= 1 << int(random.integers(0, 8))
            try:
                decoded = transform.decode(bytes(damaged))
            except DataError:
                continue
            assert decoded.shape == (18, 18, 3)


def test_every_flipped_bit_in_the_pixels_of_a_png_is_noticed(picture: Image.Image) -> None:
    """Pillow alone shows many of them as pixels."""
    content = encoded(picture.convert("P"), "PNG", transparency=3)
    start, end = content.index(b"PLTE"), content.index(b"IEND") - 4
    for place in range(start, end, 3):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        with pytest.raises(DataError):
            decode_picture(bytes(damaged), 3)
    assert decode_picture(content, 3).size == picture.size
