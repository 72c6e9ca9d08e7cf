"""The HTML report: one self-contained file, from records alone. No torch, no matplotlib, no script.

Every value passes `clean` and Jinja's escaping before it is written: class and file names are foreign text."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, Environment, PackageLoader
from markupsafe import Markup

from netwright.report import charts, wording
from netwright.report.answers import Answers, notable_answers, sample_names
from netwright.report.commands import shown_commands, trained_by
from netwright.report.masks_shown import mask_colours, masks_shown
from netwright.report.mixups import Matrix, confusion
from netwright.report.numbers_shown import numbers_shown
from netwright.report.records import Records
from netwright.report.tasks import TASK_PAGES, kind_of, sections_of

MOST_CLASSES = 30
MOST_LOOKS = 50
MOST_BYTES = 5_000_000


def picture_address(content: bytes) -> str:
    """Return an encoded picture, PNG or JPEG, as a data: URL."""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


@dataclass(frozen=True)
class Picture:
    """A small encoded image, JPEG or PNG, with its size in pixels."""

    content: bytes
    width: int
    height: int

    @property
    def address(self) -> str:
        """The picture as a data: URL."""
        return picture_address(self.content)


@dataclass(frozen=True)
class Panel:
    """A part of the section "Inside the network": a title, a sentence, pictures each with what it shows."""

    title: str
    text: str
    pictures: Sequence[tuple[Picture, str]] = ()


@dataclass(frozen=True)
class Extras:
    """What records do not have, from the data and the network: `pictures` by split and row; `layers`, a record of
    `inspection.summary`; `panels`. `missing` says why some of it is not there, and `rest` names the command for it."""

    pictures: Mapping[str, Mapping[int, Picture]] = field(default_factory=dict)
    layers: Mapping[str, Any] | None = None
    panels: Sequence[Panel] = ()
    missing: str = ""
    rest: str = ""


def render(records: Records, extras: Extras | None = None) -> bytes:
    """Return the report as UTF-8."""
    of_rows = records.recipe.get("data", {}).get("target") is not None
    environment = Environment(
        loader=(_OfRows if of_rows else PackageLoader)("netwright.report"),
        autoescape=True,
        finalize=_finalize,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: getattr(wording, name) for name in wording.FILTERS}
    environment.filters["first_three"] = lambda row: row[:3]
    page = environment.get_template("report.html").render(_context(records, extras or Extras()))
    return page.encode("utf-8", errors="replace")


class _OfRows(PackageLoader):
    """The templates for the rows of a table."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Any]:
        source, path, fresh = super().get_source(environment, template)
        return wording.of_rows(source), path, fresh


def notable(records: Records) -> dict[str, Answers]:
    """Return the answers of each judged split that the report shows: their rows are the pictures that it needs."""
    found = {}
    for split in records.judged:
        if split in records.outputs and records.task == "classification":
            outputs = records.outputs[split]
            names = sample_names(outputs, records.split.get("splits", {}).get(split, []))
            temperature = records.metrics[split].get("calibration", {}).get("temperature")
            found[split] = notable_answers(outputs, names, temperature)
    return found


def _finalize(value: Any) -> Any:
    """Clean what is about to be written; markup that was made here stays."""
    return value if isinstance(value, Markup) else wording.clean(wording.DASH if value is None else value)


def _context(records: Records, extras: Extras) -> dict[str, Any]:
    """Return what the templates speak of."""
    styles = (Path(__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")
    return {
        "run": records,
        "extras": extras,
        "styles": Markup(styles),
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "charts": charts,
        "picture_address": picture_address,
        "class_names": records.class_names,
        "task": TASK_PAGES[records.task],
        "kind": kind_of(records),
        "sections": sections_of(records, extras.panels),
        "answers": notable(records),
        "numbers": numbers_shown(records),
        "masks": masks_shown(records),
        "mask_colours": mask_colours(records),
        "matrices": {split: _matrix(records, split) for split in records.judged},
        "accuracies": accuracies(records),
        "most_classes": MOST_CLASSES,
        "most_looks": MOST_LOOKS,
        "trained_by": trained_by(records),
        "commands": shown_commands(records),
    }


def _matrix(records: Records, split: str) -> Matrix | None:
    counts = records.metrics[split].get("confusion_matrix")
    return confusion(counts) if counts else None


def accuracies(records: Records) -> list[tuple[str, float, list[float], int]]:
    """Return (what, accuracy, interval, n) of the network on each judged split and of what costs nothing to reach."""
    rows = []
    for split in records.judged:
        rows.append((f"this network, {split}", records.metrics[split]))
        if records.metrics[split].get("without_twins"):
            rows.append((f"this network, {split} without twins", records.metrics[split]["without_twins"]))
    for split in records.judged:
        found = records.metrics[split].get("baselines") or {}
        others = (("linear", "a linear model"), ("boosting", "boosted trees"))
        rows += [(f"{name}, {split}", found[key]) for key, name in others if key in found]
        near = found.get("nearest_neighbours")
        if near:
            rows.append((f"{near['neighbours']} nearest by pixels, {split}", near))
        if found.get("majority"):
            rows.append((f"always the same class, {split}", found["majority"]))
    if isinstance(records.metrics.get("folds"), dict):
        folds = records.metrics["folds"]
        rows.append((f"its recipe in {folds.get('folds')} folds of train and val", folds))
    return [
        (name, record["accuracy"], record["accuracy_interval"], record["num_samples"])
        for name, record in rows
        if wording.is_number(record.get("accuracy")) and record.get("accuracy_interval")
    ]
