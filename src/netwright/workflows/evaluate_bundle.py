"""`netwright evaluate BUNDLE --data OTHER`: a bundle on labelled images, without the run that it came from."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from netwright.config.sections import Data
from netwright.data.batches import Batches
from netwright.data.views import NUM_VIEWS
from netwright.errors import InputError
from netwright.evaluation.baselines import baselines
from netwright.evaluation.metrics import classification_metrics
from netwright.evaluation.outputs import Outputs
from netwright.evaluation.shifts import accuracy_under_shifts
from netwright.workflows.judging import suspect_images
from netwright.workflows.own import Own
from netwright.workflows.predict import opened
from netwright.workflows.reopen import open_other_data

BATCH_SIZE = 256
ALMOST_IMPOSSIBLE = -100.0


def evaluate_bundle(bundle: Path, *, data: Any, data_root: str | None = None, shifts: bool = False) -> dict[str, Any]:
    """Judge a bundle on other labelled data of its classes, as `evaluate --data` judges a run; nothing is kept.

    The loss is the mean log loss: which criterion a bundle was trained with it does not say. The majority class is that
    of these images. Raises InputError without `data`, and for the data that it was trained on."""
    if data is None:
        raise InputError(
            f"{bundle} is a bundle, which has no splits of its own; give labelled images: "
            f"netwright evaluate {bundle} --data OTHER"
        )
    own = Own()
    with opened(bundle, own) as predictor:
        section = Data(root=data_root, value_range=predictor.transform.value_range)
        prepared = open_other_data(section, own, data, predictor, data_root)
        if prepared.fingerprint == predictor.bundle.data.get("fingerprint"):
            raise InputError(
                f"these are the data that {bundle} was trained on, its train split included; judge the run, whose "
                "looks at test are counted: netwright evaluate RUN --split test"
            )
        batches = Batches(prepared, "test", batch_size=BATCH_SIZE, device=predictor.machine.device)
        found = [(predictor.log_probabilities(each.images), each.targets.cpu(), each.rows) for each in batches.epoch(0)]
        scores, targets, rows = (torch.cat([part[place] for part in found]) for place in range(3))
        names, temperature = predictor.bundle.task.class_names, predictor.bundle.temperature
        losses = -np.maximum(scores.numpy().astype(np.float64), ALMOST_IMPOSSIBLE)[np.arange(len(targets)), targets]
        metrics = classification_metrics(
            scores.numpy(),
            targets.numpy(),
            names,
            loss=float(losses.mean()),
            sample_losses=(losses, np.ones(len(losses))),
            temperature=temperature,
        )
        metrics["baselines"] = baselines(prepared, "test", torch.bincount(targets, minlength=len(names)))
        right = int((scores.argmax(dim=1) == targets).sum())
        outputs = Outputs(scores, targets, rows, right, metrics["loss"])
        metrics["suspects"] = suspect_images(outputs, prepared, temperature)
        metrics["views"] = NUM_VIEWS[predictor.transform.views]
        if shifts:
            metrics["shifts"] = accuracy_under_shifts(
                lambda images: predictor.log_probabilities(images).argmax(dim=1), lambda: batches.epoch(0)
            )
        return {"run": str(bundle), "split": "other", "epoch": predictor.bundle.epoch, "metrics": metrics}
