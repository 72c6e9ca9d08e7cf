"""Masks over HTTP: what the network alone says of each pixel, in the size of the upright picture, in bounded memory."""

import asyncio
import base64
import io
import json
import math
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

import netwright as nw
from netwright.config.serving import Serving
from netwright.deployment.batcher import TooLate
from netwright.deployment.service_masks import MOST_PIXELS_AT_ONCE, MaskService, _Held
from netwright.report.overlay import colour_of
from netwright.workflows.serve import Service
from tests.web.conftest import leaks, serving, until

Served = tuple[httpx.Client, MaskService]
BYTES = {"content-type": "application/octet-stream"}
PNG = BYTES | {"accept": "image/png"}


@pytest.fixture(scope="module")
def masks(mask_bundle: Path) -> Iterator[tuple[httpx.Client, Service]]:
    limits = Serving(decoders=1, deadline_seconds=30, most_pixels=2_000_000)  # a damaged header may promise as many
    with serving(mask_bundle, limits) as both:
        yield both


def picture_of(url: str) -> Image.Image:
    assert url.startswith("data:image/png;base64,")
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def noise(width: int, height: int, kind: str = "PNG", **saved: Any) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((width, height), 80).save(buffer, kind, **saved)
    return buffer.getvalue()


def by_torch(bundle: Path, pixels: np.ndarray) -> np.ndarray:
    """Return the mask that the network alone gives, normalised as bundle.json says."""
    transform = json.loads((bundle / "bundle.json").read_text())["transform"]
    images = (torch.from_numpy(pixels.copy())[None, None] / 255 - transform["mean"][0]) / transform["std"][0]
    with torch.inference_mode():
        return nw.load(bundle.parent).network()(images).argmax(dim=1)[0].numpy()


def test_a_mask_is_what_the_network_says_of_each_pixel(masks: Served, mask_bundle: Path, disc: Path) -> None:
    answer = masks[0].post("/predict?overlay=true", content=disc.read_bytes(), headers=BYTES)
    (found,) = answer.json()["predictions"]
    pixels = np.asarray(Image.open(disc))
    expected = by_torch(mask_bundle, pixels)
    assert 0 < expected.mean() < 1
    mask = picture_of(found["mask"])
    np.testing.assert_array_equal(np.asarray(mask), expected)
    assert mask.convert("RGB").getpixel(tuple(np.argwhere(expected.T == 1)[0])) == colour_of(1)
    assert found["shares"] == pytest.approx({"background": 1 - expected.mean(), "foreground": expected.mean()})
    assert (found["width"], found["height"]) == (48, 48)
    drawn = np.asarray(picture_of(found["overlay"]))
    np.testing.assert_array_equal(drawn[expected == 0], np.repeat(pixels[expected == 0][:, None], 3, axis=1))
    half = (pixels[expected == 1][:, None] + np.array(colour_of(1), dtype=float)) / 2
    assert np.abs(drawn[expected == 1] - half).max() <= 0.5


def test_a_mask_is_upright_and_as_large_as_the_picture(masks: Served) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    content = noise(90, 40, "JPEG", exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    assert upright.size == (40, 90)
    (found,) = masks[0].post("/predict", content=content, headers=BYTES).json()["predictions"]
    assert (found["width"], found["height"]) == picture_of(found["mask"]).size == upright.size
    assert "overlay" not in found


def test_one_mask_can_be_the_answer_itself(masks: Served, disc: Path) -> None:
    client, _ = masks
    content = disc.read_bytes()
    (found,) = client.post("/predict?overlay=true", content=content, headers=BYTES).json()["predictions"]
    for query, name in (("", "mask"), ("?overlay=true", "overlay")):
        answer = client.post(f"/predict{query}", content=content, headers=PNG)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        assert answer.content == base64.b64decode(found[name].partition(",")[2])
    for accept in ("*/*", "image/png;q=0.5, application/json", "text/html", ""):
        answer = client.post("/predict", content=content, headers=BYTES | {"accept": accept})
        assert answer.headers["content-type"] == "application/json"
    assert client.post("/predict", content=b"<html>", headers=PNG).json()["predictions"][0]["error"]
    both = client.post("/predict", files=[("images", ("a.png", content))] * 2, headers={"accept": "image/png"})
    assert (both.status_code, both.json()["error"]["code"]) == (406, "not_acceptable")
    assert client.post("/predict?overlay=maybe", content=content, headers=BYTES).status_code == 422


def test_pictures_of_a_form_share_batches_and_are_answered_as_alone(masks: Served, disc: Path) -> None:
    client, _ = masks
    contents = [disc.read_bytes(), noise(48, 48), b"no image", noise(70, 31), noise(48, 48)]
    given = client.post("/predict", files=[("images", (f"{n}.png", each)) for n, each in enumerate(contents)])
    answers = given.json()["predictions"]
    assert [each["source"] for each in answers] == [f"{n}.png" for n in range(5)]
    assert [("error" in each) for each in answers] == [False, False, True, False, False]
    for content, answer in zip(contents, answers, strict=True):
        (alone,) = client.post("/predict", content=content, headers=BYTES).json()["predictions"]
        assert alone.get("error") == answer.get("error")
        if "error" not in answer:
            there, here = (np.asarray(picture_of(each["mask"])) for each in (answer, alone))
            assert (there != here).mean() < 2e-3  # a batch of one is summed in another order, which decides ties


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2000, 3)])
def test_pictures_smaller_than_the_networks_halvings(size: tuple[int, int], masks: Served) -> None:
    answer = masks[0].post("/predict", content=noise(*size), headers=PNG)
    assert Image.open(io.BytesIO(answer.content)).size == size


def test_a_large_picture_is_computed_in_parts(
    masks: Served, mask_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, service = masks
    computed, outputs = [], service._masks.outputs
    monkeypatch.setattr(service._masks, "outputs", lambda pixels: (computed.append(pixels.shape), outputs(pixels))[1])
    content = noise(1300, 1100)
    mask = np.asarray(Image.open(io.BytesIO(client.post("/predict", content=content, headers=PNG).content)))
    assert len(computed) == 9
    assert max(shape[0] * shape[1] * shape[2] for shape in computed) <= MOST_PIXELS_AT_ONCE
    differing = mask != by_torch(mask_bundle, np.asarray(Image.open(io.BytesIO(content))))
    assert differing.mean() < 1e-4  # sums of another order decide ties


def test_a_small_picture_does_not_wait_for_a_large_one(masks: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    client, service = masks
    order, outputs = [], service._masks.outputs

    def slow(pixels: torch.Tensor) -> torch.Tensor:
        if not order:
            until(lambda: service._batcher._requests)  # the small one's
        order.append(min(pixels.shape[1:3]))
        return outputs(pixels)

    monkeypatch.setattr(service._masks, "outputs", slow)
    url, statuses = f"{client.base_url}/predict", []

    def ask(content: bytes) -> None:
        statuses.append(httpx.post(url, content=content, headers=BYTES, timeout=60).status_code)

    large = threading.Thread(target=ask, args=(noise(1100, 600),))
    large.start()
    until(lambda: service._batcher._thread.is_alive() and service.waiting == 1)
    ask(noise(48, 48))
    large.join()
    assert statuses == [200, 200]
    assert order.index(48) <= 1


def test_a_large_picture_that_nobody_waits_for_is_not_computed_to_its_end(
    masks: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, service = masks
    hold, computed, outputs = threading.Event(), [], service._masks.outputs

    def slow(pixels: torch.Tensor) -> torch.Tensor:
        computed.append(pixels.shape)
        assert hold.wait(30)
        return outputs(pixels)

    monkeypatch.setattr(service._masks, "outputs", slow)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{client.base_url}/predict", content=noise(1300, 1100), headers=BYTES, timeout=1)
    until(lambda: service.waiting == 0)
    hold.set()
    until(lambda: not service._batcher._requests)
    assert client.post("/predict", content=noise(48, 48), headers=BYTES).status_code == 200
    assert len(computed) == 2  # the first of 9 tiles, and the next picture


def test_no_more_is_decoded_while_much_is_held() -> None:
    read: list[str] = []

    async def decoded(name: str) -> np.ndarray:
        read.append(name)
        return np.zeros((10, 10, 1), np.uint8)

    async def ask(held: _Held, name: str, leave: asyncio.Event, seconds: float = 30) -> None:
        async with held.decoded(lambda: decoded(name), time.monotonic() + seconds):
            await leave.wait()

    async def all_of_them() -> None:
        held, leave = _Held(150, decoders=1), asyncio.Event()
        tasks = [asyncio.create_task(ask(held, name, leave)) for name in "abc"]
        await asyncio.sleep(0.02)
        assert read == ["a", "b"]  # 200 pixels are more than 150
        with pytest.raises(TooLate):
            await ask(held, "late", leave, seconds=0.02)
        leave.set()
        await asyncio.gather(*tasks)
        assert read == ["a", "b", "c"]
        assert held._pixels == 0

    asyncio.run(all_of_them())


def test_a_table_of_colours_is_where_the_model_is_described(masks: Served) -> None:
    model = masks[0].get("/model").json()
    assert (model["task"], model["takes"], model["engine"]["name"]) == ("segmentation", "images", "torch")
    assert model["engine"]["precision"] == "fp32"
    assert model["colours"] == {"background": "#000000", "foreground": "#e69f00"}
    assert masks[0].post("/explain", content=b"x", headers=BYTES).status_code == 404


@pytest.mark.parametrize("number", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_hostile_bodies_are_never_the_servers_fault(number: int, masks: Served, disc: Path) -> None:
    client, draw = masks[0], random.Random(6)
    whole = [disc.read_bytes(), noise(20, 9, "JPEG"), noise(3, 64, "GIF"), noise(33, 5, "BMP"), noise(9, 8, "TIFF")]
    for _ in range(number):
        body = bytearray(draw.choice(whole))
        for _ in range(draw.randrange(1, 6)):
            body[draw.randrange(len(body))] = draw.randrange(256)
        sent = bytes(body[: draw.randrange(len(body))]) if draw.random() < 0.2 else bytes(body)
        answer = client.post("/predict", content=sent, headers=draw.choice([BYTES, PNG, {"content-type": "image/x"}]))
        assert answer.status_code in (200, 422), (answer.status_code, answer.text)
        if answer.headers["content-type"] == "image/png":
            Image.open(io.BytesIO(answer.content)).load()
            continue
        assert answer.json().keys() & {"predictions", "error"}
        assert not leaks(answer.text)
    assert client.post("/predict", content=disc.read_bytes(), headers=BYTES).status_code == 200
    assert math.isclose(masks[1]._held._pixels, 0)
