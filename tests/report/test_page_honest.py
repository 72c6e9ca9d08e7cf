"""What the report says of folds, twins, gaps and neighbours; colours that can be told from their ground."""

import re
from pathlib import Path
from typing import Any

import pytest

import netwright.report
from netwright.files.sealed import read_sealed
from netwright.report.page import Extras, Picture
from netwright.runs.folder import RunFolder
from tests.report.test_page import NASTY, PNG, page_of, write, write_run

STYLES = (Path(netwright.report.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return write_run(tmp_path / "run", ["ant", "bee", "cat"], splits=("val", "test"))


def colours(dark: bool) -> dict[str, str]:
    """The page's variables; the dark ones stand in the first media query."""
    light, _, rest = STYLES.partition("@media screen and (prefers-color-scheme: dark)")
    blocks = [light] + ([rest.partition("* { box-sizing")[0]] if dark else [])
    return dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", "".join(blocks)))


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_told_from_its_ground(dark: bool) -> None:
    """4.5 to 1 for text, 3 to 1 for lines: WCAG 2.2, level AA."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    found = colours(dark)
    pairs = [(text, ground) for text in ("ink", "soft", "blue") for ground in ("paper", "tint")]
    pairs += [("vermillion", "paper"), ("ink", "warn"), ("on-deep", "s5")]
    pairs += [("on-light", ground) for ground in ("s1", "s2", "s3")]
    for text, ground in pairs:
        assert contrast(found[text], found[ground]) >= 4.5, (text, ground)
    assert contrast("#000000", found["s4"]) >= 4.5  # black in both, see `.matrix td.s4`
    assert contrast(found["warn-edge"], found["warn"]) >= 3


def with_folds(run: RunFolder, label: str = "ant") -> dict[str, Any]:
    images = [
        {"source": f"train/{label}/{row}", "row": row, "label": label, "looks_like": "bee", "label_probability": 0.01,
         "probability": 0.97} for row in range(20)
    ]  # fmt: skip
    folds = {
        "folds": 5, "accuracy": 0.875, "accuracy_interval": [0.86, 0.89], "num_samples": 1527, "not_judged": 3,
        "fold_accuracies": [0.9] * 5, "suspects": {"num_suspects": 70, "images": images},
    }  # fmt: skip
    write(run.metrics, read_sealed(run.metrics) | {"folds": folds})
    return folds


def test_suspects_of_a_poor_network_are_rather_its_mistakes(run: RunFolder) -> None:
    folds = with_folds(run)
    write(run.metrics, read_sealed(run.metrics) | {"folds": folds | {"accuracy": 0.634}})
    assert "With 63.4 % right most of these are mistakes of the network" in page_of(run).text


@pytest.mark.parametrize("label", ["ant", NASTY[0], NASTY[1]])
def test_suspects_of_folds_are_shown(run: RunFolder, label: str) -> None:
    with_folds(run, label)
    page = page_of(run, Extras(pictures={"folds": {row: Picture(PNG, 1, 1) for row in range(12)}}))
    assert "In all of train and val" in page.text
    assert "1,527 images in 5 folds, each image judged by a network of the same recipe" in page.text
    assert "3 images could not be held out" in page.text
    assert "70 images look confidently like another class" in page.text
    assert "8 more (folds/suspects.csv names all)" in page.text
    assert "About half of such labels are wrong" in page.text
    assert "its recipe in 5 folds of train and val 87.5 % 86.0 to 89.0 % 1,527" in page.text
    assert len(page.all("img")) == 12
    assert not page.all("script")


def test_without_folds_the_command_is_named(run: RunFolder) -> None:
    assert "netwright evaluate … --folds 5" in page_of(run).text


def test_neighbours_stand_beside_every_split(run: RunFolder) -> None:
    metrics = read_sealed(run.metrics)
    for split, accuracy in (("val", 0.6), ("test", 0.5)):
        near = {"accuracy": accuracy, "accuracy_interval": [0.4, 0.7], "num_samples": 60, "neighbours": 5}
        metrics[split]["baselines"] = {"nearest_neighbours": near, "majority": near | {"label": "ant"}}
    write(run.metrics, metrics)
    text = page_of(run).text
    assert "5 nearest by pixels, val 60.0 %" in text
    assert "5 nearest by pixels, test 50.0 %" in text
    assert "always the same class, test 50.0 %" in text


def test_where_the_gap_opened_is_tinted(run: RunFolder) -> None:
    assert not [each for each in page_of(run).all("rect") if each.get("class") == "apart"]
    diagnosis = {
        "sentence": "Overfitting.",
        "advice": "",
        "gap": 0.2,
        "gap_opened_epoch": 1,
        "lowest_val_loss_epoch": 1,
    }
    write(run.metrics, read_sealed(run.metrics) | {"diagnosis": diagnosis})
    page = page_of(run)
    assert len([each for each in page.all("rect") if each.get("class") == "apart"]) == 2
    assert "tinted: train is clearly ahead of val" in page.text


def test_what_moving_costs_is_said(run: RunFolder) -> None:
    metrics = read_sealed(run.metrics)
    rows = [{"pixels": pixels, "accuracy": 0.9, "interval": [0.8, 0.95], "num_samples": 60} for pixels in range(5)]
    metrics["val"]["shifts"] = {"shifts": rows, "lost": 0.0321, "lost_interval": [0.021, 0.044]}
    write(run.metrics, metrics)
    assert "by up to 4 pixels costs up to 3.2 points of accuracy (2.1 to 4.4 points)" in page_of(run).text


def test_sentences_about_twins_do_not_run_into_each_other(run: RunFolder) -> None:
    leaks = {
        "num_images": 1200, "across": [{"splits": ["test", "train"], "exact": 0, "near": 7, "listed": []}],
        "within": {}, "conflicts": {"exact": 0, "near": 0, "listed": []}, "unchecked": "", "allowed": 0,
        "groups_in_two_splits": 0, "tied": {"images": 5, "sets": 2, "splits": []}, "test_with_twin": [1, 2],
    }  # fmt: skip
    write(run.data, read_sealed(run.data) | {"leaks": leaks})
    text = page_of(run).text
    assert "1,200 images were compared. 5 images are in 2 sets of twins" in text
    assert "each of which was kept in one split. 2 test images have a twin" in text
