"""The curves of loss and accuracy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.report.curves import draw_curves, plot_curves

pytestmark = pytest.mark.filterwarnings("error")


def line(figure: Any, panel: int, number: int) -> list[float]:
    return list(figure.axes[panel].lines[number].get_ydata())


@pytest.mark.parametrize("num_epochs", [1, 2, 12, 100])
def test_draws_what_was_recorded(num_epochs: int, made_history: Any, texts: Any, badly_placed: Any) -> None:
    history = made_history(num_epochs)
    figure = draw_curves(history, best_epoch=min(5, num_epochs), title="digits: cnn")
    assert line(figure, 0, 0) == [record["train_loss"] for record in history]
    assert line(figure, 0, 1) == [record["val_loss"] for record in history]
    assert line(figure, 1, 1) == [100 * record["val_accuracy"] for record in history]
    written = texts(figure)
    assert "digits: cnn" in written
    assert {"epoch", "loss (mean)", "accuracy (%)", "best"} <= set(written)
    assert f"val {100 * history[-1]['val_accuracy']:.1f} %" in written
    assert badly_placed(figure) == []


def test_titles_say_the_best_number(made_history: Any, texts: Any) -> None:
    history = made_history(8)
    written = texts(draw_curves(history, best_epoch=5, title="x"))
    assert f"Loss: val {history[4]['val_loss']:.3f} after epoch 5, the best" in written
    assert f"Accuracy: val {100 * history[4]['val_accuracy']:.1f} % after epoch 5, the best" in written


def test_without_val_train_stands_alone(made_history: Any, texts: Any) -> None:
    figure = draw_curves(made_history(4, val=False), best_epoch=None, title="x")
    assert [len(axes.lines) for axes in figure.axes] == [1, 1]
    written = texts(figure)
    assert any(text.startswith("Loss: train") and text.endswith("epoch 4, the last") for text in written)
    assert "best" not in written


def test_what_is_not_recorded_is_left_out(made_history: Any, texts: Any) -> None:
    history = made_history(4)
    history[1]["train_loss"] = float("nan")
    history[2]["train_loss"] = None
    del history[3]["train_loss"]
    figure = draw_curves(history, best_epoch=4, title="x")
    assert line(figure, 0, 0) == [history[0]["train_loss"]]
    losses = [{"epoch": 1, "train_loss": 1.0}]
    assert "not recorded" in texts(draw_curves(losses, best_epoch=1, title="x"))
    assert texts(draw_curves([], best_epoch=None, title="x")).count("not recorded") == 2


def test_near_ends_and_equal_values_stay_legible(badly_placed: Any) -> None:
    same = {"train_loss": 0.5, "val_loss": 0.5, "train_accuracy": 1.0, "val_accuracy": 1.0}
    history = [{"epoch": epoch, **same} for epoch in range(1, 6)]
    figure = draw_curves(history, best_epoch=3, title="x")
    assert badly_placed(figure) == []
    assert figure.axes[1].get_ylim()[1] <= 100


def test_hostile_titles(hostile: list[str], made_history: Any, tmp_path: Path, png_size: Any) -> None:
    for number, title in enumerate(hostile):
        target = tmp_path / f"{number}.png"
        plot_curves(made_history(2), target, best_epoch=1, title=title)
        assert png_size(target) == (1200, 504)


def test_numpy_numbers_are_numbers(made_history: Any) -> None:
    history = [{key: np.float64(value) for key, value in record.items()} for record in made_history(3)]
    assert len(line(draw_curves(history, best_epoch=2, title="x"), 0, 0)) == 3
