"""Fields set one by one, from the command line (`--set training.patience=3`, `--lr 0.1`) or from keyword arguments."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from netwright.config.recipe import PARTS
from netwright.config.sections import SECTIONS
from netwright.errors import RecipeError, did_you_mean, listed

# The common fields' short names: options of `netwright train` and keyword arguments of `nw.train`.
SHORT_NAMES = {
    "model": "model.name",
    "weights": "model.weights",
    "head": "model.head",
    "freeze": "training.freeze",
    "criterion": "criterion.name",
    "class_weights": "criterion.class_weights",
    "optimizer": "optimizer.name",
    "lr": "optimizer.lr",
    "weight_decay": "optimizer.weight_decay",
    "lr_scheduler": "lr_scheduler.name",
    "augmentation": "augmentation",
    "sampling": "training.sampling",
    "epochs": "training.epochs",
    "batch_size": "training.batch_size",
    "on_nan": "training.on_nan",
    "patience": "training.patience",
    "monitor": "training.monitor",
    "max_minutes": "training.max_minutes",
    "seed": "training.seed",
    "task": "data.task",
    "target": "data.target",
    "columns": "data.columns",
    "ahead": "data.ahead",
    "split_by_time": "split.by_time",
    "masks": "data.masks",
    "data_root": "data.root",
    "classes": "data.classes",
    "image_size": "data.image_size",
    "value_range": "data.value_range",
    "on_bad_image": "data.on_bad_image",
    "group_by": "data.group_by",
    "allow_leaks": "data.allow_leaks",
    "golden": "data.golden",
    "device": "runtime.device",
    "precision": "runtime.precision",
    "threads": "runtime.threads",
    "exact": "runtime.exact",
    "fast": "training.fast",
    "cached_features": "training.cached_features",
    "views": "training.views",
    "head_solver": "training.head_solver",
}

# what another name for a part leaves as it is: every network can begin with published weights and have another head
_KEPT = {"model": ("weights", "head")}


def parse_setting(text: str) -> tuple[str, Any]:
    """Split `path=value`, the value read as YAML. Raises RecipeError when it is not of that form."""
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        raise RecipeError(f"--set {text!r} is not of the form field=value, such as --set training.patience=3")
    try:
        return path.strip(), read_scalar(value)
    except yaml.YAMLError:
        raise RecipeError(f"--set {text!r}: the value can't be read as YAML; quote it, or use [..] for lists") from None


def read_scalar(text: str) -> Any:
    """Read one YAML value; unlike plain YAML 1.1, `3e-4` is a number."""
    value = yaml.safe_load(text)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def override(mapping: Mapping[str, Any], settings: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return a copy of a recipe's mapping with dotted paths set; later settings win.

    Another name for a part (`optimizer.name`) drops the arguments of the old one; weights and head of a network stay.
    Raises RecipeError for an unknown
    section; unknown fields are found when the recipe is built."""
    result: dict[str, Any] = {
        key: dict(value) if isinstance(value, Mapping) else value for key, value in mapping.items()
    }
    # names first, so that `--lr 0.1 --optimizer sgd` means the same in both orders
    for path, value in sorted(
        settings, key=lambda setting: not SHORT_NAMES.get(setting[0], setting[0]).endswith(".name")
    ):
        # a short name stands for one field (`model` for model.name), but a mapping is the whole part
        whole = path in PARTS and not isinstance(value, str)
        section, _, field = (path if whole else SHORT_NAMES.get(path, path)).partition(".")
        if (section, field, value) == ("training", "batch_size", "auto"):  # that of the recipe, in parts
            field, value = "fit_memory", True
        known = [*SECTIONS, *PARTS]
        if section not in known:
            names = [*known, *SHORT_NAMES]
            raise RecipeError(
                f"`{path}` is not a field of the recipe{did_you_mean(path, names)}; sections: {listed(known, 20)}"
            )
        if not field:
            result[section] = value
            continue
        old = result.get(section) or {}
        if isinstance(old, str):
            old = {"name": old}
        if not isinstance(old, Mapping):
            raise RecipeError(f"`{section}` is a list; set it as a whole, such as --set '{section}=[{{name: …}}]'")
        if field == "name" and old.get("name", value) != value:
            old = {key: old[key] for key in _KEPT.get(section, ()) if key in old}
        result[section] = {**old, **_nested(field, value, old, section)}
    return _with_names(result)


def _nested(field: str, value: Any, old: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`arguments.width=64` -> {"arguments": {…old, "width": 64}}. Raises RecipeError inside what is no mapping."""
    head, _, rest = field.partition(".")
    if not rest:
        return {head: value}
    inner = {} if old.get(head) is None else old[head]
    inner = {"name": inner} if (where, head) == ("model", "head") and isinstance(inner, str) else inner
    if not isinstance(inner, Mapping):
        raise RecipeError(f"`{where}.{head}` is {inner!r} and has no fields; set it as a whole, `{where}.{head}=…`")
    return {head: {**inner, **_nested(rest, value, inner, f"{where}.{head}")}}


def _with_names(mapping: dict[str, Any]) -> dict[str, Any]:
    """Name the parts of which only an argument was set (`optimizer: {lr: 0.1}` means the default optimizer's)."""
    defaults = {"model": "cnn", "criterion": "cross_entropy", "optimizer": "adam", "lr_scheduler": "constant"}
    for key, name in defaults.items():
        part = mapping.get(key)
        if isinstance(part, Mapping) and "name" not in part:
            mapping[key] = {"name": name, **part}
    return mapping
