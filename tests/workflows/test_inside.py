"""What a report shows of the inside of a network."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import netwright as nw
from netwright.errors import InputError
from netwright.runs.outputs import load_outputs
from netwright.workflows.explain import explain_mistakes
from netwright.workflows.inside import look_inside
from netwright.workflows.own import Own
from netwright.workflows.predict import opened
from netwright.workflows.reopen import open_own_data


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, no_plots: None) -> nw.Run:
    out = tmp_path_factory.mktemp("cnn") / "run"
    model = {"name": "cnn", "channels": [6, 8]}
    return nw.train("digits", model=model, epochs=1, lr=0.01, out=out, quiet=True, runtime={"threads": 1})


def test_layers_mistakes_and_filters(run: nw.Run) -> None:
    val = load_outputs(run.folder.outputs_of("val"))
    with opened(run.path, Own()) as predictor:
        inside = look_inside(predictor, open_own_data(run.folder, Own(), run.recipe), Own(), val)
    assert inside.layers is not None and inside.missing == ()
    assert inside.layers == {key: value for key, value in run.layers().items() if key in inside.layers}
    assert [sheet.title for sheet in inside.sheets] == ["What misled it", "Its first filters"]
    mistakes = explain_mistakes(run.folder, Own(), most=6).images
    for (content, width, height, words), each in zip(inside.sheets[0].pictures, mistakes, strict=True):
        with Image.open(io.BytesIO(content)) as picture:
            assert picture.format == "PNG" and picture.size == (width, height) == (
                2 * 160 + 8,
                160,
            )  # the image beside its overlay
        assert words.startswith(f"{each.source}: {each.label} (") and f"label {each.truth}" in words
    assert sum(len(content) for sheet in inside.sheets for content, *_ in sheet.pictures) < 300_000
    assert "6 of 6 filters of features.0.conv" in inside.sheets[1].pictures[0][3]


def test_without_data_or_mistakes_and_without_convolution(run: nw.Run, trained: nw.Run) -> None:
    val = load_outputs(run.folder.outputs_of("val"))
    val.predictions[...] = val.targets
    with opened(run.path, Own()) as predictor:
        labelled = open_own_data(run.folder, Own(), run.recipe)
        for inside in (look_inside(predictor, labelled, Own(), val), look_inside(predictor, None, Own(), None)):
            assert [sheet.title for sheet in inside.sheets] == ["Its first filters"] and inside.missing == ()
    with opened(trained.path, Own()) as predictor:
        inside = look_inside(predictor, None, Own(), None)
    assert inside.sheets == () and "no convolution" in inside.missing[0]
    assert np.sum([layer["num_parameters"] for layer in inside.layers["layers"]]) == inside.layers["num_parameters"]


def test_pictures_that_are_made_anew_leave_the_filters(run: nw.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise InputError("there are no pictures to explain")

    monkeypatch.setattr("netwright.workflows.inside.explain_rows", refuse)
    val = load_outputs(run.folder.outputs_of("val"))
    with opened(run.path, Own()) as predictor:
        inside = look_inside(predictor, open_own_data(run.folder, Own(), run.recipe), Own(), val)
    assert [sheet.title for sheet in inside.sheets] == ["Its first filters"]
    assert inside.missing == ("there are no pictures to explain",)


def test_the_report_shows_it(run: nw.Run, tmp_path: Path) -> None:
    text = run.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "features.0.conv" in text and "What misled it" in text and "Its first filters" in text
    for each in explain_mistakes(run.folder, Own()).images:
        assert f'alt="{each.source}: {each.label} (' in text
    assert len(text) < 5_000_000
