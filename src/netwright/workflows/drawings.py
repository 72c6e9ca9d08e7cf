"""The plots of a run that was judged: confusion matrix, reliability, moved images, suspect labels."""

from pathlib import Path
from typing import Any

import torch

from netwright.data.prepare import PreparedData
from netwright.runs.folder import RunFolder
from netwright.tasks.task import Task
from netwright.workflows.judging import JUDGINGS

MOST_DRAWN = 24


def draw_judged(folder: RunFolder, split: str, metrics: dict[str, Any], prepared: PreparedData, task: Task) -> str:
    """Draw what was found on a split into the run's plots; return the path of the task's own plot."""
    folder.plots.mkdir(exist_ok=True)
    plot = JUDGINGS[task.name].draw(folder, split, metrics, task, f"{folder.path.name}: {split}")
    if "shifts" in metrics:
        from netwright.report.shifts import plot_shifts

        plot_shifts(metrics["shifts"], folder.plots / f"shifts-{split}.png", title=f"{folder.path.name}: {split}")
    if "suspects" in metrics:
        draw_suspects(folder, split, metrics["suspects"]["images"], prepared)
    return str(plot)


def draw_suspects(folder: RunFolder, split: str, images: list[dict[str, Any]], prepared: PreparedData) -> Path | None:
    """Draw the most suspect images where they are ordinary pictures; without any, remove an older picture."""
    path = folder.plots / f"suspects-{split}.png"
    store = prepared.store
    if not images or store.items is not None or store.pixels.dtype != torch.uint8:
        path.unlink(missing_ok=True)
        return None
    from netwright.report.examples import plot_examples

    folder.plots.mkdir(exist_ok=True)
    shown = images[:MOST_DRAWN]
    rows = torch.tensor([image["row"] for image in shown])
    pixels = store.views(rows.to(store.pixels.device), prepared.transform).cpu()
    labels = [f"{image['label']}; {image['looks_like']}?" for image in shown]
    plot_examples(list(pixels.numpy()), labels, path, title=f"{folder.path.name}: are these labels right?")
    return path
