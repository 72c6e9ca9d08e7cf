"""What a run refuses before it costs time, and what it leaves untouched."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import netwright as nw

QUICK = {"model": "mlp", "epochs": 1, "threads": 1, "quiet": True}


class Net(nn.Module):
    """A network of the user's own."""

    def __init__(self, num_outputs: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, num_outputs))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> nw.Run:
    return nw.train("digits", out=tmp_path_factory.mktemp("guards") / "run", **QUICK)


def test_a_network_of_another_width_is_refused_before_the_first_step(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(nw.RecipeError, match=r"gives \(2, 7\) .* expected \(2, 10\)"):
        nw.train("digits", out=out, **QUICK | {"model": Net(7)})


def test_a_criterion_without_a_mean_is_refused(tmp_path: Path) -> None:
    with pytest.raises(nw.RecipeError, match="does not give one number"):
        nw.train("digits", criterion=nn.CrossEntropyLoss(reduction="none"), out=tmp_path / "run", **QUICK)


def test_the_users_network_stays_as_it_was_given(tmp_path: Path) -> None:
    given = Net()
    before = given.layers[1].weight.detach().clone()
    run = nw.train("digits", out=tmp_path / "run", **QUICK | {"model": given})
    run.evaluate("val")
    assert torch.equal(given.layers[1].weight, before)
    assert not torch.equal(run.network().layers[1].weight.cpu(), before)


@pytest.mark.parametrize("name", ["loss", "accuracy", "seconds"])
def test_a_metric_may_not_take_the_name_of_ours(name: str, tmp_path: Path) -> None:
    with pytest.raises(nw.RecipeError, match="is taken"):
        nw.train("digits", metrics={name: lambda *_: 1.0}, out=tmp_path / "run", **QUICK)


def test_a_metric_that_is_not_finite_ends_the_run_by_name(tmp_path: Path) -> None:
    with pytest.raises(nw.WorkFailed, match="val_odd is nan"):
        nw.train("digits", metrics={"odd": lambda *_: float("nan")}, out=tmp_path / "run", **QUICK)


def test_batch_norm_and_single_images_are_refused(tmp_path: Path) -> None:
    model = {"name": "mlp", "batch_norm": True}
    with pytest.raises(nw.RecipeError, match="needs two"):
        nw.train("digits", out=tmp_path / "run", **QUICK | {"model": model, "batch_size": 1})


def test_a_test_split_that_is_not_there_is_missed_before_training(tmp_path: Path) -> None:
    with pytest.raises(nw.InputError, match="have no test split"):
        nw.train("digits", split={"test": 0.0}, test=True, out=tmp_path / "run", **QUICK)


def test_a_refused_run_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(nw.DataError):
        nw.train("digits", classes=["0", "eleven"], out=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


def test_a_refused_run_gives_an_empty_folder_back(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    with pytest.raises(nw.DataError):
        nw.train("digits", classes=["0", "eleven"], out=out, **QUICK)
    assert out.is_dir() and not list(out.iterdir())


def test_its_own_data_are_not_judged_as_new_data(run: nw.Run) -> None:
    with pytest.raises(nw.InputError, match="its train split included"):
        run.evaluate(data="digits")


def test_the_sealed_split_given_as_new_data_is_a_look(run: nw.Run) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows = json.loads((run.path / "split.json").read_text())["splits"]["test"]
    pixels = (digits.images * 255 / 16).round().astype("uint8")[rows]
    names = digits.target[rows]
    first = run.evaluate("test")
    again = run.evaluate(data=(pixels, names))
    assert again["split"] == "test" and again["looks"] == first["looks"] + 1
    assert again["metrics"]["accuracy"] == first["metrics"]["accuracy"]


def test_a_look_is_recorded_before_anything_else_can_fail(run: nw.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = run.evaluate("test")["looks"]

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the plot failed")

    monkeypatch.setattr("netwright.report.confusion.plot_confusion", fail)
    with pytest.raises(RuntimeError, match="the plot failed"):
        run.evaluate("test")
    monkeypatch.undo()
    assert run.evaluate("test")["looks"] == before + 2


def test_resume_keeps_the_splits_of_the_run(tmp_path: Path) -> None:
    first = nw.train("digits", out=tmp_path / "one", **QUICK)
    manifest = tmp_path / "manifest.json"
    manifest.write_bytes((first.path / "split.json").read_bytes())
    second = nw.train("digits", split={"manifest": str(manifest)}, out=tmp_path / "two", **QUICK)
    split = (second.path / "split.json").read_text()
    manifest.unlink()
    nw.resume(second, epochs=2, quiet=True)
    assert json.loads((second.path / "split.json").read_text()) == json.loads(split)


def test_resume_names_an_argument_that_it_does_not_have(run: nw.Run) -> None:
    with pytest.raises(nw.RecipeError, match=r"no argument 'metric' \(did you mean \"metrics\"\?\)"):
        nw.resume(run, metric={})


def test_the_notebook_view_shows_the_run(run: nw.Run) -> None:
    html = run._repr_html_()
    assert (html.count("<table") >= 1 and "data:image" in html) or "<svg" in html


def test_the_log_says_what_the_run_said(run: nw.Run) -> None:
    log = (run.path / "log.txt").read_text(encoding="utf-8")
    assert "digits: 1,257 train" in log and "1/1" in log
