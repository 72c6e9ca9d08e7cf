"""A frozen backbone's features computed once: the same result as the whole network, kept, refused where wrong."""

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import netwright as nw
from netwright.config.recipe import build_recipe
from netwright.data import features
from netwright.errors import RecipeError
from netwright.workflows.cache import clear_cache, list_cache

# batch norm and dropout before the head would show a backbone that is not in eval mode
MODEL = {"name": "cnn", "channels": [8, 16], "batch_norm": True, "dropout": 0.3}
FROZEN: dict[str, Any] = {
    "model": MODEL,
    "freeze": "backbone",
    "lr": 0.01,
    "epochs": 3,
    "quiet": True,
    "runtime": {"threads": 1, "device": "cpu", "precision": "fp32"},
}
AUGMENTED = {"augmentation": [{"name": "random_crop", "padding": 2}, {"name": "horizontal_flip"}]}


def logits(run: nw.Run) -> torch.Tensor:
    """What the run's network says of noise in the shape of digits."""
    images = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return run.network()(images)


def kept_features() -> list[str]:
    return [entry["title"] for entry in list_cache()["entries"] if "'s features of" in str(entry["title"])]


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    clear_cache()


def test_the_result_is_that_of_the_whole_network(tmp_path: Path) -> None:
    whole = nw.train("digits", out=tmp_path / "whole", cached_features=False, **FROZEN)
    assert not kept_features()
    run = nw.train("digits", out=tmp_path / "run", **FROZEN)
    assert kept_features() == ["digits: cnn's features of 1,527 images"]  # test stays sealed
    assert run.recipe.training.cached_features is True and whole.recipe.training.cached_features is False
    expected = logits(whole)
    assert (logits(run) - expected).abs().max() <= 1e-4 * expected.abs().max()
    assert expected.std() > 0.1
    for ours, theirs in zip(run.history, whole.history, strict=True):
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-4)
        assert ours["train_accuracy"] == pytest.approx(theirs["train_accuracy"], abs=2e-3)
    judged = run.evaluate("val")["metrics"]
    assert judged["loss"] == pytest.approx(run.metrics["val"]["loss"], rel=1e-5)
    assert judged["accuracy"] == run.metrics["val"]["accuracy"]


def test_with_a_view_for_every_epoch_it_is_that_of_augmented_training(tmp_path: Path) -> None:
    whole = nw.train("digits", out=tmp_path / "whole", cached_features=False, **FROZEN, **AUGMENTED)
    unasked = nw.train("digits", out=tmp_path / "unasked", **FROZEN, **AUGMENTED)
    assert not kept_features() and unasked.recipe.training.cached_features is False
    run = nw.train("digits", out=tmp_path / "run", views=3, **FROZEN, **AUGMENTED)
    assert len(kept_features()) == 4  # three views of train, val as it is
    expected = logits(whole)
    assert (logits(run) - expected).abs().max() <= 1e-4 * expected.abs().max()
    fewer = nw.train("digits", out=tmp_path / "fewer", views=2, **FROZEN, **AUGMENTED)
    assert len(kept_features()) == 4  # the first two of them
    assert fewer.history[1]["train_loss"] == run.history[1]["train_loss"]
    nw.train("digits", out=tmp_path / "alone", views=2, split={"val": 0}, **FROZEN, **AUGMENTED)
    assert len(kept_features()) == 6  # of another train; nothing of no val
    assert fewer.history[2]["train_loss"] != run.history[2]["train_loss"]


def test_a_second_run_computes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = nw.train("digits", out=tmp_path / "first", **FROZEN)

    def compute(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(features.FeatureMaker, "_compute", compute)
    second = nw.train("digits", out=tmp_path / "second", **FROZEN)
    assert torch.equal(logits(first), logits(second))
    with pytest.raises(AssertionError, match="computed again"):  # other first weights are another backbone
        nw.train("digits", out=tmp_path / "third", seed=1, **FROZEN)


def test_parts_of_many_images_outlive_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = nw.train("digits", out=tmp_path / "whole", **FROZEN)
    clear_cache()
    monkeypatch.setattr(features, "PART_IMAGES", 400)
    plain = features.FeatureMaker._compute
    done: list[int] = []

    def compute(self: features.FeatureMaker, values: Any, rows: Any, *rest: Any) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(len(rows))
        plain(self, values, rows, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(features.FeatureMaker, "_compute", compute)
        with pytest.raises(KeyboardInterrupt):
            nw.train("digits", out=tmp_path / "killed", **FROZEN)
    assert len(kept_features()) == 2
    done = [-10]
    monkeypatch.setattr(features.FeatureMaker, "_compute", compute)
    done.clear()
    with monkeypatch.context() as patch:
        patch.setattr(features.FeatureMaker, "_compute", lambda *given: (done.append(len(given[2])), plain(*given)))
        run = nw.resume(tmp_path / "killed", quiet=True)
    assert done == [400, 327]
    assert kept_features() == ["digits: cnn's features of 1,527 images"]
    assert torch.equal(logits(run), logits(whole))


def test_features_of_a_large_folder_lie_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = FROZEN | AUGMENTED | {"head_solver": "lbfgs", "views": 2}
    expected = nw.train("digits", out=tmp_path / "memory", **settings)
    monkeypatch.setattr(features, "WHOLE_BYTES", 10_000)
    plain = features.FeatureBatches.whole
    files: list[str] = []

    def whole(self: features.FeatureBatches) -> tuple[torch.Tensor, torch.Tensor]:
        found = plain(self)
        address = found[0].data_ptr()
        for line in Path("/proc/self/maps").read_text().splitlines():
            first, last = (int(end, 16) for end in line.split()[0].split("-"))
            if first <= address < last:
                files.append(line)
        return found

    monkeypatch.setattr(features.FeatureBatches, "whole", whole)
    run = nw.train("digits", out=tmp_path / "file", **settings)
    assert len(files) == 1 and "deleted" in files[0]  # a file without a name
    assert torch.equal(logits(run), logits(expected))


@pytest.mark.parametrize("cache", ["kept", "deleted"])
@pytest.mark.parametrize("solver", ["optimizer", "lbfgs"])
def test_an_interrupted_run_ends_with_the_same_bits(
    solver: str, cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = FROZEN | {"head_solver": solver, "runtime": {"threads": 1, "device": "cpu"}}
    expected = nw.train("digits", out=tmp_path / "whole", **settings)
    from netwright.workflows.sitting import Watcher

    plain = Watcher.step

    def step(self: Watcher, done: int, total: int, num_samples: int) -> None:
        plain(self, done, total, num_samples)
        if done == 7:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Watcher, "step", step)
        stop = {"on_epoch": lambda *_: signal.raise_signal(signal.SIGINT)} if solver == "lbfgs" else {}
        run = nw.train("digits", out=tmp_path / "run", **settings, **stop)
    assert run.interrupted
    if cache == "deleted":
        clear_cache()
    run = nw.resume(run.path, quiet=True)
    assert not run.interrupted
    weights = "bundle/model.safetensors"
    assert (run.path / weights).read_bytes() == (expected.path / weights).read_bytes()
    assert (run.path / "recipe.yaml").read_bytes() == (expected.path / "recipe.yaml").read_bytes()
    assert [record["val_loss"] for record in run.history] == [record["val_loss"] for record in expected.history]


def test_the_solver_goes_along_a_path_of_penalties(tmp_path: Path) -> None:
    run = nw.train("digits", out=tmp_path / "run", head_solver="lbfgs", **FROZEN | {"epochs": 6})
    penalties = [record["penalty"] for record in run.history]
    assert penalties == pytest.approx([1.0, 10**-0.5, 0.1, 10**-1.5, 0.01, 10**-2.5])
    losses = [record["train_loss"] for record in run.history]
    assert losses == sorted(losses, reverse=True)
    assert "lr" not in run.history[0]
    assert run.best_epoch == 1 + int(np.argmin([record["val_loss"] for record in run.history]))
    assert run.evaluate("val")["metrics"]["accuracy"] == run.history[run.best_epoch - 1]["val_accuracy"] > 0.9
    page = run.report().read_text(encoding="utf-8")
    assert ">penalty</th>" in page and ">lr</th>" not in page


def test_photographs_kept_whole_have_views(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for label, brightness in (("dark", 60), ("light", 190)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(12):
            pixels = random.integers(brightness - 40, brightness + 40, (30 + number % 5, 40 - number % 7, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / label / f"{number}.png")
    settings = FROZEN | {"image_size": 16, "augmentation": [{"name": "random_resized_crop"}]}
    run = nw.train(tmp_path / "photos", out=tmp_path / "run", views=3, **settings)
    whole = nw.train(tmp_path / "photos", out=tmp_path / "whole", cached_features=False, **settings)
    assert [record["train_loss"] for record in run.history] == pytest.approx(
        [record["train_loss"] for record in whole.history], rel=1e-4
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"freeze": "none", "views": 4, **AUGMENTED}, "more than the head is trained; set `training.freeze: backbone`"),
        ({"views": 4}, "there is no augmentation"),
        ({"cached_features": True, **AUGMENTED}, "augmentation makes new ones in every epoch; set `training.views"),
        ({"views": 4, "cached_features": False, **AUGMENTED}, "`training.cached_features` is false"),
        ({"views": 4, "augmentation": ["mixup"]}, "mixed images are new ones"),
        ({"head_solver": "lbfgs", "criterion": "nll"}, "finds the optimum of cross_entropy"),
    ],
)
def test_what_would_not_stay_the_same_is_refused(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=message.replace("(", r"\(")):
        nw.train("digits", out=tmp_path / "run", **FROZEN | settings)
    assert not (tmp_path / "run").exists()


def test_the_solver_needs_a_linear_head(tmp_path: Path) -> None:
    model = {"name": "mlp", "hidden_sizes": [16], "dropout": 0.5}
    run = nw.train("digits", out=tmp_path / "run", head_solver="lbfgs", **FROZEN | {"model": model})
    assert run.history[-1]["train_accuracy"] > 0.6  # of 16 units; dropout before them is left out
    assert build_recipe(run.recipe.to_mapping()) == run.recipe
