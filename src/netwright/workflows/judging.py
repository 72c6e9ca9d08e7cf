"""From a network's outputs on a split to its metrics and to the file that keeps them: after training and later."""

from typing import Any

import numpy as np
import torch

from netwright.config.optimization import Criterion
from netwright.data.fingerprint import sample_digests
from netwright.data.prepare import PreparedData
from netwright.evaluation.metrics import classification_metrics
from netwright.evaluation.outputs import Outputs
from netwright.evaluation.suspects import suspects
from netwright.files.hashing import sha256_file
from netwright.runs.folder import RunFolder
from netwright.runs.outputs import StoredOutputs, save_outputs
from netwright.tasks.classification import Classification, sample_losses
from netwright.tasks.temperature import tempered

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
    digests = sample_digests(prepared.labelled.images)
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
        samples=np.ascontiguousarray(digests[rows, :8]).view("<i8")[:, 0],
        about=about,
    )
    save_outputs(folder.outputs_of(split), stored)


def suspect_images(outputs: Outputs, prepared: PreparedData, temperature: float | None) -> dict[str, Any]:
    """Return how many images look as if their label were wrong, and the 50 most suspect by name."""
    scores, targets = outputs.log_probabilities.numpy(), outputs.targets.numpy()
    found = suspects(np.exp(tempered(scores, temperature)), targets)
    labelled, rows = prepared.labelled, outputs.rows.numpy()
    images = [
        {
            "source": str(labelled.sample_names[int(rows[each["place"]])]),
            "row": int(rows[each["place"]]),
            "label": labelled.class_names[each["target"]],
            "looks_like": labelled.class_names[each["looks_like"]],
            "label_probability": each["label_probability"],
            "probability": each["probability"],
        }
        for each in found[:MOST_SUSPECTS]
    ]
    return {"num_suspects": len(found), "images": images}
