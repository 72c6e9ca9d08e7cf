"""All that a run's folder says, read for the HTML report; what is missing or damaged is named, not fatal. No torch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netwright.errors import NetwrightError
from netwright.files.lock import is_locked
from netwright.runs.folder import RunFolder, read_json
from netwright.runs.history import Record, best_record, history_of
from netwright.runs.ledger import Look, looks
from netwright.runs.outputs import StoredOutputs, load_outputs

SPLITS = ("train", "val", "test")
JUDGED = ("val", "test")


@dataclass(frozen=True, eq=False)
class Records:
    """What is kept of one run. `state`: running, interrupted, failed or done, with its `reason`; `outputs` by split;
    `looks` at its test split, oldest first; `unreadable` says what could not be read."""

    path: Path
    state: str
    reason: str
    recipe: dict[str, Any]
    recipe_text: str
    environment: dict[str, Any]
    data: dict[str, Any]
    split: dict[str, Any]
    metrics: dict[str, Any]
    history: list[Record]
    outputs: dict[str, StoredOutputs] = field(default_factory=dict)
    looks: list[Look] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    @property
    def task(self) -> str:
        """What the run learns to say: classification, regression, …"""
        return str(self.data.get("task", "classification"))

    @property
    def class_names(self) -> list[str]:
        return [str(name) for name in self.data.get("class_names", [])]

    @property
    def best(self) -> Record | None:
        """The epoch whose weights are kept, by the recipe's monitor."""
        monitor = self.recipe.get("training", {}).get("monitor", "val_loss")
        return best_record(self.history, monitor)

    @property
    def judged(self) -> list[str]:
        """The splits that metrics.json has."""
        return [split for split in JUDGED if isinstance(self.metrics.get(split), dict)]

    @property
    def num_samples(self) -> dict[str, int]:
        """How many images each split has."""
        counts = self.data.get("counts", {})
        return {split: sum(counts[split].values()) for split in SPLITS if split in counts}


def read_records(folder: RunFolder, *, state: str | None = None) -> Records:
    """Read a run's folder; `state` stands for what state.json will say once the run that calls this is over."""
    unreadable: list[str] = []

    def known(path: Path) -> dict[str, Any]:
        try:
            return dict(read_json(path)) if path.exists() else {}
        except (NetwrightError, TypeError, ValueError):
            unreadable.append(path.name)
            return {}

    try:
        recipe, text = folder.read_recipe().to_mapping(), folder.recipe_text()
    except (NetwrightError, OSError, ValueError):
        unreadable.append(folder.recipe.name)
        recipe, text = {}, ""
    history: list[Record] = []
    try:
        history = history_of(folder)
    except NetwrightError:
        unreadable.append(folder.history.name)
    found, data = known(folder.state), known(folder.data)
    test = data.get("split_fingerprints", {}).get("test")
    return Records(
        path=folder.path,
        state=state or _state(folder, found),
        reason=str(found.get("reason", "")) if state is None else "",
        recipe=recipe,
        recipe_text=text,
        environment=known(folder.environment),
        data=data,
        split=known(folder.split),
        metrics=known(folder.metrics),
        history=history,
        outputs=_outputs(folder, unreadable),
        looks=looks(folder.path, test) if test else [],
        unreadable=unreadable,
    )


def _state(folder: RunFolder, found: dict[str, Any]) -> str:
    """Return how the run stands; a killed process leaves `running` behind, but not its lock."""
    state = str(found.get("state", "interrupted"))
    return "interrupted" if state == "running" and not is_locked(folder.path) else state


def _outputs(folder: RunFolder, unreadable: list[str]) -> dict[str, StoredOutputs]:
    found = {}
    for split in JUDGED:
        path = folder.outputs_of(split)
        try:
            if path.exists():
                found[split] = load_outputs(path)
        except NetwrightError:
            unreadable.append(f"outputs/{path.name}")
    return found
