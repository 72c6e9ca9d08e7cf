"""The HTML that a notebook shows for a run."""

import base64
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from netwright.report.notebook import history_html

pytestmark = pytest.mark.filterwarnings("error")

METRICS = {"val": {"accuracy": 0.981, "accuracy_interval": [0.956, 0.993], "loss": 0.071, "num_samples": 2700}}


class Tags(HTMLParser):
    """Collects tags and checks that each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append(tag)
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_shows_numbers_curves_and_epochs(made_history: Any, png_size: Any) -> None:
    page = history_html(made_history(3), METRICS, "digits", best_epoch=2)
    tags = Tags(page)
    assert tags.open == []
    assert {"98.1 %", "95.6 % to 99.3 %", "0.0710", "2,700", "val accuracy"} <= set(tags.words)
    assert tags.seen.count("tr") == 2 + 4
    picture = re.search(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
    assert picture is not None
    assert png_size(base64.b64decode(picture[1])) == (1200, 504)
    assert "<b>2</b>" in page


def test_many_epochs_are_folded(made_history: Any) -> None:
    assert "<details>" in history_html(made_history(11), {}, "x")
    assert "<details open>" in history_html(made_history(10), {}, "x")


def test_hostile_text_is_escaped(hostile: list[str], made_history: Any) -> None:
    for name in hostile:
        page = history_html(made_history(1), {name: {"accuracy": None, "loss": float("nan")}}, name)
        assert "<script" not in page
        assert "\u202e" not in page
        page.encode("utf-8")
        assert Tags(page).open == []


def test_nothing_yet() -> None:
    assert Tags(history_html([], {}, "x")).words == ["x"]


def test_what_is_unknown_is_a_dash() -> None:
    page = history_html([{"epoch": 1, "train_loss": None, "lr": None}], {"test": {}}, "x")
    assert page.count(">–<") == 2 + 4
