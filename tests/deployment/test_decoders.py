"""Decoding in processes that may die: real processes, really stopped and killed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netwright.data.transform import EvalTransform
from netwright.deployment.decoders import Decoders
from netwright.errors import DataError

TRANSFORM = EvalTransform(channels=3, image_size=(8, 8), store_size=(8, 8))


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    made = Decoders(TRANSFORM, processes=1, seconds=0.5, most_pixels=10_000)
    yield made
    made.close()


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("picture") / "noise.png"
    Image.effect_noise((30, 20), 80).convert("RGB").save(path)
    return path.read_bytes()


def process_of(decoders: Decoders) -> int:
    decoder = decoders._idle.get()
    decoders._idle.put(decoder)
    return int(decoder._process.pid)


def test_pixels_are_the_transforms(decoders: Decoders, picture: bytes) -> None:
    np.testing.assert_array_equal(decoders.decode(picture), TRANSFORM.view(TRANSFORM.decode(picture)))


def test_a_reason_comes_back_and_the_process_stays(decoders: Decoders, picture: bytes) -> None:
    before = process_of(decoders)
    with pytest.raises(DataError, match="not an image"):
        decoders.decode(b"nothing")
    with pytest.raises(DataError, match="more than"):
        decoders.decode(_large())
    assert decoders.decode(picture).shape == (8, 8, 3)
    assert process_of(decoders) == before


def _large() -> bytes:
    import io

    buffer = io.BytesIO()
    Image.new("1", (200, 200)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_killed_process_costs_no_answer(decoders: Decoders, picture: bytes) -> None:
    before = process_of(decoders)
    os.kill(before, signal.SIGKILL)
    assert decoders.decode(picture).shape == (8, 8, 3)
    assert process_of(decoders) != before


def test_an_endless_decoding_costs_one_image(decoders: Decoders, picture: bytes) -> None:
    before = process_of(decoders)
    os.kill(before, signal.SIGSTOP)
    with pytest.raises(DataError, match=r"more than 0\.5 s"):
        decoders.decode(picture)
    assert not Path(f"/proc/{before}").exists() or os.name != "posix"
    assert decoders.decode(picture).shape == (8, 8, 3)
