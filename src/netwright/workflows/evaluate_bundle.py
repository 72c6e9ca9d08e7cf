"""`netwright evaluate BUNDLE --data OTHER`: a bundle on labelled images, without the run that it came from."""

from pathlib import Path
from typing import Any

import msgspec
import torch

from netwright.config.sections import Data
from netwright.data.batches import Batches
from netwright.data.views import NUM_VIEWS
from netwright.deployment.bundle import Bundle
from netwright.deployment.golden import images_at_once
from netwright.deployment.prediction import ANSWERING
from netwright.errors import InputError
from netwright.evaluation.shifts import accuracy_under_shifts
from netwright.workflows.judging import JUDGINGS
from netwright.workflows.own import Own
from netwright.workflows.predict import opened
from netwright.workflows.reopen import open_other_data

BATCH_SIZE = 256


def evaluate_bundle(
    bundle: Path, *, data: Any, masks: str | None = None, data_root: str | None = None, shifts: bool = False
) -> dict[str, Any]:
    """Judge a bundle on other labelled data of its classes, as `evaluate --data` judges a run; nothing is kept.

    The loss is the mean log loss (of numbers the squared error in train's standard deviations): which criterion a
    bundle was trained with it does not say. The majority class is that of these images. `masks` as in
    `reopen.open_other_data`. Raises InputError without `data`, and for the data that it was trained on."""
    if data is None:
        raise InputError(
            f"{bundle} is a bundle, which has no splits of its own; give labelled images: "
            f"netwright evaluate {bundle} --data OTHER"
        )
    own = Own()
    with opened(bundle, own) as predictor:
        if predictor.transform.kind == "rows":
            raise InputError(
                f"{bundle} does not say which column it learnt; judge the run: evaluate RUN --data ROWS.csv"
            )
        task = predictor.bundle.task
        section = Data(root=data_root, task=task.name, value_range=predictor.transform.value_range)
        if ANSWERING[task.name].each_pixel:
            section = _with_masks(section, predictor.bundle, str(data), masks)
        prepared = open_other_data(section, own, data, predictor, data_root, masks=masks)
        if prepared.fingerprint == predictor.bundle.data.get("fingerprint"):
            raise InputError(
                f"these are the data that {bundle} was trained on, its train split included; judge the run, whose "
                "looks at test are counted: netwright evaluate RUN --split test"
            )
        size = images_at_once(prepared.transform.image_size, BATCH_SIZE)
        batches = Batches(prepared, "test", batch_size=size, device=predictor.machine.device)
        temperature = predictor.bundle.temperature
        judging = JUDGINGS[task.name]
        found = [
            (*judging.kept_without_run(predictor.answers(each.images), each.targets.cpu(), task), each.rows.cpu())
            for each in batches.epoch(0)
        ]
        answers, targets, rows = (torch.cat([part[place] for part in found]) for place in range(3))
        outputs, known, metrics = judging.without_run(answers, targets, rows, task, temperature)
        metrics |= judging.beside(outputs, prepared, "test", known, temperature=temperature)
        metrics["views"] = NUM_VIEWS[predictor.transform.views]
        if shifts and task.class_names:
            metrics["shifts"] = accuracy_under_shifts(
                lambda images: predictor.answers(images).argmax(dim=1), lambda: batches.epoch(0)
            )
        return {"run": str(bundle), "split": "other", "epoch": predictor.bundle.epoch, "metrics": metrics}


def _with_masks(section: Data, bundle: Bundle, data: str, masks: str | None) -> Data:
    """Say where the masks are and, as the bundle knows it, which of their values is which class."""
    if masks is None and Path(data).is_file():
        raise InputError(f"{data} is a table; say which of its columns has the masks: --masks COLUMN")
    coding = {name: bundle.data[name] for name in ("mask_classes", "mask_ignore") if name in bundle.data}
    return msgspec.structs.replace(section, masks=masks or data, **coding)
