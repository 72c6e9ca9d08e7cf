"""What is said of a regression's answers: errors with intervals, baselines, plots."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from netwright.config.optimization import Criterion
from netwright.data.prepare import PreparedData
from netwright.errors import InputError
from netwright.evaluation.diagnosis import diagnose_numbers
from netwright.evaluation.numbers import mean_baseline, number_metrics
from netwright.evaluation.outputs import Outputs
from netwright.runs.folder import RunFolder
from netwright.runs.history import Record
from netwright.tasks.task import Task, TrainTargets
from netwright.workflows.judging_rows import beside_rows

DECIDING = ("mae", "mae_interval", "rmse", "rmse_interval", "r2", "r2_interval", "loss", "num_samples")
HEADLINE = "r2"


def fit(outputs: Outputs) -> float | None:
    """Return no temperature: there are no probabilities."""
    return None


def measure(
    outputs: Outputs,
    task: Task,
    criterion: Criterion,
    targets: TrainTargets,
    *,
    temperature: float | None,
    fitted_here: bool,
) -> dict[str, Any]:
    """Return the metrics of a split's outputs."""
    return number_metrics(outputs.answers.numpy(), outputs.targets.numpy(), loss=outputs.loss)


def beside(
    outputs: Outputs,
    prepared: PreparedData,
    split: str,
    targets: TrainTargets,
    *,
    temperature: float | None,
    train: PreparedData | None = None,
) -> dict[str, Any]:
    """Return what stands beside the metrics: always saying train's mean."""
    found = {"mean": mean_baseline(outputs.targets.numpy(), targets.mean)}
    return {"baselines": found | beside_rows(predicted(outputs), prepared, split, train)}


def kept_without_run(answers: Tensor, targets: Tensor, task: Task) -> tuple[Tensor, Tensor]:
    """Return what `without_run` is given of a batch: its answers and targets as they are."""
    return answers, targets


def without_run(
    answers: Tensor, targets: Tensor, rows: Tensor, task: Task, temperature: float | None
) -> tuple[Outputs, TrainTargets, dict[str, Any]]:
    """Judge a lone bundle's numbers (N,); the loss is the squared error in standard deviations of train's targets."""
    known = TrainTargets(mean=float(task.to_mapping()["mean"]), std=float(task.to_mapping()["std"]))
    loss = float((((answers - targets) / known.std) ** 2).double().mean())
    metrics = number_metrics(answers.numpy(), targets.numpy(), loss=loss)
    return Outputs(answers, targets, rows, {}, loss), known, metrics


def predicted(outputs: Outputs) -> npt.NDArray[Any]:
    """Return the numbers (N,) themselves."""
    return np.asarray(outputs.answers.numpy())


def explain(
    history: list[Record], metrics: dict[str, Any], best_epoch: int, stopped_by: str, augmented: bool
) -> dict[str, Any]:
    """Say from the history whether the run over- or underfits; `metrics` are val's, or empty."""
    return diagnose_numbers(history, best_epoch=best_epoch, stopped_by=stopped_by)


def optimism(metrics: dict[str, Any], networks: int) -> float | None:
    """Return None: by how much the best of several networks is too good is known of fractions alone."""
    return None


def lost(before: npt.NDArray[Any], after: npt.NDArray[Any], targets: npt.NDArray[Any]) -> dict[str, Any]:
    """Refuse: what int8 costs is said of classes alone."""
    raise InputError("--int8 says what it costs in accuracy, and this network gives numbers; leave it out")


def draw(folder: RunFolder, split: str, metrics: dict[str, Any], task: Task, title: str) -> Path:
    """Draw what was said against what is true; return the plot's path."""
    from netwright.report.numbers import plot_numbers  # loads matplotlib: 0.4 s
    from netwright.runs.outputs import load_outputs

    plot = folder.plots / f"predicted-{split}.png"
    outputs = load_outputs(folder.outputs_of(split))
    plot_numbers(outputs.predictions, outputs.targets, plot, title=title)
    return plot
