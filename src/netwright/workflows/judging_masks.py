"""What is said of masks: pixel accuracy, IoU and Dice with intervals over images, the baseline, plots."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from netwright.config.masks import IGNORED
from netwright.config.optimization import Criterion
from netwright.data.prepare import PreparedData
from netwright.evaluation.compare import lost_pixels
from netwright.evaluation.diagnosis_masks import diagnose_masks
from netwright.evaluation.masks import image_scores, majority, mask_metrics
from netwright.evaluation.outputs import Outputs
from netwright.runs.folder import RunFolder
from netwright.runs.history import Record
from netwright.tasks.segmentation import Segmentation
from netwright.tasks.task import Task, TrainTargets

DECIDING = ("mean_dice", "accuracy", "accuracy_interval", "mean_iou", "intervals", "loss", "num_samples", "dice_of")
HEADLINE = "mean_dice"


def fit(outputs: Outputs) -> float | None:
    """Return no temperature: of the images only counts are kept."""
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
    """Return the metrics of a split's confusion counts, with each class's Dice as `dice_of`."""
    return _measured(outputs, task)


def _measured(outputs: Outputs, task: Task) -> dict[str, Any]:
    found = mask_metrics(outputs.answers.numpy(), task.class_names, loss=outputs.loss)
    return found | {"dice_of": {each["label"]: each["dice"] for each in found["per_class"]}}


def beside(
    outputs: Outputs,
    prepared: PreparedData,
    split: str,
    targets: TrainTargets,
    *,
    temperature: float | None,
    train: PreparedData | None = None,
) -> dict[str, Any]:
    """Return what stands beside the metrics: always saying the class of most pixels in train."""
    assert targets.counts is not None
    confusion = outputs.answers.sum(dim=0).tolist()
    return {"baselines": {"majority": majority(targets.counts.tolist(), confusion, prepared.labelled.class_names)}}


def kept_without_run(answers: Tensor, targets: Tensor, task: Task) -> tuple[Tensor, Tensor]:
    """Return of a batch's log-probabilities (B, K, H, W) the confusion counts (B, K, K), and (B, 2) of each image the
    log loss of its pixels together and how many have a class."""
    assert isinstance(task, Segmentation)
    judged = targets != IGNORED
    classes = targets.long().masked_fill(~judged, 0)
    losses = -answers.gather(1, classes.unsqueeze(1))[:, 0].double() * judged
    confusions = task.confusions(answers.argmax(dim=1), targets)
    return confusions, torch.stack([losses.sum(dim=(1, 2)), judged.sum(dim=(1, 2))], dim=1)


def without_run(
    answers: Tensor, targets: Tensor, rows: Tensor, task: Task, temperature: float | None
) -> tuple[Outputs, TrainTargets, dict[str, Any]]:
    """Judge a lone bundle by what `kept_without_run` kept of N images; the loss is the mean log loss of pixels."""
    loss, num_pixels = targets.sum(dim=0).tolist()
    outputs = Outputs(answers, targets[:, 1].long(), rows, {}, loss / max(1.0, num_pixels))
    known = TrainTargets(task.class_names, answers.sum(dim=(0, 2)))
    return outputs, known, _measured(outputs, task)


def predicted(outputs: Outputs) -> npt.NDArray[Any]:
    """Return each image's mean Dice (N,), 0 for one without a pixel that has a class."""
    return np.nan_to_num(image_scores(outputs.answers.numpy()))


def explain(
    history: list[Record], metrics: dict[str, Any], best_epoch: int, stopped_by: str, augmented: bool
) -> dict[str, Any]:
    """Say from the history whether the run over- or underfits; `metrics` are val's, or empty."""
    return diagnose_masks(
        history,
        interval=metrics["intervals"]["mean_dice"] if metrics else None,
        best_epoch=best_epoch,
        majority=metrics["baselines"]["majority"]["mean_dice"] if metrics else 0.0,
        stopped_by=stopped_by,
        augmented=augmented,
    )


def optimism(metrics: dict[str, Any], networks: int) -> float | None:
    """Return None: by how much the best of several networks is too good is known of fractions of images alone."""
    return None


def lost(before: npt.NDArray[Any], after: npt.NDArray[Any], targets: npt.NDArray[Any]) -> dict[str, Any]:
    """Return what another network, such as one in 8 bits, costs in right pixels; all are classes (N, H, W)."""
    return lost_pixels(before, after, targets)


def draw(folder: RunFolder, split: str, metrics: dict[str, Any], task: Task, title: str) -> Path:
    """Draw which class's pixels were taken for which; return the plot's path."""
    from netwright.report.confusion import plot_confusion  # loads matplotlib: 0.4 s

    plot = folder.plots / f"confusion-{split}.png"
    plot_confusion(metrics["confusion_matrix"], task.class_names, plot, title=f"{title}, pixels")
    return plot
