"""What `model.weights` names: published weights, a file, or a run of ours, whose network is then ours too. No torch."""

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from netwright.config.models import Model
from netwright.config.overrides import SHORT_NAMES
from netwright.data.discover import as_path
from netwright.deployment.archive import DESCRIPTION, read_member
from netwright.errors import InputError, RecipeError, WeightsError, did_you_mean
from netwright.runs.folder import find_run

_WORDS = ("none", "default")
_PUBLISHED = re.compile(r"[A-Z][A-Z0-9_]+")  # such as IMAGENET1K_V2


def bundle_of(path: Path) -> Path | None:
    """Return the bundle that a path is, or that lies in the run that it is; None for anything else.

    Raises WeightsError for a run that is not finished."""
    if path.is_file():
        return path if _is_zipped_bundle(path) else None
    if (path / DESCRIPTION).is_file():
        return path
    if (path / "recipe.yaml").is_file():
        return find_run(path).finished_bundle()
    return None


def settled_weights(model: Model) -> Model:
    """Return the model with the path of its weights written out in full: a run must find them from any folder.

    Raises RecipeError when they are no word, no file and no run."""
    if model.weights in _WORDS or model.weights_sha256 is not None:
        return model
    found = _path_of(model.weights)
    if found is not None:
        return msgspec.structs.replace(model, weights=str(found.resolve()))
    if _PUBLISHED.fullmatch(model.weights):
        return model
    raise RecipeError(
        f"`model.weights` is {model.weights!r}{did_you_mean(model.weights, _WORDS)}; there is no such file or run: "
        "give `default` for published weights, a weights file, a run (netwright runs lists yours), or `none`"
    )


def with_network_of_run(mapping: Mapping[str, Any], settings: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return a recipe's mapping; where it names no network, it gets that of the run that gives its weights."""
    given = mapping.get("model") or {}
    named = isinstance(given, str) or "name" in given
    weights = None if isinstance(given, str) else given.get("weights")
    for field, value in settings:
        path = SHORT_NAMES.get(field, field)
        named |= path in ("model.name", "model")
        weights = value if path == "model.weights" else weights
    found = _path_of(weights) if isinstance(weights, str) and weights not in _WORDS and not named else None
    bundle = bundle_of(found) if found is not None else None
    if bundle is None:
        return dict(mapping)
    try:
        model = json.loads(read_member(bundle, DESCRIPTION))["model"]
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{bundle} is not a whole bundle ({error}); restore it from a copy") from None
    network = {key: value for key, value in model.items() if key not in ("weights", "weights_sha256")}
    return {**mapping, "model": {**network, **given}}


def _path_of(text: str) -> Path | None:
    """Return the file, bundle or run that a text names."""
    path = as_path(text)
    if path.is_file() or (path.is_dir() and bundle_of(path) is not None):
        return path
    try:
        return find_run(path).path
    except InputError:
        return None


def _is_zipped_bundle(path: Path) -> bool:
    """Say whether a file is a bundle; torch's weights files are zip files too."""
    try:
        with zipfile.ZipFile(path) as archive:
            return DESCRIPTION in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False
