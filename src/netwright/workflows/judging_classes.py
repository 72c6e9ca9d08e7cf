"""What is said of a classifier's answers: metrics, temperature, baselines, suspect labels, plots."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from netwright.config.optimization import Criterion
from netwright.data.labelled import LabelledData, Rows
from netwright.data.prepare import PreparedData
from netwright.evaluation.baselines import baselines
from netwright.evaluation.calibration import fit_temperature
from netwright.evaluation.compare import lost_answers
from netwright.evaluation.diagnosis import diagnose
from netwright.evaluation.intervals import wilson
from netwright.evaluation.metrics import classification_metrics
from netwright.evaluation.optimism import expected_optimism
from netwright.evaluation.outputs import Outputs
from netwright.evaluation.suspects import suspects
from netwright.runs.folder import RunFolder
from netwright.runs.history import Record
from netwright.tasks.classification import sample_losses
from netwright.tasks.task import Task, TrainTargets
from netwright.tasks.temperature import tempered
from netwright.workflows.judging_rows import beside_rows

MOST_SUSPECTS = 50
ALMOST_IMPOSSIBLE = -100.0
DECIDING = ("accuracy", "accuracy_interval", "loss", "num_samples")
HEADLINE = "accuracy"


def fit(outputs: Outputs) -> float | None:
    """Return the temperature that val's answers ask for; None where there is none."""
    return fit_temperature(outputs.answers.numpy(), outputs.targets.numpy())


def measure(
    outputs: Outputs,
    task: Task,
    criterion: Criterion,
    targets: TrainTargets,
    *,
    temperature: float | None,
    fitted_here: bool,
) -> dict[str, Any]:
    """Return the metrics of a split's outputs; `targets` are train's.

    `fitted_here`: this split chose the temperature."""
    assert targets.counts is not None
    parts = sample_losses(criterion, outputs.answers, outputs.targets, targets.counts)
    return classification_metrics(
        outputs.answers.numpy(),
        outputs.targets.numpy(),
        task.class_names,
        loss=outputs.loss,
        sample_losses=None if parts is None else (parts[0].numpy(), parts[1].numpy()),
        temperature=temperature,
        fitted_here=fitted_here,
    )


def beside(
    outputs: Outputs,
    prepared: PreparedData,
    split: str,
    targets: TrainTargets,
    *,
    temperature: float | None,
    train: PreparedData | None = None,
) -> dict[str, Any]:
    """Return what stands beside the metrics: what costs nothing to reach, labels that may be wrong, and the accuracy of
    test on images without a twin in train or val, where some have one."""
    assert targets.counts is not None
    found: dict[str, Any] = {"baselines": baselines(prepared, split, targets.counts, train)}
    found["baselines"] |= beside_rows(predicted(outputs), prepared, split, train)
    found["suspects"] = suspect_images(outputs, prepared, temperature)
    return found | without_twins(outputs, prepared, split)


def kept_without_run(answers: Tensor, targets: Tensor, task: Task) -> tuple[Tensor, Tensor]:
    """Return what `without_run` is given of a batch: its answers and targets as they are."""
    return answers, targets


def without_run(
    answers: Tensor, targets: Tensor, rows: Tensor, task: Task, temperature: float | None
) -> tuple[Outputs, TrainTargets, dict[str, Any]]:
    """Judge a lone bundle's log-probabilities (N, K), whose criterion nobody knows: outputs, classes, metrics."""
    scores = answers.numpy()
    losses = -np.maximum(scores.astype(np.float64), ALMOST_IMPOSSIBLE)[np.arange(len(targets)), targets]
    metrics = classification_metrics(
        scores,
        targets.numpy(),
        task.class_names,
        loss=float(losses.mean()),
        sample_losses=(losses, np.ones(len(losses))),
        temperature=temperature,
    )
    known = TrainTargets(task.class_names, torch.bincount(targets, minlength=len(task.class_names)))
    return Outputs(answers, targets, rows, {"accuracy": metrics["accuracy"]}, metrics["loss"]), known, metrics


def suspect_images(outputs: Outputs, prepared: PreparedData, temperature: float | None) -> dict[str, Any]:
    """Return how many images look as if their label were wrong, and the 50 most suspect by name."""
    probabilities = np.exp(tempered(outputs.answers.numpy(), temperature))
    found = named_suspects(probabilities, outputs.targets.numpy(), outputs.rows.numpy(), prepared.labelled)
    return {"num_suspects": len(found), "images": found[:MOST_SUSPECTS]}


def without_twins(outputs: Outputs, prepared: PreparedData, split: str) -> dict[str, Any]:
    """Return the accuracy of test on images without a twin in train or val, where some have one."""
    alone = ~np.isin(prepared.rows[split], prepared.leaks.get("test_with_twin", []))
    if split != "test" or alone.all() or not alone.any():
        return {}
    right = (outputs.answers.numpy().argmax(1) == outputs.targets.numpy())[alone]
    interval = list(wilson(int(right.sum()), len(right)))
    return {
        "without_twins": {"accuracy": float(right.mean()), "accuracy_interval": interval, "num_samples": len(right)}
    }


def named_suspects(
    probabilities: npt.NDArray[np.float64], targets: Rows, rows: Rows, labelled: LabelledData
) -> list[dict[str, Any]]:
    """Return the images that look as if their label were wrong, by name, the most suspect first.

    `probabilities` (N, K) are of networks that were not trained on the image; `targets` and `rows` are (N,)."""
    return [
        {
            "source": str(labelled.sample_names[int(rows[each["place"]])]),
            "row": int(rows[each["place"]]),
            "label": labelled.class_names[each["target"]],
            "looks_like": labelled.class_names[each["looks_like"]],
            "label_probability": each["label_probability"],
            "probability": each["probability"],
        }
        for each in suspects(probabilities, targets)
    ]


def lost(before: npt.NDArray[Any], after: npt.NDArray[Any], targets: Rows) -> dict[str, Any]:
    """Return what another network, such as one in 8 bits, costs in right answers; all are classes (N,)."""
    return lost_answers(before, after, targets)


def predicted(outputs: Outputs) -> npt.NDArray[Any]:
    """Return the likeliest classes (N,)."""
    return np.asarray(outputs.answers.numpy().argmax(axis=1))


def explain(
    history: list[Record], metrics: dict[str, Any], best_epoch: int, stopped_by: str, augmented: bool
) -> dict[str, Any]:
    """Say from the history whether the run over- or underfits; `metrics` are val's, or empty."""
    return diagnose(
        history,
        num_val=metrics.get("num_samples", 0),
        best_epoch=best_epoch,
        majority=metrics["baselines"]["majority"]["accuracy"] if metrics else 0.0,
        stopped_by=stopped_by,
        augmented=augmented,
    )


def optimism(metrics: dict[str, Any], networks: int) -> float | None:
    """Return by how much the best of so many networks' accuracies is too high by chance alone."""
    return expected_optimism(metrics["accuracy"], metrics["num_samples"], networks)


def draw(folder: RunFolder, split: str, metrics: dict[str, Any], task: Task, title: str) -> Path:
    """Draw the confusion matrix, whose path is returned, and the reliability."""
    # matplotlib takes 0.4 s to load, and is not needed before the first step of a training
    from netwright.report.confusion import plot_confusion
    from netwright.report.reliability import plot_reliability

    plot = folder.plots / f"confusion-{split}.png"
    plot_confusion(metrics["confusion_matrix"], task.class_names, plot, title=title)
    title = f"{folder.path.name}: how sure, how right; {split}"
    plot_reliability(metrics["calibration"], folder.plots / f"reliability-{split}.png", title=title)
    return plot
