"""The page of networks that give masks or numbers, and of those that take rows, in Chromium."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from netwright.config.serving import Serving
from netwright.workflows.serve import Service
from tests.web.chromium import CHROMIUM, Chromium
from tests.web.conftest import serving
from tests.web.test_page import ANSWERED, TAB, chromium, drop

__all__ = ["chromium"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on the PATH")
Served = tuple[httpx.Client, Service]
BYTES = {"content-type": "application/octet-stream"}
SEEN = "[...document.getElementById('mask').getContext('2d').getImageData(0, 0, 48, 48).data]"
NAMES = "[...document.querySelectorAll('#bars tr')].map(row => row.innerText.split('\\t').map(cell => cell.trim()))"


@pytest.fixture(scope="module")
def masks(mask_bundle: Path) -> Iterator[Served]:
    with serving(mask_bundle, Serving(decoders=1, deadline_seconds=30)) as both:
        yield both


@pytest.fixture(scope="module")
def rows(row_bundles: dict[str, Path]) -> Iterator[Served]:
    with serving(row_bundles["classes"]) as both:
        yield both


def percent(fraction: float) -> str:
    return ">99.9 %" if 0.999 < fraction < 1 else f"{100 * fraction:.1f} %"


def test_a_mask_lies_over_the_image(chromium: Chromium, masks: Served, disc: Path) -> None:
    client, _ = masks
    wanted = client.post("/predict", content=disc.read_bytes(), headers=BYTES).json()["predictions"][0]
    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(wanted["mask"].partition(",")[2]))))
    chromium.asked.clear()
    chromium.open(str(client.base_url))
    chromium.wait_for("document.getElementById('about').textContent.includes('background, foreground')")
    drop(chromium, disc.read_bytes())
    chromium.wait_for(ANSWERED)
    shown = np.array(chromium.evaluate(SEEN)).reshape(48, 48, 4)
    assert (shown[mask == 1] == (0xE6, 0x9F, 0x00, 255)).all()
    assert (shown[mask == 0][:, 3] == 0).all()
    image, over = (
        chromium.evaluate(f"(({{ x, y, width, height }}) => [x, y, width, height])({box})")
        for box in (f"document.getElementById('{name}').getBoundingClientRect()" for name in ("image", "mask"))
    )
    assert image == over
    assert 0.02 < wanted["shares"]["foreground"] < 0.5
    names = [[name, percent(share)] for name, share in wanted["shares"].items()]
    assert [[row[0], row[-1]] for row in chromium.evaluate(NAMES)] == names
    assert chromium.evaluate("document.getElementById('download').download") == "digit-mask.png"
    assert chromium.evaluate("document.getElementById('download').href") == wanted["mask"]
    assert all(url.startswith((str(client.base_url), "blob:", "data:")) for url in chromium.asked), chromium.asked
    assert chromium.complaints == []


def test_the_keyboard_moves_the_mask(chromium: Chromium, masks: Served, disc: Path) -> None:
    chromium.open(str(masks[0].base_url))
    drop(chromium, disc.read_bytes())
    chromium.wait_for(ANSWERED)
    reached: list[str] = []
    while "opacity" not in reached:
        chromium.press(*TAB)
        reached.append(chromium.evaluate("document.activeElement.id || document.activeElement.tagName"))
        assert len(reached) < 10, reached
    chromium.press("Home", 36)
    assert chromium.evaluate("getComputedStyle(document.getElementById('mask')).opacity") == "0"
    chromium.press("ArrowRight", 39)
    assert chromium.evaluate("document.getElementById('opacity-said').textContent") == "1 %"
    chromium.press(*TAB)
    assert chromium.evaluate("document.activeElement.id") == "download"


def test_a_second_image_has_its_own_mask(chromium: Chromium, masks: Served, disc: Path) -> None:
    chromium.open(str(masks[0].base_url))
    drop(chromium, disc.read_bytes())
    chromium.wait_for(ANSWERED)
    buffer = io.BytesIO()
    Image.new("L", (90, 30), 70).save(buffer, "PNG")
    drop(chromium, buffer.getvalue())
    chromium.wait_for(f"{ANSWERED} && document.getElementById('mask').width === 90")
    drop(chromium, b"no image")
    chromium.wait_for("document.getElementById('state').classList.contains('wrong')")
    assert chromium.evaluate("document.getElementById('answer').hidden")
    chromium.complaints.clear()  # Chromium notes the 422


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_sticks_out(
    width: int, dark: bool, chromium: Chromium, masks: Served, rows: Served, disc: Path
) -> None:
    chromium.open(str(masks[0].base_url), width=width, dark=dark)
    drop(chromium, disc.read_bytes())
    chromium.wait_for(ANSWERED)
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    chromium.open(str(rows[0].base_url), width=width, dark=dark)
    chromium.wait_for("document.querySelectorAll('#fields input, #fields select').length === 4")
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width


def test_a_row_is_typed_and_answered(chromium: Chromium, rows: Served) -> None:
    client, _ = rows
    chromium.open(str(client.base_url))
    chromium.wait_for("!document.getElementById('row').hidden")
    assert chromium.evaluate("document.getElementById('title').textContent") == "Predict kind"
    assert chromium.evaluate("document.getElementById('input').hidden")
    kinds = chromium.evaluate("[...document.querySelectorAll('#fields input, #fields select')].map(each => each.type)")
    assert kinds == ["text", "date", "select-one", "select-one"]
    chromium.evaluate(
        """(() => {
          const [size, made, fresh, colour] = document.querySelectorAll("#fields input, #fields select");
          size.value = "0.315"; made.value = "2024-05-11"; colour.value = "blue";
        })()"""
    )
    chromium.evaluate("document.getElementById('column-0').focus()")
    chromium.call("Input.dispatchKeyEvent", type="char", text="\r", key="Enter", code="Enter")
    chromium.wait_for(ANSWERED)
    row = {"size": "0.315", "made": "2024-05-11", "new": None, "colour": "blue"}
    (wanted,) = client.post("/predict", json=row).json()["predictions"]
    assert chromium.evaluate("document.getElementById('label').textContent") == f"kind: {wanted['label']}"
    shown = {name: number for name, *_, number in chromium.evaluate(NAMES)}
    assert shown == {name: percent(value) for name, value in wanted["probabilities"].items()}
    assert chromium.complaints == []


def test_what_is_wrong_with_a_row_is_said(chromium: Chromium, rows: Served) -> None:
    chromium.open(str(rows[0].base_url))
    chromium.wait_for("!document.getElementById('row').hidden")
    chromium.evaluate("document.getElementById('column-0').value = 'large'")
    chromium.evaluate("document.querySelector('#row > button').click()")
    chromium.wait_for("document.getElementById('state').classList.contains('wrong')")
    assert "'large'" in chromium.evaluate("document.getElementById('state').textContent")
    chromium.complaints.clear()  # Chromium notes the 422


def test_a_number_has_its_error(chromium: Chromium, number_bundle: Path, pictures: list[Path]) -> None:
    with serving(number_bundle) as (client, _):
        chromium.open(str(client.base_url))
        chromium.wait_for("document.getElementById('title').textContent === 'Predict brightness'")
        drop(chromium, pictures[2].read_bytes())
        chromium.wait_for(ANSWERED)
        (wanted,) = client.post("/predict", content=pictures[2].read_bytes(), headers=BYTES).json()["predictions"]
        shown = float(chromium.evaluate("document.getElementById('label').textContent").replace(",", ""))
        assert shown == pytest.approx(wanted["value"], rel=1e-5)
        off = client.get("/model").json()["metrics"]["val"]["mae"]
        said = chromium.evaluate("document.getElementById('sure').textContent")
        assert "brightness, off by" in said
        assert float(said.split("off by ")[1].split()[0].replace(",", "")) == pytest.approx(off, rel=0.005)
        assert chromium.complaints == []
