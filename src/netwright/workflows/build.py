"""From a recipe to what the loop needs: data, plan, network and optimizer."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from netwright.config.datasets import NAMED_SETS
from netwright.config.fast import with_fast_preset
from netwright.config.models import CustomModel
from netwright.config.recipe import Recipe, with_task
from netwright.data.augment import build_augmentation, build_mixer
from netwright.data.batches import Batches
from netwright.data.known_files import check_files_there, check_same_files
from netwright.data.labelled import LabelledData
from netwright.data.leaks.gate import Gated, pass_gate
from netwright.data.masks.store import count_pixels
from netwright.data.prepare import PreparedData, prepare
from netwright.data.sources import open_data
from netwright.data.splits import cut_fractions, split_rows
from netwright.data.transform import categories_of
from netwright.deployment.predictor import own_copy
from netwright.errors import DataError, RecipeError
from netwright.models import build_model
from netwright.models.build import Sizes, build_pretrained
from netwright.models.fitting import Fit
from netwright.models.pretrained import Pretrained
from netwright.runs.folder import RunFolder
from netwright.runtime.machine import Machine, resolved
from netwright.runtime.randomness import seed_of
from netwright.tasks.registry import TASKS
from netwright.tasks.task import Task, TrainTargets
from netwright.training.fine_tuning import build_staged_optimizer, freeze_for_good
from netwright.training.graphs import choose_graphs
from netwright.training.optimizer import choose_kernel
from netwright.training.plan import Plan
from netwright.training.state import Sums, TrainingState
from netwright.workflows.checks import check_masks, check_takes_rows
from netwright.workflows.first_weights import take_from_train
from netwright.workflows.own import Own

EVALUATED_ROWS = 4096
EVALUATED_PIXELS = 2**21  # of a batch: 41 photographs
EVALUATED_MASK_PIXELS = 2**19  # of a batch: 2 images of 512 × 512


def open_prepared(
    recipe: Recipe,
    own: Own,
    say: Callable[[str], None] | None = None,
    known_leaks: Mapping[str, Any] | None = None,
    *,
    known_files: Mapping[str, Any] | None = None,
    refuse: bool = True,
) -> PreparedData:
    """Open, split and decode the data of a recipe; `say` hears what takes long.

    The splits pass the leak gate, or have passed it when the run began: then `known_leaks` is what it found, and
    `known_files` the split.json of then. Without `refuse` leaks are found and nothing more. Raises DataError, with a
    list, for files that have changed since."""
    if known_files is not None:
        labelled = open_same(recipe, own, known_files)
    else:
        labelled = open_data(recipe.data, own.data, split=recipe.split)
    recipe = with_task(recipe, labelled.task)  # before anything is decoded: what makes no sense is refused
    if known_leaks is None:
        published = own.data is None and recipe.data.source in NAMED_SETS
        gated = pass_gate(labelled, recipe.split, recipe.data, published=published, refuse=refuse)
    else:
        gated = Gated(split_rows(labelled, recipe.split), dict(known_leaks))
    prepared = prepare(labelled, gated.rows, recipe, transform=own.transform, say=say)
    return dataclasses.replace(prepared, leaks=gated.leaks)


def open_same(recipe: Recipe, own: Own, kept: Mapping[str, Any], what: str = "the run") -> LabelledData:
    """Open the data of a run again by its split.json, `kept`. Raises DataError that lists files that have changed."""
    if own.data is None:
        check_files_there(kept, recipe.data, what)
    labelled = open_data(recipe.data, own.data, split=recipe.split)
    check_same_files(kept, labelled, what)
    return labelled


def resolve(recipe: Recipe, prepared: PreparedData, machine: Machine) -> Recipe:
    """Write out what the recipe left open and the data and the machine decided."""
    recipe = with_task(recipe, prepared.labelled.task)
    data = recipe.data
    if prepared.transform.kind != "rows":
        data = msgspec.structs.replace(data, image_size=prepared.transform.image_size)
    if prepared.labelled.masks is not None:
        coding = prepared.labelled.masks.coding
        said = {"mask_classes": coding.said_classes, "mask_ignore": coding.said_ignored}
        data = msgspec.structs.replace(data, masks=data.masks or data.source, **said)
    cut = cut_fractions(prepared.labelled, recipe.split)
    split = msgspec.structs.replace(recipe.split, **{name: cut[name] for name in ("val", "test") if cut[name]})
    transform = msgspec.structs.replace(recipe.transform, normalize=recipe.transform.normalize or "computed")
    recipe = with_fast_preset(recipe, len(prepared.rows["train"]))
    asked = recipe.runtime.optimizer_kernel
    kernel = choose_kernel(recipe.optimizer, machine.device, asked, exact=machine.exact)
    chosen: dict[str, Any] = {"optimizer_kernel": kernel, "cuda_graphs": choose_graphs(recipe, machine)}
    runtime = msgspec.structs.replace(resolved(machine, recipe.runtime), workers=prepared.workers, **chosen)
    return recipe.replace(data=data, split=split, transform=transform, runtime=runtime)


def count_classes(prepared: PreparedData, split: str) -> torch.Tensor:
    """Count the samples of each class in a split, (K,) int64."""
    targets = torch.as_tensor(prepared.labelled.targets)[torch.as_tensor(prepared.rows[split])]
    return torch.bincount(targets, minlength=len(prepared.labelled.class_names))


def train_targets(prepared: PreparedData) -> TrainTargets:
    """Return what a task and its criterion are told of train's targets."""
    names = prepared.labelled.class_names
    if prepared.store.masks is not None:
        masks = prepared.store.gather_masks(torch.from_numpy(prepared.rows["train"]))
        return TrainTargets(names, count_pixels(masks, len(names)))
    if names:
        return TrainTargets(names, count_classes(prepared, "train"))
    numbers = prepared.labelled.targets[prepared.rows["train"]]
    std = float(numbers.std())
    if not std:
        raise DataError(f"train has one number only, {numbers[0]:g}; there is nothing to learn")
    return TrainTargets(mean=float(numbers.mean()), std=std)


def build_task(recipe: Recipe, prepared: PreparedData) -> Task:
    """Return the task that the data and the criterion make. Raises RecipeError when they do not go together."""
    return TASKS[prepared.labelled.task].build(recipe.criterion, train_targets(prepared))


def build_plan(
    folder: RunFolder | None, recipe: Recipe, prepared: PreparedData, task: Task, machine: Machine, own: Own
) -> Plan:
    """Put together all that stays the same while the run trains; without a folder nothing of it is kept."""
    train = train_batches(recipe, prepared, machine.device)
    val = eval_batches(prepared, "val", recipe, machine) if "val" in prepared.rows else None
    make_loss = TASKS[task.name].batch_loss
    batch_loss = make_loss(recipe.criterion, train_targets(prepared), machine.device, own.criterion)
    return Plan(recipe, machine, task, batch_loss, train, val, own.metrics, folder)


def train_batches(recipe: Recipe, prepared: PreparedData, device: torch.device) -> Batches:
    """Return the batches that training sees: augmented, mixed, in the recipe's order."""
    training = recipe.training
    # floats are augmented in [0, 1], see Batches
    augment = build_augmentation(recipe.augmentation, training.seed, prepared.transform.image_size, (0.0, 1.0))
    return Batches(
        prepared,
        "train",
        batch_size=training.batch_size,
        device=device,
        seed=training.seed,
        augment=augment,
        shuffle=True,
        resolutions=training.resolutions,
        balanced=training.sampling == "balanced",
        mixer=build_mixer(recipe.augmentation, training.seed, len(prepared.labelled.class_names)),
    )


def eval_batches(prepared: PreparedData, split: str, recipe: Recipe, machine: Machine) -> Batches:
    """Return a split's batches for evaluation: bigger than in training where images are small.

    On a CPU, that is: a layer of SqueezeNet takes 3 MB for a photograph of 224 × 224, one of VGG-16 13 MB. Judging 153
    of them in batches of 64 and not of 256 took 0.85 GiB in place of 1.30."""
    height, width = prepared.transform.image_size
    if prepared.transform.kind == "rows":
        return Batches(prepared, split, batch_size=EVALUATED_ROWS, device=machine.device)
    most = max(1, min(256, EVALUATED_PIXELS // (height * width))) if machine.device.type == "cpu" else 256
    size = max(recipe.training.batch_size, min(most, 4 * recipe.training.batch_size))
    if prepared.labelled.masks is not None:  # a U-Net keeps several layers of the image's full size at once
        size = max(1, EVALUATED_MASK_PIXELS // (height * width))
    return Batches(prepared, split, batch_size=size, device=machine.device)


def sizes_for(prepared: PreparedData, task: Task) -> Sizes:
    """Return what a network is built for."""
    return {
        "in_channels": prepared.input_shape[0],
        "image_size": prepared.input_shape[1:],
        "num_outputs": task.num_outputs,
        "output": task.output,
    }


def build_network(
    recipe: Recipe, prepared: PreparedData, task: Task, machine: Machine, pretrained: Pretrained | None
) -> tuple[nn.Module, Fit | None]:
    """Build the recipe's network with its first weights, a pure function of the seed and of what they begin with."""
    if isinstance(recipe.model, CustomModel):
        raise RecipeError(f"the network was your own {recipe.model.type}; give it again, model=…, in Python")
    size = sizes_for(prepared, task)
    if prepared.transform.kind == "rows":
        check_takes_rows(recipe.model)
    categories = categories_of(prepared.transform)
    if pretrained is not None:
        if categories:
            raise RecipeError("weights from elsewhere can't be put into a network for rows with categories")
        return build_pretrained(recipe.model, pretrained, class_names=task.class_names, **size)
    model = build_model(recipe.model, **size, categories=categories)
    if task.name == "segmentation":
        check_masks(model, recipe, size)
    take_from_train(model, recipe, prepared, train_targets(prepared), machine)
    return model, None


def build_state(
    recipe: Recipe,
    prepared: PreparedData,
    task: Task,
    machine: Machine,
    own: Own,
    pretrained: Pretrained | None = None,
) -> TrainingState:
    """Build the network with its first weights, and its optimizer."""
    torch.manual_seed(seed_of(recipe.training.seed, "weights"))
    fit = None
    if own.model is None:
        model, fit = build_network(recipe, prepared, task, machine, pretrained)
    else:
        model = own_copy(own.model)  # the user's object stays as it was given: a second run begins where the first did
    model = model.to(machine.device).to(memory_format=machine.memory_format)
    if recipe.training.batch_size == 1 and any(isinstance(part, _BatchNorm) for part in model.modules()):
        raise RecipeError("`training.batch_size` is 1 and the network has batch norm, which needs two; raise it")
    freeze_for_good(model, recipe.training)
    if own.optimizer is not None:
        optimizer = own.optimizer([parameter for parameter in model.parameters() if parameter.requires_grad])
    else:
        kernel = recipe.runtime.optimizer_kernel
        assert kernel != "auto"  # written out by `resolve`
        bf16 = machine.precision == "bf16"
        optimizer = build_staged_optimizer(recipe.optimizer, model, kernel=kernel, bf16=bf16)
    return TrainingState(model, optimizer, Sums(task.count), fit=fit)
