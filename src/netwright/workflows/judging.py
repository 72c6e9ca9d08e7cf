"""From a network's outputs on a split to its metrics and to the file that keeps them: after training and later."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from netwright.config.optimization import Criterion
from netwright.config.recipe import Recipe
from netwright.data.fingerprint import sample_digests
from netwright.data.labelled import LabelledData, Rows
from netwright.data.prepare import PreparedData
from netwright.data.views import NUM_VIEWS, with_views
from netwright.deployment.predictor import Predictor
from netwright.evaluation.baselines import baselines
from netwright.evaluation.intervals import wilson
from netwright.evaluation.metrics import classification_metrics
from netwright.evaluation.outputs import Outputs, run_network
from netwright.evaluation.suspects import suspects
from netwright.files.hashing import sha256_file
from netwright.runs.folder import RunFolder, read_json
from netwright.runs.outputs import StoredOutputs, save_outputs
from netwright.tasks.classification import Classification, build_batch_loss, sample_losses
from netwright.tasks.temperature import tempered
from netwright.workflows.build import eval_batches
from netwright.workflows.own import Own

MOST_SUSPECTS = 50


def measure(
    outputs: Outputs,
    task: Classification,
    criterion: Criterion,
    class_counts: torch.Tensor,
    *,
    temperature: float | None,
    fitted_here: bool,
) -> dict[str, Any]:
    """Return the metrics of a split's outputs; `class_counts` (K,) are of train.

    `fitted_here`: this split chose the temperature."""
    parts = sample_losses(criterion, outputs.log_probabilities, outputs.targets, class_counts)
    return classification_metrics(
        outputs.log_probabilities.numpy(),
        outputs.targets.numpy(),
        task.class_names,
        loss=outputs.loss,
        sample_losses=None if parts is None else (parts[0].numpy(), parts[1].numpy()),
        temperature=temperature,
        fitted_here=fitted_here,
    )


def keep_outputs(folder: RunFolder, split: str, outputs: Outputs, prepared: PreparedData, epoch: int) -> None:
    """Write the outputs into the run, beside whose weights and which images they are of."""
    rows = outputs.rows.numpy()
    about = {
        "split": split,
        "fingerprint": prepared.split_fingerprints[split],
        "epoch": epoch,
        "weights_sha256": sha256_file(folder.weights),
        "class_names": list(prepared.labelled.class_names),
    }
    scores = outputs.log_probabilities.numpy()
    stored = StoredOutputs(
        log_probabilities=scores,
        predictions=scores.argmax(axis=1),
        targets=outputs.targets.numpy(),
        rows=rows,
        samples=sample_numbers(prepared.labelled, rows),
        about=about,
    )
    save_outputs(folder.outputs_of(split), stored)


def sample_numbers(labelled: LabelledData, rows: Rows) -> Rows:
    """Return the first eight bytes of each image's SHA-256 as a number, (N,) int64."""
    return np.ascontiguousarray(sample_digests(labelled.images)[rows, :8]).view("<i8")[:, 0]


def suspect_images(outputs: Outputs, prepared: PreparedData, temperature: float | None) -> dict[str, Any]:
    """Return how many images look as if their label were wrong, and the 50 most suspect by name."""
    probabilities = np.exp(tempered(outputs.log_probabilities.numpy(), temperature))
    found = named_suspects(probabilities, outputs.targets.numpy(), outputs.rows.numpy(), prepared.labelled)
    return {"num_suspects": len(found), "images": found[:MOST_SUSPECTS]}


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

    `train` are images of train among which nearest neighbours are looked for. `fitted_here`: see `measure`.
    Of test, `without_twins` says the same of the images that have no twin in train or val, where some have one."""
    machine = predictor.machine
    task = predictor.bundle.task
    counts = torch.tensor(list(read_json(folder.data)["counts"]["train"].values()))
    batch_loss = build_batch_loss(recipe.criterion, counts, machine.device, own.criterion)
    batches = eval_batches(prepared, split, recipe, machine)
    views = predictor.transform.views
    network = with_views(predictor.network, views)
    outputs = run_network(network, batches.epoch(0), task, batch_loss, machine)
    temperature = predictor.bundle.temperature
    metrics = measure(outputs, task, recipe.criterion, counts, temperature=temperature, fitted_here=fitted_here)
    metrics["baselines"] = baselines(prepared, split, counts, train)
    metrics["suspects"] = suspect_images(outputs, prepared, temperature)
    metrics |= without_twins(outputs, prepared, split)
    return outputs, metrics | {"views": NUM_VIEWS[views]}


def without_twins(outputs: Outputs, prepared: PreparedData, split: str) -> dict[str, Any]:
    """Return the accuracy of test on images without a twin in train or val, where some have one."""
    alone = ~np.isin(prepared.rows[split], prepared.leaks.get("test_with_twin", []))
    if split != "test" or alone.all() or not alone.any():
        return {}
    right = (outputs.log_probabilities.numpy().argmax(1) == outputs.targets.numpy())[alone]
    interval = list(wilson(int(right.sum()), len(right)))
    return {
        "without_twins": {"accuracy": float(right.mean()), "accuracy_interval": interval, "num_samples": len(right)}
    }
