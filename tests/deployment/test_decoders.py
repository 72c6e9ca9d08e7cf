"""Decoding in processes that may die: real processes, really stopped and killed."""

import asyncio
import io
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from netwright.data.transform import EvalTransform
from netwright.deployment.decoders import Decoders
from netwright.errors import DataError

TRANSFORM = EvalTransform(channels=3, image_size=(8, 8), store_size=(8, 8))


@pytest.fixture(scope="module")
def decoders() -> Iterator["InTurn"]:
    with asyncio.Runner() as runner:
        made = Decoders(TRANSFORM, processes=1, seconds=0.5, most_pixels=10_000)
        yield InTurn(made, runner)
        made.close()


class InTurn:
    """Decoders, asked for one picture after the other."""

    def __init__(self, decoders: Decoders, runner: asyncio.Runner) -> None:
        self.every, self._runner = decoders, runner

    def decode(self, content: bytes, alone: bool = False) -> np.ndarray:
        return self._runner.run(self.every.decode(content, alone=alone))

    def decode_all(self, contents: Sequence[bytes]) -> list[Any]:
        async def every() -> list[Any]:
            return await asyncio.gather(*map(self.every.decode, contents), return_exceptions=True)

        return self._runner.run(every())


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("picture") / "noise.png"
    Image.effect_noise((30, 20), 80).convert("RGB").save(path)
    return path.read_bytes()


def process_of(decoders: InTurn) -> int:
    (decoder,) = decoders.every.every
    return int(decoder.process.pid)


def test_pixels_are_the_transforms(decoders: InTurn, picture: bytes) -> None:
    np.testing.assert_array_equal(decoders.decode(picture), TRANSFORM.view(TRANSFORM.decode(picture)))


def test_a_reason_comes_back_and_the_process_stays(decoders: InTurn, picture: bytes) -> None:
    before = process_of(decoders)
    with pytest.raises(DataError, match="not an image"):
        decoders.decode(b"nothing")
    with pytest.raises(DataError, match="more than"):
        decoders.decode(_large())
    assert decoders.decode(picture).shape == (8, 8, 3)
    assert process_of(decoders) == before


def test_who_is_alone_is_answered_without_the_event_loop(
    decoders: InTurn, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwright.deployment.decoders._QUICK_SECONDS", 20.0)
    expected = TRANSFORM.view(TRANSFORM.decode(picture))

    async def turns() -> tuple[np.ndarray, int]:
        await decoders.every.decode(picture)  # it is known now how long one takes
        taken: list[int] = []
        asyncio.get_running_loop().call_soon(taken.append, 1)
        return await decoders.every.decode(picture, alone=True), len(taken)

    pixels, others = decoders._runner.run(turns())
    np.testing.assert_array_equal(pixels, expected)
    assert others == 0, "it went to sleep in between"
    with pytest.raises(DataError, match="not an image"):
        decoders.decode(b"nothing", alone=True)
    os.kill(process_of(decoders), signal.SIGKILL)
    np.testing.assert_array_equal(decoders.decode(picture, alone=True), expected)
    noise = io.BytesIO()
    Image.effect_noise((700, 700), 80).save(noise, "BMP")  # more than a socket holds, and than is allowed
    with pytest.raises(DataError, match="more than"):
        decoders.decode(noise.getvalue(), alone=True)
    np.testing.assert_array_equal(decoders.decode(picture, alone=True), expected)


def test_who_is_alone_and_takes_long_is_waited_for(
    decoders: InTurn, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwright.deployment.decoders._QUICK_SECONDS", 0.05)
    decoders.decode(picture)
    os.kill(process_of(decoders), signal.SIGSTOP)
    with pytest.raises(DataError, match=r"more than 0.5 s"):
        decoders.decode(picture, alone=True)
    assert decoders.decode(picture, alone=True).shape == (8, 8, 3)


def _large() -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (200, 200)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_killed_process_costs_no_answer(decoders: InTurn, picture: bytes) -> None:
    before = process_of(decoders)
    os.kill(before, signal.SIGKILL)
    assert decoders.decode(picture).shape == (8, 8, 3)
    assert process_of(decoders) != before


def test_an_endless_decoding_costs_one_image(decoders: InTurn, picture: bytes) -> None:
    before = process_of(decoders)
    os.kill(before, signal.SIGSTOP)
    with pytest.raises(DataError, match=r"more than 0\.5 s"):
        decoders.decode(picture)
    assert not Path(f"/proc/{before}").exists() or os.name != "posix"
    assert decoders.decode(picture).shape == (8, 8, 3)


def test_more_pictures_than_processes_have_their_turns(decoders: InTurn, picture: bytes) -> None:
    large = io.BytesIO()  # more than a socket holds at once, both ways
    Image.effect_noise((99, 99), 80).convert("RGB").save(large, "BMP")
    answers = decoders.decode_all([picture, b"nothing", large.getvalue()] * 5)
    for got, wanted in zip(answers, [picture, None, large.getvalue()] * 5, strict=True):
        if wanted is None:
            assert isinstance(got, DataError)
        else:
            np.testing.assert_array_equal(got, TRANSFORM.view(TRANSFORM.decode(wanted)))


def test_who_goes_away_leaves_no_answer_to_the_next(decoders: InTurn, picture: bytes) -> None:
    async def hasty() -> np.ndarray:
        waiting = [asyncio.ensure_future(decoders.every.decode(picture)) for _ in range(3)]
        await asyncio.sleep(0)
        for each in waiting[:2]:  # the first is being decoded, the second waits for its turn
            each.cancel()
        await asyncio.gather(*waiting[:2], return_exceptions=True)
        return await waiting[2]

    np.testing.assert_array_equal(decoders._runner.run(hasty()), TRANSFORM.view(TRANSFORM.decode(picture)))
    assert decoders.decode(picture).shape == (8, 8, 3)
    assert len(decoders.every.every) == 1


def test_what_was_given_ahead_outlives_a_process_that_ends(decoders: InTurn, picture: bytes) -> None:
    async def stopped_in_the_midst() -> list[Any]:
        waiting = [asyncio.ensure_future(decoders.every.decode(picture)) for _ in range(6)]
        await asyncio.sleep(0)
        os.kill(process_of(decoders), signal.SIGKILL)
        return await asyncio.gather(*waiting)

    for answer in decoders._runner.run(stopped_in_the_midst()):
        np.testing.assert_array_equal(answer, TRANSFORM.view(TRANSFORM.decode(picture)))


def test_a_picture_that_hangs_is_blamed_and_those_behind_it_are_not(decoders: InTurn, picture: bytes) -> None:
    async def hanging() -> list[Any]:
        os.kill(process_of(decoders), signal.SIGSTOP)
        return await asyncio.gather(*(decoders.every.decode(picture) for _ in range(3)), return_exceptions=True)

    first, *rest = decoders._runner.run(hanging())
    assert isinstance(first, DataError)
    assert [each.shape for each in rest] == [(8, 8, 3)] * 2
