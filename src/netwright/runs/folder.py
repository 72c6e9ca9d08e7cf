"""The run folder: where each file of a run lies, and how a new run comes to be."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from netwright.config.library import read_recipe_file
from netwright.config.recipe import Recipe, build_recipe
from netwright.errors import InputError, MachineError, RecipeError, did_you_mean
from netwright.files.atomic import explained, make_folders, sync_folder, write_atomic
from netwright.files.sealed import ZEROS, broken_seal, read_sealed, sealed

HOME = Path("runs")
SEAL_COMMENT = "# to change something train a new run from this file: the seal fits these lines alone\n# seal: "
# what resume makes again where it is missing
_RESUME = "restore it from a copy, or delete it: netwright resume makes it again"
REMADE = dict.fromkeys(("environment.json", "data.json", "split.json", "metrics.json", "state.json"), _RESUME)
SERIES = "series.json"  # in a folder of several runs of one recipe, seed-0, seed-1, …


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run."""

    path: Path

    @property
    def recipe(self) -> Path:
        return self.path / "recipe.yaml"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def data(self) -> Path:
        return self.path / "data.json"

    @property
    def split(self) -> Path:
        return self.path / "split.json"

    @property
    def history(self) -> Path:
        return self.path / "history.jsonl"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.json"

    @property
    def state(self) -> Path:
        return self.path / "state.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def events(self) -> Path:
        return self.path / "events"

    @property
    def bundle(self) -> Path:
        return self.path / "bundle"

    def finished_bundle(self) -> Path:
        """Return the bundle. Raises InputError when the run has not come to its end yet."""
        if not self.bundle.exists():
            raise InputError(f"{self.path} has no bundle yet: it is not finished; netwright resume {self.path}")
        return self.bundle

    @property
    def weights(self) -> Path:
        return self.bundle / "model.safetensors"

    def outputs_of(self, split: str) -> Path:
        return self.path / "outputs" / f"{split}.safetensors"

    @property
    def plots(self) -> Path:
        return self.path / "plots"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    def read_recipe(self) -> Recipe:
        """Read the resolved recipe. Raises RecipeError that names it when it is damaged or was edited."""
        mapping = read_recipe_file(self.recipe)
        wrong = self.broken_recipe()
        if wrong:
            raise RecipeError(
                f"{self.recipe} is damaged or was edited ({wrong}); netwright resume {self.path} says what differs; "
                f"for another recipe start a new run: netwright train {self.recipe}"
            )
        try:
            return build_recipe(mapping)
        except RecipeError as error:
            raise RecipeError(f"{self.recipe}: {error}") from None

    def recipe_text(self) -> str:
        """Return recipe.yaml without its seal."""
        return self.recipe.read_text(encoding="utf-8").removesuffix("\n").rpartition(SEAL_COMMENT)[0]

    def broken_recipe(self) -> str:
        """Say what is wrong with the recipe's seal, or nothing. Raises OSError when there is no recipe."""
        return broken_seal(self.recipe.read_bytes())

    def write_recipe(self, recipe: Recipe) -> None:
        """Save the recipe as YAML, in the order of its sections, sealed."""
        write_atomic(self.recipe, sealed(f"{recipe_text(recipe)}{SEAL_COMMENT}{ZEROS}\n".encode()))


def recipe_text(recipe: Recipe) -> str:
    """Return a recipe as YAML, one line a section where it fits."""
    lines = []
    for section, value in recipe.to_mapping().items():
        text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True).strip()
        lines.append(f"{section}: {text}")
    return "\n".join(lines) + "\n"


def create_run(recipe: Recipe, out: Path | None, name: str) -> RunFolder:
    """Make the folder of a new run (`out`, or the next free `runs/<name>-<number>`) with its recipe in it.

    Raises InputError when `out` exists and holds anything, MachineError when it can't be written."""
    with explained(out or HOME, 1):
        folder = RunFolder(make_folder(out, name))
        sync_folder(folder.path.parent)
    folder.write_recipe(recipe)  # first: what a kill leaves without it could be neither resumed nor begun again
    for inner in (folder.checkpoints, folder.plots):
        inner.mkdir(exist_ok=True)
    return folder


def make_folder(out: Path | None, name: str) -> Path:
    """Make `out`, or the next free `runs/<name>-<number>`. Raises InputError when `out` holds anything."""
    return _make_given(out) if out is not None else _make_next(name)


def _make_given(out: Path) -> Path:
    torn = list(out.glob(".recipe.yaml.*.part")) if out.is_dir() else []  # of a run killed before it had a recipe
    if out.exists() and (not out.is_dir() or set(out.iterdir()) - set(torn)):
        raise InputError(f"{out} exists already; nothing was overwritten: choose another --out, or resume it")
    try:
        make_folders(out)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{out} lies under a file, not a folder; choose another --out") from None
    for path in torn:
        path.unlink(missing_ok=True)
    return out


def _make_next(name: str) -> Path:
    safe = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"
    try:
        make_folders(HOME)
    except FileExistsError:
        raise MachineError(
            f"{HOME.resolve()} is a file, and runs are kept in a folder of that name; use --out"
        ) from None
    number = 1 + max(
        (int(path.name[len(safe) + 1 :]) for path in HOME.glob(f"{safe}-*") if _numbered(path, safe)), default=0
    )
    while True:  # two processes may want the same number: mkdir decides
        try:
            (HOME / f"{safe}-{number}").mkdir()
            return HOME / f"{safe}-{number}"
        except FileExistsError:
            number += 1


def _numbered(path: Path, name: str) -> bool:
    return path.name[len(name) + 1 :].isdigit()


def find_run(run: str | Path) -> RunFolder:
    """Find a run by its folder or by its name under runs/. Raises InputError when there is none."""
    for path in (Path(run), HOME / run):
        if (path / "recipe.yaml").is_file():
            return RunFolder(path)
        if (path / SERIES).is_file():
            members = sorted(member.parent.name for member in path.glob("seed-*/recipe.yaml"))
            raise InputError(
                f"{path} is a series of runs; name one of them, such as {path / (members or ['seed-0'])[0]}"
            )
    names = [path.name for path in HOME.glob("*") if path.is_dir()] if HOME.is_dir() else []
    raise InputError(
        f"there is no run {str(run)!r}{did_you_mean(str(run), names)}; `netwright runs` lists those there are"
    )


def read_json(path: Path) -> Any:
    """Read one of a run's JSON files. Raises InputError that names it when it is damaged."""
    return read_sealed(path, REMADE.get(path.name, "restore it from a copy, or train again"))
