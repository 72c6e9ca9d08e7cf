"""The page in Chromium: drop an image, read the answer; with the keyboard; on a phone; with a token."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from netwright.config.serving import Serving
from netwright.web.guard import Access
from netwright.workflows.serve import Service
from tests.web.chromium import CHROMIUM, Chromium
from tests.web.conftest import HOSTS, serving

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on the PATH")
ANSWERED = "!document.getElementById('answer').hidden"
EXPLAINED = "!document.getElementById('seen').hidden && document.getElementById('overlay').naturalWidth > 0"
TAB = ("Tab", 9)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


def drop(chromium: Chromium, content: bytes, event: str = "drop") -> None:
    """Drop (or paste) a file on the page, as a browser would tell it."""
    chromium.evaluate(
        f"""(() => {{
          const bytes = Uint8Array.from(atob({json.dumps(base64.b64encode(content).decode())}), c => c.charCodeAt(0));
          const given = new DataTransfer();
          given.items.add(new File([bytes], "digit.png", {{ type: "image/png" }}));
          const made = "{event}" === "drop" ? new DragEvent("drop", {{ dataTransfer: given, bubbles: true }})
            : new ClipboardEvent("paste", {{ clipboardData: given, bubbles: true }});
          document.body.dispatchEvent(made);
        }})()"""
    )


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_an_image_is_answered(
    event: str, chromium: Chromium, served: tuple[httpx.Client, Service], pictures: list[Path]
) -> None:
    client, _ = served
    chromium.asked.clear()
    chromium.open(str(client.base_url))
    chromium.wait_for("document.getElementById('about').textContent.startsWith('10 classes')")
    drop(chromium, pictures[2].read_bytes(), event)
    chromium.wait_for(ANSWERED)
    answer = client.post("/predict", content=pictures[2].read_bytes(), headers={"content-type": "image/png"}).json()
    wanted = answer["predictions"][0]
    assert chromium.evaluate("document.getElementById('label').textContent") == wanted["label"]
    shown = chromium.evaluate("[...document.querySelectorAll('#bars tr')].map(row => row.innerText.split('\\t').pop())")
    likeliest = sorted(wanted["probabilities"].values(), reverse=True)[:5]
    assert [text.strip() for text in shown] == [f"{100 * value:.1f} %" for value in likeliest]
    chromium.wait_for(EXPLAINED)
    assert all(url.startswith((str(client.base_url), "blob:", "data:")) for url in chromium.asked), chromium.asked
    assert chromium.complaints == []


def test_the_camera_takes_a_picture(chromium: Chromium, served: tuple[httpx.Client, Service]) -> None:
    chromium.open(str(served[0].base_url))
    chromium.evaluate("document.getElementById('camera').click()")
    chromium.wait_for("document.getElementById('video').videoWidth > 0")
    chromium.evaluate("document.getElementById('shoot').click()")
    chromium.wait_for(ANSWERED)
    assert chromium.evaluate("document.getElementById('image').naturalWidth") > 100
    assert chromium.evaluate("document.getElementById('label').textContent") in set("0123456789")
    assert chromium.evaluate("document.getElementById('video').hidden")
    chromium.wait_for(EXPLAINED)
    assert chromium.complaints == []


def test_what_is_no_image_is_said(chromium: Chromium, served: tuple[httpx.Client, Service]) -> None:
    chromium.open(str(served[0].base_url))
    drop(chromium, b"<script>document.title = 'bad'</script>")
    chromium.wait_for("document.getElementById('state').classList.contains('wrong')")
    assert chromium.evaluate("document.getElementById('state').textContent").startswith("Not an image (looks like text")
    assert chromium.evaluate("document.title") != "bad"
    chromium.complaints.clear()  # Chromium notes the 422


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_sticks_out(
    width: int,
    dark: bool,
    chromium: Chromium,
    served: tuple[httpx.Client, Service],
    pictures: list[Path],
    tmp_path: Path,
) -> None:
    chromium.open(str(served[0].base_url), width=width, dark=dark)
    drop(chromium, pictures[3].read_bytes())
    chromium.wait_for(EXPLAINED)
    chromium.evaluate("document.getElementById('card-box').open = true")
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    paper = chromium.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") is not dark
    chromium.screenshot(tmp_path / f"page-{width}-{'dark' if dark else 'light'}.png")


def test_the_keyboard_reaches_everything(
    chromium: Chromium, served: tuple[httpx.Client, Service], pictures: list[Path]
) -> None:
    chromium.open(str(served[0].base_url))
    drop(chromium, pictures[0].read_bytes())
    chromium.wait_for(ANSWERED)
    reached = []
    for _ in range(8):
        chromium.press(*TAB)
        reached.append(chromium.evaluate("document.activeElement.id || document.activeElement.tagName"))
    visible = chromium.evaluate(
        "[...document.querySelectorAll('input, button, summary')]"
        ".filter(each => each.offsetParent).map(each => each.id || each.tagName)"
    )
    assert set(visible) <= set(reached)


def test_a_token_is_asked_for_and_the_image_is_not_lost(chromium: Chromium, bundle: Path, pictures: list[Path]) -> None:
    with serving(bundle, Serving(decoders=1), Access(HOSTS, "a-token-of-some-length")) as (client, _):
        chromium.open(str(client.base_url))
        chromium.wait_for("!document.getElementById('token-form').hidden")
        drop(chromium, pictures[4].read_bytes())
        chromium.evaluate("document.getElementById('token').value = 'a-token-of-some-length'")
        chromium.evaluate("document.querySelector('#token-form button').click()")
        chromium.wait_for(ANSWERED)
        chromium.evaluate("sessionStorage.clear()")
        chromium.complaints.clear()
