"""The Python road: every kind of data, model and own part that `nw.train` takes, on real digits."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import netwright as nw
from netwright.config.optimization import LR_SCHEDULERS, OPTIMIZERS

Arrays = tuple[np.ndarray, np.ndarray]
QUIET: dict[str, Any] = {"threads": 1, "device": "cpu", "quiet": True}


def fit(data: Any, out: Path, **settings: Any) -> nw.Run:
    """Train on some data; the name `digits` alone would be the recipe of that name, with a schedule of its own."""
    data = nw.Recipe() if isinstance(data, str) and data == "digits" else data
    return nw.train(data, out=out, **({"model": "linear", "epochs": 2, "lr": 0.01} | QUIET | settings))


def weights(run: nw.Run) -> bytes:
    return (run.path / "bundle" / "model.safetensors").read_bytes()


def network(num_outputs: int = 10) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.Tanh(), nn.Linear(20, num_outputs))


class Pictures(torch.utils.data.Dataset):
    """A map-style data set of PIL images."""

    def __init__(self, images: np.ndarray, targets: np.ndarray) -> None:
        self.images, self.targets = images, targets

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return Image.fromarray(self.images[index]), int(self.targets[index])


class Ready(Pictures):
    """The same as float tensors (1, 8, 8)."""

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return torch.from_numpy(self.images[index]).float()[None] / 255, int(self.targets[index])


# --- data -----------------------------------------------------------------------------------------------------------


def test_all_kinds_of_equal_data_give_equal_weights(digits: Arrays, tmp_path: Path) -> None:
    """A name, arrays, tensors, an .npz and a data set of pictures of the same digits."""
    images, targets = digits
    np.savez(tmp_path / "set.npz", x=images, y=targets)
    given = {
        "name": "digits",
        "arrays": (images, targets),
        "tensors": (torch.from_numpy(images), torch.from_numpy(targets)),
        "tensors with channels": (torch.from_numpy(images)[:, None], torch.from_numpy(targets)),
        "npz": tmp_path / "set.npz",
        "pictures": Pictures(images, targets),
    }
    found = {kind: weights(fit(data, tmp_path / kind)) for kind, data in given.items()}
    assert len(set(found.values())) == 1, [kind for kind in found if found[kind] != found["name"]]


def test_splits_that_are_given_are_respected(digits: Arrays, tmp_path: Path) -> None:
    images, targets = digits
    cuts = {"train": slice(0, 1000), "val": slice(1000, 1400), "test": slice(1400, None)}
    given = {split: (images[cut], targets[cut]) for split, cut in cuts.items()}
    sets = {split: Pictures(*pair) for split, pair in given.items()}
    for name, data in (("arrays", given), ("sets", sets)):
        run = fit(data, tmp_path / name, test=True)
        assert run.metrics["val"]["num_samples"] == 400
        assert run.metrics["test"]["num_samples"] == 397
        assert run.history[0]["num_train_samples"] == 1000
    assert weights(nw.load(tmp_path / "arrays")) == weights(nw.load(tmp_path / "sets"))


def test_ready_tensors_are_taken_as_they_are(digits: Arrays, tmp_path: Path) -> None:
    images, targets = digits
    data = Ready(images, targets)
    run = fit(data, tmp_path / "run", epochs=3)
    assert run.metrics["val"]["accuracy"] > 0.85
    plain = fit("digits", tmp_path / "plain", epochs=3, transform="none")
    assert run.history[-1]["val_loss"] == pytest.approx(plain.history[-1]["val_loss"], rel=1e-4)
    assert run.evaluate("test")["metrics"]["num_samples"] == 270
    found = run.predict(torch.from_numpy(images[:5]).float()[:, None] / 255)
    assert [each["label"] for each in found] == [each["label"] for each in plain.predict(images[:5])]


def test_own_data_must_be_given_again(digits: Arrays, tmp_path: Path) -> None:
    run = fit(digits, tmp_path / "run")
    assert run.evaluate("val")["metrics"]["num_samples"] == 270
    with pytest.raises(nw.InputError, match="data"):
        nw.load(run.path).evaluate("val")
    with pytest.raises(nw.InputError, match=r"give it again: nw\.resume\(path, data=…\)"):
        nw.resume(run.path, epochs=3, quiet=True)
    longer = fit(digits, tmp_path / "longer", epochs=3)
    assert weights(nw.resume(run.path, epochs=3, quiet=True, data=digits)) == weights(longer)
    assert nw.load(run.path, data=digits).evaluate("val")["metrics"] == longer.evaluate("val")["metrics"]


def test_classes_are_kept_and_renumbered(digits: Arrays, tmp_path: Path) -> None:
    run = fit("digits", tmp_path / "run", classes=["7", "2"], epochs=4)
    described = json.loads((run.path / "data.json").read_text())
    assert described["class_names"] == ["7", "2"]
    assert sum(sum(counts.values()) for counts in described["counts"].values()) == np.isin(digits[1], [2, 7]).sum()
    answers = run.predict(digits[0][np.isin(digits[1], [2, 7])][:40])
    wanted = digits[1][np.isin(digits[1], [2, 7])][:40]
    assert np.mean([answer["label"] == str(target) for answer, target in zip(answers, wanted, strict=True)]) > 0.9


# --- own parts ------------------------------------------------------------------------------------------------------


def test_an_own_network_is_trained_and_the_object_left_as_it_was(digits: Arrays, tmp_path: Path) -> None:
    own = network()
    before = own[1].weight.detach().clone()
    run = fit("digits", tmp_path / "run", model=own, epochs=3)
    assert run.metrics["val"]["accuracy"] > 0.9
    assert torch.equal(own[1].weight, before)
    assert run.recipe.to_mapping()["model"].items() >= {"name": "custom", "type": "Sequential"}.items()
    loaded = nw.load(run.path, model=network())
    assert loaded.predict(digits[0][:5]) == run.predict(digits[0][:5])


def test_an_own_network_is_resumed(tmp_path: Path) -> None:
    longer = fit("digits", tmp_path / "longer", model=network(), epochs=3)
    run = fit("digits", tmp_path / "run", model=network(), epochs=1)
    with pytest.raises(nw.InputError, match=r"the model of .* was your own object; give it again: nw\.resume"):
        nw.resume(run.path, epochs=3, quiet=True)
    assert weights(nw.resume(run.path, epochs=3, quiet=True, model=network())) == weights(longer)


def test_a_run_that_training_returned_is_resumed_with_its_own_parts(tmp_path: Path) -> None:
    run = fit("digits", tmp_path / "run", model=network(), epochs=1)
    assert len(nw.resume(run, epochs=2, quiet=True).history) == 2


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("own", [nn.functional.cross_entropy, nn.CrossEntropyLoss()])
def test_an_own_criterion_equal_to_ours_gives_equal_weights(own: Any, precision: str, tmp_path: Path) -> None:
    """In bf16 too: a criterion is given fp32, as a loss added up in bf16 is good to 2 digits."""
    ours = fit("digits", tmp_path / "ours", model="mlp", runtime={"precision": precision})
    theirs = fit("digits", tmp_path / "theirs", model="mlp", criterion=own, runtime={"precision": precision})
    assert weights(ours) == weights(theirs)
    assert ours.history[-1]["val_loss"] == theirs.history[-1]["val_loss"]
    assert theirs.evaluate("val")["metrics"]["loss"] == pytest.approx(theirs.metrics["val"]["loss"])


def test_an_own_optimizer_equal_to_ours_gives_equal_weights(tmp_path: Path) -> None:
    def build(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=0.05, momentum=0.9)

    settings: dict[str, Any] = {"exact": True, "epochs": 2, "lr": 0.05}
    ours = fit("digits", tmp_path / "ours", optimizer={"name": "sgd", "momentum": 0.9}, **settings)
    del settings["lr"]
    theirs = nw.train(nw.Recipe(), model="linear", out=tmp_path / "theirs", optimizer=build, **QUIET, **settings)
    assert weights(ours) == weights(theirs)
    assert theirs.history[-1]["lr"] == 0.05


def test_an_own_transform_equal_to_ours_gives_the_same(digits: Arrays, tmp_path: Path) -> None:
    def scaled(image: Tensor) -> Tensor:
        assert image.dtype == torch.uint8
        assert image.shape == (1, 8, 8)
        return image.float() / 255

    ours = fit("digits", tmp_path / "ours", transform="none")
    theirs = fit("digits", tmp_path / "theirs", transform=scaled)
    assert theirs.history[-1]["val_loss"] == pytest.approx(ours.history[-1]["val_loss"], rel=1e-4)
    loaded = nw.load(theirs.path, transform=scaled)
    probabilities = [each["probability"] for each in loaded.predict(digits[0][:5])]
    assert probabilities == pytest.approx([each["probability"] for each in ours.predict(digits[0][:5])], rel=1e-3)
    assert loaded.evaluate("val")["metrics"]["accuracy"] == theirs.metrics["val"]["accuracy"]
    with pytest.raises(nw.InputError, match="transform"):
        nw.load(theirs.path).predict(digits[0][:5])


def test_own_metrics_are_recorded_and_can_be_watched(tmp_path: Path) -> None:
    """The metric sees log-probabilities and targets; here the second epoch is made the best."""
    calls = []

    def odd(log_probabilities: Tensor, targets: Tensor) -> float:
        assert torch.allclose(log_probabilities.exp().sum(1), torch.ones(len(targets)), atol=1e-5)
        calls.append(len(targets))
        return [0.1, 0.9, 0.5][len(calls) - 1]

    run = fit("digits", tmp_path / "run", epochs=3, metrics={"odd": odd}, monitor="val_odd")
    assert [record["val_odd"] for record in run.history] == [0.1, 0.9, 0.5]
    assert run.best_epoch == 2
    assert calls == [270] * 3


@pytest.mark.parametrize("monitor", ["val_odd", "val_loss"])
def test_a_metric_that_is_not_finite_is_said(monitor: str, tmp_path: Path) -> None:
    values = iter([0.5, float("nan")])
    metrics = {"odd": lambda log_probabilities, targets: next(values)}
    with pytest.raises(nw.WorkFailed, match="val_odd is nan; let the metric give a finite number"):
        fit("digits", tmp_path / "run", metrics=metrics, monitor=monitor)
    assert json.loads((tmp_path / "run" / "state.json").read_text())["state"] == "failed"


def test_the_hook_sees_every_epoch(tmp_path: Path) -> None:
    seen: list[tuple[int, bool]] = []
    run = fit(
        "digits",
        tmp_path / "run",
        model=network(),
        on_epoch=lambda record, model: seen.append((record["epoch"], isinstance(model, nn.Sequential))),
    )
    assert seen == [(1, True), (2, True)]
    assert run.history[-1]["epoch"] == 2


def test_a_hook_that_fails_is_the_users_own_error(tmp_path: Path) -> None:
    def hook(record: Any, model: Any) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        fit("digits", tmp_path / "run", on_epoch=hook)
    assert json.loads((tmp_path / "run" / "state.json").read_text())["state"] == "failed"


def test_unknown_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(nw.RecipeError, match=r"no argument 'epohcs' \(did you mean \"epochs\"\?\)"):
        fit("digits", tmp_path / "run", epohcs=3)
    with pytest.raises(nw.RecipeError, match=r"`training\.patiense` is not a field"):
        fit("digits", tmp_path / "run", training={"patiense": 3})
    with pytest.raises(nw.RecipeError, match=r"`training\.monitor` is 'val_acuracy'"):
        fit("digits", tmp_path / "run", monitor="val_acuracy")


def test_a_recipe_is_a_kind_of_data(tmp_path: Path) -> None:
    recipe = nw.build_recipe({"model": "linear", "training": {"epochs": 1}, "runtime": {"threads": 1}})
    run = nw.train(recipe, out=tmp_path / "run", quiet=True)
    assert run.recipe.model.name == "linear"
    again = nw.train(run.path / "recipe.yaml", out=tmp_path / "again", quiet=True)
    assert weights(run) == weights(again)
    assert (run.path / "recipe.yaml").read_bytes() == (again.path / "recipe.yaml").read_bytes()


# --- every part -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "criterion",
    [
        "cross_entropy",
        {"name": "cross_entropy", "label_smoothing": 0.1, "class_weights": "balanced"},
        {"name": "nll", "class_weights": [1.0, 2.0]},
        "nll",
        "bce",
        "bce_with_logits",
    ],
)
def test_every_criterion_tells_zeros_from_ones(criterion: Any, two_digits: Arrays, tmp_path: Path) -> None:
    run = fit("digits", tmp_path / "run", classes=["0", "1"], model="mlp", criterion=criterion, epochs=4, test=True)
    assert run.history[-1]["val_accuracy"] > 0.95
    assert run.history[-1]["train_loss"] < run.history[0]["train_loss"]
    assert run.metrics["test"]["accuracy"] > 0.95
    answers = run.predict(two_digits[0][:20])
    assert [answer["label"] for answer in answers] == [str(target) for target in two_digits[1][:20]]
    assert all(sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5) for answer in answers)


@pytest.mark.parametrize("criterion", ["bce", "bce_with_logits"])
def test_a_binary_criterion_refuses_ten_classes(criterion: str, tmp_path: Path) -> None:
    with pytest.raises(nw.RecipeError, match="for two classes, and the data have 10"):
        fit("digits", tmp_path / "run", criterion=criterion)


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS.parts) - {"custom"}))
def test_every_optimizer_learns(name: str, tmp_path: Path) -> None:
    lr = {"adadelta": 1.0, "sgd": 0.1, "adagrad": 0.1}.get(name, 0.01)
    run = fit("digits", tmp_path / "run", optimizer=name, lr=lr, epochs=3)
    assert run.metrics["val"]["accuracy"] > 0.85


SCHEDULES = [(name, steps) for name in sorted(LR_SCHEDULERS.parts) for steps in (0, 5)]
SCHEDULES.remove(("one_cycle", 5))  # warms up by itself


@pytest.mark.parametrize(("name", "warmup_steps"), SCHEDULES)
def test_every_schedule_learns(name: str, warmup_steps: int, tmp_path: Path) -> None:
    scheduler = {"name": name, "warmup_steps": warmup_steps}
    run = fit("digits", tmp_path / "run", lr_scheduler=scheduler, epochs=3, training={"epochs": 3, "batch_size": 32})
    assert run.metrics["val"]["accuracy"] > 0.85
    lrs = [record["lr"] for record in run.history]
    assert all(0 <= lr <= 0.01 for lr in lrs)
    assert (lrs[0] == lrs[-1]) == (name in ("constant", "step", "plateau"))


# --- time, looks inside an epoch, events ------------------------------------------------------------------------------


def test_max_minutes_ends_a_run_properly(digits: Arrays, tmp_path: Path) -> None:
    run = fit("digits", tmp_path / "run", epochs=100_000, max_minutes=0.005)
    assert run.result()["stopped_by"] == "time"
    assert 1 <= len(run.history) < 100_000
    assert run.metrics["val"]["num_samples"] == 270
    assert run.predict(digits[0][:1])[0]["label"]
    assert json.loads((run.path / "state.json").read_text())["state"] == "done"


def test_evaluations_every_some_steps_are_recorded(tmp_path: Path) -> None:
    run = fit("digits", tmp_path / "run", model="mlp", training={"eval_every_steps": 6})
    steps = [look["step"] for record in run.history for look in record["evaluations"]]
    assert steps == [6, 12, 18, 24, 30, 36]
    assert {"step", "train_loss", "val_loss", "val_accuracy"} <= set(run.history[0]["evaluations"][0])
    plain = fit("digits", tmp_path / "plain", model="mlp")
    assert weights(plain) == weights(run)  # looking changes nothing


def test_patience_ends_a_run(tmp_path: Path) -> None:
    optimizer = {"name": "sgd", "lr": 1e-30}
    run = nw.train("digits", model="linear", optimizer=optimizer, epochs=9, patience=2, out=tmp_path / "run", **QUIET)
    assert run.result()["stopped_by"] == "patience"
    assert len(run.history) == 3
    assert run.best_epoch == 1


def test_tensorboard_finds_the_history(tmp_path: Path) -> None:
    from tensorboardX.proto.event_pb2 import Event

    run = fit("digits", tmp_path / "run")
    nw.resume(run.path, epochs=3, quiet=True)
    found: dict[str, dict[int, float]] = {}
    for path in sorted((run.path / "events").iterdir()):
        content, place = path.read_bytes(), 0
        while place < len(content):
            (length,) = struct.unpack_from("<Q", content, place)
            event = Event.FromString(content[place + 12 : place + 12 + length])
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
            place += 16 + length
    history = run.history
    assert len(history) == 3
    for key, tag in (("train_loss", "loss/train"), ("val_loss", "loss/val"), ("val_accuracy", "accuracy/val")):
        assert found[tag] == pytest.approx({record["step"]: record[key] for record in history}, rel=1e-6)


def test_without_val_the_last_epoch_is_kept(tmp_path: Path) -> None:
    run = fit("digits", tmp_path / "run", split={"val": 0.0, "test": 0.0}, epochs=2)
    assert run.best_epoch == 2
    assert run.metrics == {}
    assert run.history[0]["num_train_samples"] == 1797
    assert "val_loss" not in run.history[0]
