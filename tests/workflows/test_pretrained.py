"""Runs that begin with weights from elsewhere: what they take over, what they write down, what they need again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import load_file

import netwright as nw
from netwright.cli.main import run as command_line
from netwright.errors import RecipeError, WeightsError

Arrays = tuple[np.ndarray, np.ndarray]
NETWORK = {"name": "cnn", "channels": [4, 8], "batch_norm": True}
STILL: dict[str, Any] = {"quiet": True, "threads": 1, "epochs": 1, "optimizer": {"name": "sgd", "lr": 1e-30}}


def labelled(digits: Arrays, classes: range) -> Arrays:
    kept = np.isin(digits[1], list(classes))
    return digits[0][kept], digits[1][kept] - classes[0]


@pytest.fixture(scope="module")
def first(digits: Arrays, tmp_path_factory: pytest.TempPathFactory) -> nw.Run:
    """A run on the digits 0 to 4; read only."""
    out = tmp_path_factory.mktemp("first") / "run"
    return nw.train(labelled(digits, range(5)), model=NETWORK, epochs=2, lr=0.01, out=out, quiet=True, threads=1)


def weights_of(run: nw.Run) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(run.path / "bundle" / "model.safetensors")
    return found


def test_a_run_gives_its_network_and_weights_to_other_classes(digits: Arrays, first: nw.Run, tmp_path: Path) -> None:
    """The network need not be named again; all but the head is the run's, and its preprocessing too."""
    run = nw.train(labelled(digits, range(4, 10)), weights=first.path, out=tmp_path / "run", **STILL)
    before, after = weights_of(first), weights_of(run)
    assert after["head.weight"].shape == (6, 32)
    for name in before:
        if name.startswith("features") and "running" not in name and "num_batches" not in name:
            assert torch.equal(before[name], after[name]), name
    model = run.recipe.model
    assert (model.name, getattr(model, "channels", None)) == ("cnn", (4, 8))
    assert Path(model.weights) == first.path.resolve()
    described = [json.loads((each.path / "bundle" / "bundle.json").read_text())["transform"] for each in (first, run)]
    assert described[0]["mean"] == described[1]["mean"]


def test_the_same_classes_keep_the_head(digits: Arrays, first: nw.Run, tmp_path: Path) -> None:
    run = nw.train(labelled(digits, range(5)), weights=first, out=tmp_path / "run", **STILL)
    assert torch.equal(weights_of(run)["head.weight"], weights_of(first)["head.weight"])


def test_as_many_other_classes_get_a_new_head(digits: Arrays, first: nw.Run, tmp_path: Path) -> None:
    images, targets = labelled(digits, range(5, 10))
    np.savez(tmp_path / "other.npz", x=images, y=targets, classes=np.array(list("fghij")))
    run = nw.train(tmp_path / "other.npz", weights=first.path, out=tmp_path / "run", **STILL)
    assert not torch.equal(weights_of(run)["head.weight"], weights_of(first)["head.weight"])


def test_a_zipped_bundle_is_as_good_as_its_run(digits: Arrays, first: nw.Run, tmp_path: Path) -> None:
    from netwright.deployment.archive import archive_bytes

    members = {path.name: path.read_bytes() for path in (first.path / "bundle").iterdir()}
    (tmp_path / "model.zip").write_bytes(archive_bytes(members))
    runs = [
        nw.train(labelled(digits, range(6)), weights=source, out=tmp_path / str(number), **STILL)
        for number, source in enumerate([first.path, tmp_path / "model.zip"])
    ]
    one, other = map(weights_of, runs)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_weights_of_a_run_with_another_network_name_both(first: nw.Run, digits: Arrays, tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as told:
        nw.train(labelled(digits, range(5)), model="mlp", weights=first.path, out=tmp_path / "run", **STILL)
    said = str(told.value)
    assert f"{first.path}, made for cnn, does not fit the network mlp:" in said and "--model cnn" in said
    smaller = NETWORK | {"channels": [4, 4]}
    with pytest.raises(WeightsError, match="leave them all out to take the run's"):
        nw.train(labelled(digits, range(5)), model=smaller, weights=first.path, out=tmp_path / "run", **STILL)


def test_an_unfreezing_that_never_comes_is_told(
    first: nw.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [
        "digits",
        "--model",
        "cnn",
        "--set",
        "model.channels=[4,8]",
        "--set",
        "model.batch_norm=true",
        "--threads",
        "1",
    ]
    words += ["--weights", str(first.path), "--freeze", "backbone", "--set", "training.unfreeze=2", "--epochs", "3"]
    assert command_line(["train", *words]) == 0
    said = capsys.readouterr()
    stages = [line for line in (said.out + said.err).splitlines() if "parameters" in line and "network" not in line]
    assert [line.split(" parameters ")[1] for line in stages] == [
        "frozen (to be trained from epoch 5, and the run ends with 3)", "from epoch 3", "trained"
    ]  # fmt: skip


def test_frozen_backbone_of_a_run_stays_as_it_was(digits: Arrays, first: nw.Run, tmp_path: Path) -> None:
    """Statistics of batch norm included, at an lr that would change all that is trained."""
    run = nw.train(
        labelled(digits, range(4, 10)), weights=first.path, freeze="backbone", lr=0.05, epochs=2, quiet=True,
        threads=1, out=tmp_path / "run",
    )  # fmt: skip
    before, after = weights_of(first), weights_of(run)
    assert all(torch.equal(before[name], after[name]) for name in before if not name.startswith("head"))


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A weights file of torchvision's smallest network that is quick on small images."""
    torch.manual_seed(4)
    network = torchvision.models.squeezenet1_1(num_classes=11)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


SMALL: dict[str, Any] = {"model": "squeezenet1_1", "image_size": 32, "quiet": True, "threads": 1, "batch_size": 32}


def test_a_file_decides_size_channels_and_normalisation(two_digits: Arrays, stand_in: Path, tmp_path: Path) -> None:
    few = (two_digits[0][:40], two_digits[1][:40])
    run = nw.train(few, out=tmp_path / "run", epochs=1, weights=stand_in, freeze="backbone", **SMALL)
    recipe = run.recipe
    assert recipe.transform.normalize == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert recipe.data.channels == 3
    assert recipe.data.image_size == (32, 32)  # which was asked for
    assert recipe.model.head is not None and recipe.model.head.name == "linear"
    before, after = torch.load(stand_in, weights_only=True), weights_of(run)
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("features"))
    assert after["classifier.head.weight"].shape == (2, 512)
    (answer,) = run.predict(two_digits[0][:1])
    assert answer["label"] in ("0", "1")


def results(run: nw.Run) -> tuple[bytes, list[dict[str, Any]]]:
    history = [{key: value for key, value in each.items() if not key.endswith("seconds")} for each in run.history]
    return (run.path / "bundle" / "model.safetensors").read_bytes(), history


@pytest.mark.parametrize("training", [{"unfreeze": {"features.12": 2}}, {"cached_features": True}])
def test_resuming_needs_no_weights_again(
    training: dict[str, Any], two_digits: Arrays, stand_in: Path, tmp_path: Path
) -> None:
    """Also where checkpoints hold the head alone."""
    few = (two_digits[0][:80], two_digits[1][:80])
    settings: dict[str, Any] = SMALL | {"freeze": "backbone", "training": training}
    whole = nw.train(few, out=tmp_path / "whole", epochs=3, weights=stand_in, **settings)
    shorter = nw.train(few, out=tmp_path / "shorter", epochs=1, weights=stand_in, **settings)
    stand_in.unlink()
    assert results(nw.resume(shorter, epochs=3, quiet=True)) == results(whole)


def test_weights_that_changed_before_the_first_checkpoint_are_told(
    two_digits: Arrays, stand_in: Path, tmp_path: Path
) -> None:
    few = (two_digits[0][:40], two_digits[1][:40])
    run = nw.train(few, out=tmp_path / "run", epochs=1, weights=stand_in, **SMALL)
    shutil.rmtree(run.path / "checkpoints")
    (run.path / "checkpoints").mkdir()
    expected = results(run)
    assert results(nw.resume(run, quiet=True)) == expected
    shutil.rmtree(run.path / "checkpoints")
    (run.path / "checkpoints").mkdir()
    torch.save(torchvision.models.squeezenet1_1(num_classes=11).state_dict(), stand_in)
    with pytest.raises(WeightsError, match=r"weights\.pth have changed since the run began.*start a new run"):
        nw.resume(run, quiet=True)
    stand_in.unlink()
    with pytest.raises(WeightsError, match=r"weights\.pth are not there any more; put them back"):
        nw.resume(run, quiet=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--weights", "nothing.pth"], "there is no such file or run"),
        (["--weights", "defualt"], 'did you mean "default"'),
        (["--weights", "default"], "no published weights for 'cnn'"),
        (["--model", "resnet18", "--weights", "IMAGENET1K_V9"], "not one of torchvision's for resnet18: IMAGENET1K_V1"),
        (["--model", "resnet18", "--weights", "pickle.pth"], "holds Python objects besides tensors"),
        (["--model", "timm/resnet_eighteen", "--weights", "none"], "timm has none of that name"),
    ],
)
def test_weights_that_are_none_are_explained(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(torch.nn.Linear(2, 2), "pickle.pth")
    assert command_line(["train", "digits", "--threads", "1", *words]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert not list(Path("runs").glob("*"))


def test_weights_that_can_not_be_reached_end_with_4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("https_proxy", "HTTPS_PROXY"):  # nobody listens there
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert command_line(["train", "digits", "--model", "resnet18", "--weights", "default", "--threads", "1"]) == 4
    said = capsys.readouterr().err
    for words in ("resnet18-f37072fd.pth could not be downloaded", "https://download.pytorch.org", "--weights PATH"):
        assert words in said
    assert "Traceback" not in said
    assert not list(Path("runs").glob("*"))


def test_another_network_keeps_weights_and_head_of_a_recipe(tmp_path: Path, stand_in: Path) -> None:
    from netwright.workflows.plan import plan_recipe

    (tmp_path / "mine.yaml").write_text(
        "data: {source: digits}\nmodel: {name: resnet18, weights: default, head: {name: hidden, sizes: [9]}}\n"
    )
    settings: list[tuple[str, Callable[..., Any] | object]] = [("model", "densenet121"), ("model.head.dropout", 0.2)]
    model = plan_recipe(str(tmp_path / "mine.yaml"), settings).model
    assert (model.name, model.weights) == ("densenet121", "default")
    assert model.head is not None and (model.head.sizes, model.head.dropout) == ((9,), 0.2)
    changed = plan_recipe(str(tmp_path / "mine.yaml"), [("head", "concat_pool"), ("model.head.dropout", 0.3)]).model
    assert changed.head is not None and (changed.head.name, changed.head.sizes) == ("concat_pool", None)


def test_a_concat_pool_of_a_run_can_not_be_taken_apart(two_digits: Arrays, tmp_path: Path) -> None:
    few = (two_digits[0][:40], two_digits[1][:40])
    run = nw.train(few, out=tmp_path / "run", epochs=1, head={"name": "concat_pool", "sizes": [4]}, **SMALL)
    again = nw.train(few, out=tmp_path / "again", weights=run.path, **STILL)
    assert again.recipe.model.head == run.recipe.model.head
    with pytest.raises(RecipeError, match=r"leave `model\.head` out"):
        nw.train(few, out=tmp_path / "other", weights=run.path, head="linear", **STILL)
