"""A run as an object in Python: its history, its results, its predictions."""

from pathlib import Path
from typing import Any, Literal

from torch import nn

from netwright.config.engines import EngineName
from netwright.config.recipe import Recipe
from netwright.errors import InputError
from netwright.runs.folder import RunFolder, find_run, read_json
from netwright.runs.history import Record, best_record, history_of
from netwright.workflows.console import Console
from netwright.workflows.evaluate import evaluate_run
from netwright.workflows.explain import Explanations, explain_images
from netwright.workflows.folds import evaluate_folds_of
from netwright.workflows.inspect import summarize_run
from netwright.workflows.judging import JUDGINGS
from netwright.workflows.own import Own
from netwright.workflows.predict import opened, predict_images
from netwright.workflows.report import report_of
from netwright.workflows.runs import loss_interval


class Run:
    """One training with one recipe, as its folder has it."""

    def __init__(self, folder: RunFolder, own: Own | None = None, *, interrupted: bool = False) -> None:
        self.folder = folder
        self.own = own or Own()
        self.interrupted = interrupted

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.folder.path

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        return self.folder.read_recipe()

    @property
    def history(self) -> list[Record]:
        """One record an epoch."""
        return history_of(self.folder)

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics by split: val, and test where it was opened."""
        if not self.folder.metrics.exists():
            raise InputError(f"{self.path} has no metrics yet: it is not finished; netwright resume {self.path}")
        metrics: dict[str, Any] = read_json(self.folder.metrics)
        return {split: metrics[split] for split in ("val", "test") if split in metrics}

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights are kept, by the recipe's monitor."""
        best = best_record(self.history, self.recipe.training.monitor)
        return None if best is None else best["epoch"]

    def evaluate(self, split: str = "val", data: Any = None) -> dict[str, Any]:
        """Judge the best epoch on `val`, on `test` (recorded in the ledger), or on other labelled `data`."""
        return evaluate_run(self.folder, self.own, split=split, data=data)

    def evaluate_folds(self, folds: int = 5) -> dict[str, Any]:
        """Train the recipe `folds` times and judge all of train and val, each image by a network that has not seen it.

        Returns accuracy and the labels that may be wrong; test is not read."""
        return evaluate_folds_of(self.folder, self.own, folds, console=Console(quiet=True))

    def predict(self, images: Any, top: int | None = None, *, engine: EngineName = "auto") -> list[dict[str, Any]]:
        """Predict arrays (N, H, W[, C]), tensors (N, C, H, W), PIL images or paths: one mapping an image, with label,
        probability and the `top` likeliest probabilities.

        `engine`: torch, onnx or openvino; auto begins with torch and tries the others when it takes longer."""
        return predict_images(self.folder, self.own, images, top=top, engine=engine)

    def explain(self, images: Any, *, label: str | None = None, layer: str | None = None) -> Explanations:
        """Return Grad-CAM maps for images, given as for `predict`: what speaks for the likeliest class, or for `label`.

        `.images[i].heat` is (h, w) in [0, 1] over `.images[i].pixels`; a notebook shows them. `layer` is a module's
        name. Raises InputError for a network without a spatial layer."""
        return explain_images(self.folder, self.own, images, label=label, layer=layer)

    def layers(self, depth: int | None = None) -> dict[str, Any]:
        """Return the table of layers with output shapes and parameters, folded at `depth`."""
        return summarize_run(self.path, self.own, depth=depth)

    def report(self, out: str | Path | None = None) -> Path:
        """Write all that is known of the run as one HTML file, `out` or report.html in its folder; return it."""
        return report_of(self.folder, self.own, out=None if out is None else Path(out))

    def export(
        self,
        out: str | Path,
        *,
        format: Literal["onnx", "torch", "bundle"] | None = None,
        int8: bool = False,
        golden: Literal["real", "synthetic", "none"] | None = None,
    ) -> dict[str, Any]:
        """Write the run as one file, by its suffix: .onnx, .pt2 (torch.export) or .zip (the bundle).

        It is compared with the run first, and not written where it answers otherwise: WorkFailed. See `nw.export`."""
        from netwright.workflows.export import export_run  # loads scipy and torch.export, which no training waits for

        return export_run(self.path, self.own, format=format, out=out, int8=int8, golden=golden)

    def eject(self, out: str | Path | None = None) -> dict[str, Any]:
        """Write the run as one script in plain PyTorch that trains the same network and predicts with its weights."""
        from netwright.workflows.eject import eject  # the networks and the template engine

        return eject(self.path, out)

    def network(self) -> nn.Module:
        """Return the network itself, an ordinary `nn.Module` in eval mode with the best epoch's weights.

        It takes images (B, C, H, W) that the bundle's transform has normalised, and gives its answer for this one
        view of them."""
        with opened(self.path, self.own) as predictor:
            return predictor.network

    def result(self) -> dict[str, Any]:
        """Return what `netwright train --json` prints."""
        metrics = read_json(self.folder.metrics) if self.folder.metrics.exists() else {}
        judging = JUDGINGS[read_json(self.folder.data)["task"]] if self.folder.data.exists() else None
        keep = (*judging.deciding, "views", "looks") if judging else ()
        return {
            "run": str(self.path),
            "best_epoch": self.best_epoch,
            "seconds": round(metrics.get("seconds", 0.0), 3),
            "stopped_by": "interrupted" if self.interrupted else metrics.get("stopped_by"),
            "metrics": {
                split: {key: metrics[split][key] for key in keep if key in metrics[split]}
                | {"loss_interval": loss_interval(metrics[split])}
                for split in ("val", "test")
                if split in metrics
            },
            "diagnosis": metrics.get("diagnosis"),
            **({} if (said := _verdicts(metrics)) is None else {"verdicts": said}),
            **({"leaks_allowed": metrics["leaks_allowed"]} if "leaks_allowed" in metrics else {}),
            **({"looks": metrics["test"]["looks"]["number"]} if "test" in metrics else {}),
            "history": self.history,
        }

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def _repr_html_(self) -> str:
        from netwright.report.notebook import history_html  # loads matplotlib: 0.4 s

        metrics = self.metrics if self.folder.metrics.exists() else {}
        return history_html(self.history, metrics, str(self.path), best_epoch=self.best_epoch)


def _verdicts(metrics: dict[str, Any]) -> list[str] | None:
    """Return what is said of rows: whether the network had any skill on val, and what other models make of the split
    that was judged last; None of images."""
    judged: dict[str, Any] = metrics.get("test") or metrics.get("val") or {}
    if "verdicts" not in judged:
        return None
    return [*([metrics["without_skill"]] if "without_skill" in metrics else []), *judged["verdicts"]]


def load(path: str | Path, *, model: Any = None, transform: Any = None, criterion: Any = None, data: Any = None) -> Run:
    """Open a run by its folder or name; own objects must be given again. Raises InputError if there is none."""
    return Run(find_run(path), Own(model=model, transform=transform, criterion=criterion, data=data))
