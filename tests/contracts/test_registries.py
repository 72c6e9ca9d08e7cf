"""`config` declares names and arguments without torch, the rooms build them: here the two are held together."""

import msgspec
import pytest
import torch
from torch import nn

from netwright.config.augmentations import AUGMENTATIONS, Augmentation, Mixing, RandomWindow
from netwright.config.models import MODELS, CustomModel, Model, TorchvisionModel, gives_masks
from netwright.config.optimization import CRITERIA, LR_SCHEDULERS, OPTIMIZERS, CustomOptimizer
from netwright.config.recipe import output_for
from netwright.config.tasks import DEFAULT_CRITERIA, criteria_for
from netwright.data.augment import build_augmentation, build_mixer
from netwright.deployment.prediction import ANSWERING
from netwright.deployment.serving import OF_IMAGES
from netwright.models import build_model
from netwright.models.registry import BUILDERS
from netwright.report.tasks import TASK_PAGES
from netwright.tasks.classification import build_batch_loss, build_task
from netwright.tasks.registry import TASKS
from netwright.tasks.task import TrainTargets
from netwright.training.optimizer import OPTIMIZER_CLASSES, build_optimizer
from netwright.training.schedule import FACTORS, Position, lr_factor
from netwright.web.answers import ANSWERS
from netwright.workflows.judging import JUDGINGS
from netwright.workflows.serve import COLOURS

CUSTOM = "custom"  # the user's own object: nothing to build


def built_in(parts: dict[str, type]) -> list[str]:
    return sorted(set(parts) - {CUSTOM})


def test_models_are_those_declared() -> None:
    assert set(BUILDERS) == {*MODELS.parts.values(), TorchvisionModel} - {CustomModel}


def test_optimizers_are_those_declared() -> None:
    assert set(OPTIMIZER_CLASSES) == set(OPTIMIZERS.parts.values()) - {CustomOptimizer}


def test_lr_schedulers_are_those_declared() -> None:
    assert set(FACTORS) == set(LR_SCHEDULERS.parts.values())


@pytest.mark.parametrize("name", built_in(MODELS.parts))
def test_model_builds_with_its_defaults(name: str) -> None:
    model = MODELS.parts[name]()
    assert isinstance(model, Model)
    network = build_model(model, in_channels=3, image_size=(64, 64), num_outputs=4, output="logits")
    expected = (2, 4, 64, 64) if gives_masks(model) else (2, 4)
    assert network.eval()(torch.zeros(2, 3, 64, 64)).shape == expected


@pytest.mark.parametrize("name", built_in(AUGMENTATIONS.parts))
def test_augmentation_builds_with_its_defaults(name: str) -> None:
    part = AUGMENTATIONS.parts[name]()
    assert isinstance(part, Augmentation)
    if isinstance(part, Mixing):
        mixer, images = build_mixer((part,), 0, 4), torch.rand(5, 3, 16, 16)
        assert mixer is not None
        mixed, shares = mixer(images, torch.arange(5) % 4, 1, torch.arange(5))
        assert (mixed.shape, shares.shape) == (images.shape, (5, 4))
        assert not torch.equal(mixed, images)
        return
    side = 300 if isinstance(part, RandomWindow) else 16
    augment = build_augmentation((part,), 0, (side, side))
    assert augment is not None
    pixels = torch.randint(0, 256, (16, side, side, 3), dtype=torch.uint8)
    augmented = augment(pixels, 1, torch.arange(16))
    assert (augmented.shape, augmented.dtype) == ((16, *augment.output_size, 3), pixels.dtype)
    assert not torch.equal(augmented, pixels)


@pytest.mark.parametrize("name", [name for name in criteria_for("classification") if name != "custom"])
def test_criterion_builds_and_goes_with_its_task(name: str) -> None:
    criterion = CRITERIA.parts[name]()
    task = build_task(criterion, ("cat", "dog"))
    outputs = torch.rand(6, task.num_outputs)
    if output_for(criterion) == "log_probabilities":
        outputs = outputs.log_softmax(dim=1)
    targets = torch.tensor([0, 1, 0, 1, 1, 0])
    loss, weight = build_batch_loss(criterion, torch.tensor([3, 3]), torch.device("cpu"))(outputs, targets)
    expected = -task.log_probabilities(outputs)[torch.arange(6), targets].mean()
    torch.testing.assert_close(loss, expected)
    assert weight == 6


def test_every_task_has_its_place_in_every_room() -> None:
    names = set(TASKS)
    assert names == set(JUDGINGS) == set(ANSWERING) == set(TASK_PAGES)
    assert names == set(OF_IMAGES) == set(COLOURS) == set(ANSWERS)
    assert names <= set(DEFAULT_CRITERIA)
    for name in names:
        assert DEFAULT_CRITERIA[name].name in criteria_for(name)


def test_every_criterion_is_of_a_task_that_there_is() -> None:
    for name in built_in(CRITERIA.parts):
        criterion = CRITERIA.parts[name]()
        targets = TrainTargets(("no", "yes"), torch.tensor([3, 3]), 0.0, 1.0)
        for task in set(criterion.tasks) & set(TASKS):
            built = TASKS[task].build(criterion, targets)
            assert TASKS[task].read(built.to_mapping()) == built
            size = (4, 4) if task == "segmentation" else ()
            outputs = torch.rand(6, built.num_outputs, *size)
            classes = (torch.arange(6) % 2).view(6, *[1] * len(size)).expand(6, *size)
            loss, weight = TASKS[task].batch_loss(criterion, targets, torch.device("cpu"), None)(outputs, classes)
            assert loss.isfinite()
            assert weight in ((6, 6 * 16) if size else (6,))  # images, or pixels


@pytest.mark.parametrize("name", built_in(OPTIMIZERS.parts))
def test_optimizer_gets_every_declared_argument(name: str) -> None:
    optimizer = OPTIMIZERS.parts[name]()
    built = build_optimizer(optimizer, nn.Linear(2, 2).named_parameters(), kernel="plain")
    declared = {field.name: getattr(optimizer, field.name) for field in msgspec.structs.fields(optimizer)}
    assert (declared.pop("name"), declared.pop("groups"), declared.pop("stage_lr_factor")) == (name, (), 1)
    of_sgd = {argument: declared.pop(argument) for argument in list(declared) if argument.startswith("sgd_")}
    assert {argument: built.defaults[argument] for argument in declared} == declared
    assert {argument: built.param_groups[0][argument[4:]] for argument in of_sgd} == of_sgd


@pytest.mark.parametrize("name", sorted(LR_SCHEDULERS.parts))
def test_lr_scheduler_gives_a_factor_at_every_step(name: str) -> None:
    scheduler = LR_SCHEDULERS.parts[name]()
    factors = [lr_factor(scheduler, Position(step, 5, 50)) for step in range(50)]
    assert all(0 <= factor <= 1 for factor in factors)
    assert max(factors) > 0.9
