"""From a network's outputs on a split to its metrics and to the file that keeps them: after training and later.

What differs between tasks is in one module each: `judging_classes`, `judging_numbers`, `judging_masks`."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from netwright.config.recipe import Recipe
from netwright.data.fingerprint import sample_digests
from netwright.data.labelled import LabelledData, Rows
from netwright.data.prepare import PreparedData
from netwright.data.views import NUM_VIEWS, with_views
from netwright.deployment.predictor import Predictor
from netwright.evaluation.outputs import Outputs, run_network
from netwright.files.hashing import sha256_file
from netwright.runs.folder import RunFolder, read_json
from netwright.runs.outputs import StoredOutputs, save_outputs
from netwright.tasks.registry import TASKS
from netwright.tasks.task import Task, TrainTargets
from netwright.workflows import judging_classes, judging_masks, judging_numbers
from netwright.workflows.build import eval_batches
from netwright.workflows.judging_rows import verdicts
from netwright.workflows.own import Own


@dataclass(frozen=True)
class Judging:
    """What a task makes of a split's outputs; the functions are described in the task's module.

    `deciding` are the metrics that a summary shows, `headline` the one that stands for all: best when large."""

    headline: str
    deciding: tuple[str, ...]
    fit: Callable[[Outputs], float | None]
    measure: Callable[..., dict[str, Any]]
    beside: Callable[..., dict[str, Any]]
    kept_without_run: Callable[[Tensor, Tensor, Task], tuple[Tensor, Tensor]]
    without_run: Callable[..., tuple[Outputs, TrainTargets, dict[str, Any]]]
    predicted: Callable[[Outputs], npt.NDArray[Any]]
    explain: Callable[..., dict[str, Any]]
    optimism: Callable[[dict[str, Any], int], float | None]
    draw: Callable[[RunFolder, str, dict[str, Any], Task, str], Path]
    lost: Callable[..., dict[str, Any]]

    def short(self, metrics: dict[str, Any]) -> dict[str, Any]:
        """Return the numbers of a split that decide, and how many views there were."""
        return {key: metrics[key] for key in (*self.deciding, "views") if key in metrics}


def _of(module: ModuleType) -> Judging:
    names = [field.name for field in fields(Judging)][2:]
    return Judging(module.HEADLINE, module.DECIDING, *(getattr(module, name) for name in names))


JUDGINGS = {
    "classification": _of(judging_classes),
    "regression": _of(judging_numbers),
    "segmentation": _of(judging_masks),
}


def keep_outputs(
    folder: RunFolder, split: str, outputs: Outputs, prepared: PreparedData, epoch: int, task: Task
) -> None:
    """Write the outputs into the run, beside whose weights and which images they are of."""
    rows = outputs.rows.numpy()
    about = {
        "split": split,
        "fingerprint": prepared.split_fingerprints[split],
        "epoch": epoch,
        "weights_sha256": sha256_file(folder.weights),
        "class_names": list(prepared.labelled.class_names),
    }
    stored = StoredOutputs(
        answers=outputs.answers.numpy(),
        predictions=JUDGINGS[task.name].predicted(outputs),
        targets=outputs.targets.numpy(),
        rows=rows,
        samples=sample_numbers(prepared.labelled, rows),
        about=about,
    )
    save_outputs(folder.outputs_of(split), stored)


def sample_numbers(labelled: LabelledData, rows: Rows) -> Rows:
    """Return the first eight bytes of each image's SHA-256 as a number, (N,) int64."""
    return np.ascontiguousarray(sample_digests(labelled.images)[rows, :8]).view("<i8")[:, 0]


def judge(
    folder: RunFolder,
    own: Own,
    recipe: Recipe,
    prepared: PreparedData,
    predictor: Predictor,
    split: str,
    *,
    fitted_here: bool,
    train: PreparedData | None = None,
) -> tuple[Outputs, dict[str, Any]]:
    """Run the bundle's network over a split; balanced class weights are those of the run's train split.

    `train` are images of train among which nearest neighbours are looked for. `fitted_here`: this split chose the
    temperature."""
    machine, task, temperature = predictor.machine, predictor.bundle.task, predictor.bundle.temperature
    targets = targets_of_run(folder, task)
    batch_loss = TASKS[task.name].batch_loss(recipe.criterion, targets, machine.device, own.criterion)
    batches = eval_batches(prepared, split, recipe, machine)
    views = predictor.transform.views
    outputs = run_network(with_views(predictor.network, views), batches.epoch(0), task, batch_loss, machine)
    judging = JUDGINGS[task.name]
    metrics = judging.measure(
        outputs, task, recipe.criterion, targets, temperature=temperature, fitted_here=fitted_here
    )
    metrics |= judging.beside(outputs, prepared, split, targets, temperature=temperature, train=train)
    metrics |= in_words(metrics, prepared)
    return outputs, metrics | {"views": NUM_VIEWS[views]}


def in_words(metrics: dict[str, Any], prepared: PreparedData) -> dict[str, Any]:
    """Return what other models on the same rows say about the network's result; nothing of images."""
    return {"verdicts": verdicts(metrics)} if prepared.transform.kind == "rows" else {}


def targets_of_run(folder: RunFolder, task: Task) -> TrainTargets:
    """Return what the run's data.json says of train's targets."""
    known = read_json(folder.data)
    counts = torch.tensor(list(known.get("pixels", known["counts"]["train"]).values()))
    return TrainTargets(task.class_names, counts, **known.get("targets", {}))
