"""Our loop against a plain PyTorch loop, and every way of running it against the plain way of running it."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from netwright.config.recipe import Recipe, build_recipe
from netwright.data.prepare import prepare
from netwright.data.sources import open_data
from netwright.data.splits import split_rows
from netwright.runtime.machine import applied, choose_machine
from netwright.tasks.classification import build_task
from netwright.training.fit import fit
from netwright.training.plan import Plan
from netwright.training.state import TrainingState
from netwright.workflows.build import build_plan, build_state, resolve
from netwright.workflows.own import Own


class Silent:
    """A listener that stops after some steps."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.steps, self.stop_after = 0, stop_after

    def step(self, done: int, total: int, num_samples: int) -> None:
        self.steps += 1

    def epoch(self, record: dict, model: nn.Module) -> None:
        pass

    def stop_requested(self) -> bool:
        return self.steps >= self.stop_after


def made(settings: dict, tmp_path=None) -> tuple[TrainingState, Plan]:
    recipe: Recipe = build_recipe({"data": {"source": "digits"}, **settings})
    labelled = open_data(recipe.data)
    prepared = prepare(labelled, split_rows(labelled, recipe.split), recipe)
    task = build_task(recipe.criterion, labelled.class_names)
    machine = choose_machine(recipe.runtime)
    recipe = resolve(recipe, prepared, machine)
    state = build_state(recipe, prepared, task, machine, Own())
    plan = build_plan(tmp_path, recipe, prepared, task, machine, Own())
    return state, plan


@pytest.mark.parametrize(
    ("optimizer", "augmentation"),
    [
        *((name, ()) for name in ("sgd", "adam", "adamw", "rmsprop", "adagrad", "adadelta")),
        ("adam", ("rand_augment", "mixup", "cutmix")),
    ],
)
def test_twenty_exact_steps_equal_a_plain_loop_bit_for_bit(optimizer, augmentation):
    """Model, pixels, order and arithmetic written as a course would: only the order of the epoch is taken from us."""
    settings = {
        "model": {"name": "cnn", "channels": [4, 8]},
        "optimizer": {"name": optimizer, "lr": 0.01},
        "training": {"epochs": 1, "batch_size": 60},
        "runtime": {"exact": True, "device": "cpu"},
        "augmentation": augmentation,
    }
    state, plan = made(settings)
    assert plan.train.num_batches >= 20
    plain = copy.deepcopy(state.model)
    kind = {
        "sgd": "SGD",
        "adam": "Adam",
        "adamw": "AdamW",
        "rmsprop": "RMSprop",
        "adagrad": "Adagrad",
        "adadelta": "Adadelta",
    }
    arguments = {"weight_decay": 0.01} if optimizer == "adamw" else {}
    torch_optimizer = getattr(torch.optim, kind[optimizer])(plain.parameters(), lr=0.01, **arguments)
    criterion = nn.CrossEntropyLoss()
    with applied(plan.machine):
        batches = [plan.train.batch(1, number) for number in range(20)]
        for batch in batches:
            torch_optimizer.zero_grad()
            criterion(plain(batch.images.contiguous()), batch.targets).backward()
            torch_optimizer.step()
        listener = Silent(stop_after=20)
        with pytest.raises(Exception, match="interrupted in epoch 1, after step 20"):
            fit(state, plan, listener)
    for ours, theirs in zip(state.model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_batches_are_the_normalised_pixels_of_the_source():
    """The same images that scikit-learn's loader gives, normalised by NumPy."""
    from sklearn.datasets import load_digits

    _, plan = made({})
    digits = load_digits()
    pixels = np.rint(digits.images * 255 / 16) / 255
    train_rows = np.sort(np.concatenate([batch.rows.numpy() for batch in plan.train.epoch(1)]))
    mean, std = pixels[train_rows].mean(), pixels[train_rows].std()
    batch = plan.train.batch(1, 3)
    expected = (pixels[batch.rows.numpy()] - mean) / std
    assert np.allclose(batch.images[:, 0].cpu().numpy(), expected, atol=1e-5)
    assert np.array_equal(batch.targets.cpu().numpy(), digits.target[batch.rows.numpy()])


@pytest.mark.parametrize("class_weights", [None, "balanced"])
@pytest.mark.parametrize("batch_size", [50, 64])
def test_accumulated_batches_equal_one_big_batch(batch_size, class_weights):
    """Also where the batches don't divide evenly: 1257 images in groups of 3 × 64 leave a last one of 105."""
    criterion = {"name": "cross_entropy", "class_weights": class_weights}
    base = {"model": "mlp", "optimizer": {"name": "sgd", "lr": 0.1}, "criterion": criterion, "runtime": {"exact": True}}
    small, plan_small = made(base | {"training": {"epochs": 1, "batch_size": batch_size, "accumulation_steps": 3}})
    big, plan_big = made(base | {"training": {"epochs": 1, "batch_size": 3 * batch_size}})
    with applied(plan_small.machine):
        fit(small, plan_small, Silent())
        fit(big, plan_big, Silent())
    assert small.progress.step == big.progress.step
    for one, other in zip(small.model.parameters(), big.model.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    assert small.history[0]["train_loss"] == pytest.approx(big.history[0]["train_loss"], rel=1e-5)


def test_validation_numbers_are_sums_over_samples():
    state, plan = made({"training": {"epochs": 2, "batch_size": 100}, "model": "mlp", "runtime": {"precision": "fp32"}})
    with applied(plan.machine):
        fit(state, plan, Silent())
        state.model.eval()
        whole = list(plan.val.epoch(0))
        images, targets = torch.cat([b.images for b in whole]), torch.cat([b.targets for b in whole])
        with torch.no_grad():
            logits = state.model(images)
    assert state.history[-1]["val_loss"] == pytest.approx(nn.functional.cross_entropy(logits, targets).item(), rel=1e-5)
    accuracy = (logits.argmax(1) == targets).double().mean().item()
    assert state.history[-1]["val_accuracy"] == pytest.approx(accuracy)


def test_clipping_bounds_the_update():
    settings = {"model": "mlp", "optimizer": {"name": "sgd", "lr": 1.0}, "runtime": {"exact": True}}
    state, plan = made(settings | {"training": {"epochs": 1, "clip_norm": 0.01}})
    before = torch.cat([p.detach().flatten().clone() for p in state.model.parameters()])
    with applied(plan.machine), pytest.raises(Exception, match="after step 1"):
        fit(state, plan, Silent(stop_after=1))
    after = torch.cat([p.detach().flatten() for p in state.model.parameters()])
    assert (after - before).norm().item() == pytest.approx(0.01, rel=1e-3)
