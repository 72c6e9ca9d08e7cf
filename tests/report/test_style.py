"""The common look: no global state, safe text, names that fit."""

import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.style import context

from netwright.errors import MachineError
from netwright.report.curves import draw_curves
from netwright.report.style import DPI, fitted, new_figure, plain, png_bytes, save_figure, words


def test_png_has_the_size_asked_for(tmp_path: Path, png_size: Any) -> None:
    target = tmp_path / "plots" / "empty.png"
    save_figure(new_figure(3, 2), target)
    assert png_size(target) == (3 * DPI, 2 * DPI)
    assert [path.name for path in target.parent.iterdir()] == ["empty.png"]


def test_pyplot_is_never_imported() -> None:
    program = (
        "import sys; from netwright.report import confusion, curves, examples, notebook, predictions; "
        "notebook.history_html([{'epoch': 1, 'train_loss': 1.0}], {}, 'x'); "
        "assert 'matplotlib.pyplot' not in sys.modules; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_users_own_plot_settings_change_nothing(made_history: Any) -> None:
    ours = png_bytes(draw_curves(made_history(6), best_epoch=5, title="a run"))
    settings_before = dict(mpl.rcParams)
    theirs = {"font.size": 30, "savefig.dpi": 20, "savefig.bbox": "tight", "font.family": "serif", "figure.dpi": 50}
    with context("dark_background"), mpl.rc_context(theirs):
        assert png_bytes(draw_curves(made_history(6), best_epoch=5, title="a run")) == ours
    assert dict(mpl.rcParams) == settings_before


def test_threads_draw_the_same(made_history: Any) -> None:
    drawn: list[bytes] = []

    def draw() -> None:
        drawn.append(png_bytes(draw_curves(made_history(6), best_epoch=5, title="a run")))

    threads = [threading.Thread(target=draw) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(drawn) == 3
    assert len(set(drawn)) == 1


@pytest.mark.parametrize("name", ["a-file/x.png", "a-file/deeper/x.png", "a-folder"])
def test_what_is_in_the_way_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("in the way")
    (tmp_path / "a-folder").mkdir()
    with pytest.raises(MachineError, match=name):
        save_figure(new_figure(1, 1), tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-file", "a-folder"]


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [("cat", "cat"), ("a\nb\tc", "a b c"), ("  x \u2028 y ", "x y"), ("ab\u202ecd", "abcd"), ("$5 é", "$5 é")],
)
def test_plain_is_one_line(given_text: str, expected: str) -> None:
    assert plain(given_text) == expected


def test_characters_without_a_glyph_stay_different() -> None:
    assert plain("\udcff") == "\\udcff"
    assert plain("\U0010ffff\U0010fffe") == "\\U0010ffff\\U0010fffe"


@settings(deadline=None, max_examples=30)
@given(st.text(max_size=60))
def test_any_text_can_be_drawn_in_silence(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = new_figure(2, 1)
        figure.text(0.1, 0.5, fitted(text, 100), **words())
        png_bytes(figure)


def test_long_names_lose_their_middle() -> None:
    name = "n02123045_" + "x" * 100 + "_tabby"
    short = fitted(name, 90)
    assert short.startswith("n0212")
    assert short.endswith("bby")
    assert "…" in short
    assert len(fitted(name, 180)) > len(short)
    assert fitted("tabby", 90) == "tabby"
    assert len(fitted("W" * 300, 90)) < len(fitted("i" * 300, 90))
    assert fitted(name, 0) == "…"
