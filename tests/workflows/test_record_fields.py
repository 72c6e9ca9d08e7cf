"""The fields of the speed records in whole runs: groups, sizes, the average and views, from recipe to prediction."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import netwright as nw
from netwright.config.recipe import build_recipe
from netwright.data.views import with_views
from netwright.errors import RecipeError
from netwright.models.whitening import whitening_of
from netwright.runtime.machine import choose_machine
from netwright.tasks.classification import build_task
from netwright.training.fit import fit
from netwright.training.plan import Plan
from netwright.training.state import TrainingState
from netwright.workflows.build import build_plan, build_state, open_prepared
from netwright.workflows.own import Own

CNN = {"name": "cnn", "channels": [8, 8], "batch_norm": True, "global_pooling": "max"}
RUNTIME = {"exact": True, "device": "cpu", "threads": 1, "optimizer_kernel": "plain"}


class Watching:
    """Notes what the loop has before every batch's listeners."""

    def __init__(self, state: TrainingState) -> None:
        self.state = state
        self.lrs: list[list[float]] = []
        self.frozen: list[list[bool]] = []

    def step(self, done: int, total: int, num_samples: int) -> None:
        groups = self.state.optimizer.param_groups
        self.lrs.append([group["lr"] for group in groups])
        self.frozen.append([not group["params"][0].requires_grad for group in groups])

    def epoch(self, record: dict[str, Any], model: nn.Module) -> None:
        pass

    def stop_requested(self) -> bool:
        return False


def made(**settings: Any) -> tuple[TrainingState, Plan]:
    recipe = build_recipe({"data": {"source": "digits"}, "runtime": RUNTIME, **settings})
    prepared = open_prepared(recipe, Own())
    machine = choose_machine(recipe.runtime)
    task = build_task(recipe.criterion, prepared.labelled.class_names)
    state = build_state(recipe, prepared, task, machine, Own())
    return state, build_plan(None, recipe, prepared, task, machine, Own())  # type: ignore[arg-type]


def test_a_group_has_the_whole_schedule_in_its_epochs_and_is_then_frozen() -> None:
    groups = [{"parameters": "head.bias", "lr": 0.5, "epochs": 2}]
    state, plan = made(
        model=CNN,
        optimizer={"name": "sgd", "lr": 0.1, "groups": groups},
        lr_scheduler={"name": "linear"},
        training={"epochs": 4, "batch_size": 400},
    )
    watching = Watching(state)
    fit(state, plan, watching)
    steps = len(watching.lrs) // 4
    assert [lr[0] for lr in watching.lrs] == pytest.approx([0.1 * (1 - k / (4 * steps)) for k in range(4 * steps)])
    assert [lr[1] for lr in watching.lrs[: 2 * steps]] == pytest.approx(
        [0.5 * (1 - k / (2 * steps)) for k in range(2 * steps)]
    )
    assert [frozen[1] for frozen in watching.frozen] == [False] * 2 * steps + [True] * 2 * steps
    assert not any(frozen[0] for frozen in watching.frozen)


def test_nothing_left_to_train_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"every parameter .* `epochs`"):
        made(model=CNN, optimizer={"name": "sgd", "groups": [{"parameters": "*", "epochs": 1}]})


def test_the_images_of_an_epoch_have_its_size_and_val_the_full_one() -> None:
    state, plan = made(model=CNN, training={"epochs": 3, "batch_size": 300, "resolutions": [5, 6, 8]})
    sizes: list[tuple[bool, int]] = []
    state.model.register_forward_pre_hook(lambda module, inputs: sizes.append((module.training, inputs[0].shape[-1])))
    fit(state, plan, Watching(state))
    num_train, num_val = plan.train.num_batches, plan.val.num_batches if plan.val is not None else 0
    assert num_val
    expected = [(True, side) for side in (5, 6, 8) for _ in range(num_train)]
    assert [size for size in sizes if size[0]] == expected
    assert [size for size in sizes if not size[0]] == [(False, 8)] * 3 * num_val
    whole = [batch.images for batch in plan.train.epoch(1)]
    assert torch.equal(plan.train.batch(1, 2).images, whole[2])


@pytest.mark.parametrize(
    ("model", "resolutions", "message"),
    [
        (CNN, [9], r"has 9 and the network's images are 8 × 8"),
        ({"name": "cnn", "channels": [4]}, [6], r"has 6 and the network takes 8 × 8 pixels only .*global pooling"),
        ("mlp", [6], r"has 6 and the network takes 8 × 8 pixels only"),
    ],
)
def test_sizes_that_can_not_be_are_refused(model: Any, resolutions: list[int], message: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=message):
        nw.train("digits", out=tmp_path / "run", model=model, training={"resolutions": resolutions}, quiet=True)


def test_whitening_is_of_the_train_split_alone() -> None:
    """Against scikit-learn's pixels of the rows of train, normalised and whitened by NumPy."""
    state, plan = made(model={**CNN, "whitening": 2}, split={"val": 0.5, "test": 0.3})
    layer = whitening_of(state.model)
    assert layer is not None
    rows = plan.train.prepared.rows["train"]
    pixels = np.rint(load_digits().images[rows] * 255 / 16) / 255
    images = (pixels - pixels.mean()) / pixels.std()
    patches = np.lib.stride_tricks.sliding_window_view(images, (2, 2), axis=(1, 2)).reshape(-1, 4)
    values, vectors = np.linalg.eigh(patches.T @ patches / len(patches))
    expected = vectors.T / np.sqrt(values + 5e-4)[:, None]
    ours = layer.conv.weight.detach().double().numpy().reshape(2, 4, 4)
    signs = np.sign((ours[0] * expected).sum(axis=1, keepdims=True))
    assert np.allclose(ours[0], signs * expected, rtol=1e-3, atol=1e-3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, no_plots: None) -> nw.Run:
    """A run with views and an average, read only."""
    return nw.train(
        "digits",
        out=tmp_path_factory.mktemp("record") / "run",
        model=CNN,
        optimizer={"name": "muon", "lr": 0.1},
        transform={"views": "mirror_shift"},
        training={"epochs": 3, "batch_size": 200, "averaging": "ema", "averaging_every_steps": 2},
        quiet=True,
        runtime=RUNTIME,
    )


def test_views_are_stated_and_used_alike_everywhere(run: nw.Run, capsys: pytest.CaptureFixture[str]) -> None:
    from netwright.cli.main import run as command_line

    bundle = json.loads((run.path / "bundle" / "bundle.json").read_text())
    assert bundle["transform"]["views"] == "mirror_shift"
    assert bundle["metrics"]["val"]["views"] == run.metrics["val"]["views"] == 6
    assert "mean of 6 views" in (run.path / "bundle" / "card.md").read_text()
    evaluated = run.evaluate("val")["metrics"]
    assert evaluated["accuracy"] == run.metrics["val"]["accuracy"]
    assert evaluated["loss"] == pytest.approx(run.metrics["val"]["loss"])
    assert command_line(["evaluate", str(run.path)]) == 0
    assert "6 views" in capsys.readouterr().out


def test_predictions_are_means_over_the_views(run: nw.Run) -> None:
    digits = np.rint(load_digits().images[:5] * 255 / 16).astype(np.uint8)
    bundle = json.loads((run.path / "bundle" / "bundle.json").read_text())
    transform, temperature = bundle["transform"], bundle["temperature"]
    images = torch.tensor((digits / 255 - transform["mean"][0]) / transform["std"][0]).float().unsqueeze(1)
    network = run.network()
    with torch.no_grad():
        expected = with_views(network, "mirror_shift")(images).div(temperature).softmax(dim=1)
        plain = network(images).div(temperature).softmax(dim=1)
    ours = torch.tensor([list(answer["probabilities"].values()) for answer in run.predict(digits, top=None)])
    order = [list(answer["probabilities"]) for answer in run.predict(digits, top=None)]
    by_class = torch.tensor(
        [[row[names.index(str(k))] for k in range(10)] for row, names in zip(ours.tolist(), order, strict=True)]
    )
    torch.testing.assert_close(by_class, expected, atol=1e-5, rtol=1e-4)
    assert (by_class - plain).abs().max() > 1e-3
