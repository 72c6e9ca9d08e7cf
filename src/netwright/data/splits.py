"""Which sample is in which split: as given, drawn stratified by seed, or read from a manifest."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from netwright.config.sections import Split
from netwright.data.discover import as_path
from netwright.data.fingerprint import fingerprint
from netwright.data.known_files import known_files
from netwright.data.labelled import SPLITS, Array, FileImages, LabelledData, Rows
from netwright.data.tied_sets import check_trained, place_sets
from netwright.errors import DataError, RecipeError, listed
from netwright.files.sealed import broken_seal

VAL_OF_TRAIN = 0.1
LONE_VAL, LONE_TEST = 0.15, 0.15


def split_rows(labelled: LabelledData, split: Split, tied: Rows | None = None) -> dict[str, Rows]:
    """Return the rows (int64, ascending) of "train", and of "val" and "test" where there are some.

    `tied` (N,) is a number of each row: rows with the same one are not torn apart by cutting.

    Given splits are respected; what is missing is cut from train (see `config.recipe.Split`), stratified by class.
    Raises DataError when a class has too few images to be cut, or the manifest does not fit the data."""
    if split.manifest is not None:
        return read_manifest(as_path(split.manifest), labelled)
    rows = {name: np.sort(part) for name, part in labelled.given.items() if name != "all"}
    whole = labelled.given.get("all", rows.get("train"))
    assert whole is not None, "open_data has checked that there is something to train on"
    fractions = cut_fractions(labelled, split)
    if fractions["val"] + fractions["test"] >= 1:
        raise RecipeError(
            f"`split.val` is {fractions['val']} and `split.test` is {fractions['test']}: together they leave nothing "
            "to train on; lower one of them"
        )
    if labelled.times is not None:
        rows = {**rows, **cut_by_time(labelled.times, whole, fractions, labelled.ahead)}
        _assert_disjoint(rows, labelled)
        return {name: rows[name] for name in SPLITS if name in rows and len(rows[name])}
    of_strata = labelled.class_names if labelled.task == "classification" else ()
    cut = cut_rows(labelled.strata, whole, fractions, split.seed, of_strata, tied)
    rows = {**rows, **cut}
    _assert_disjoint(rows, labelled)
    return {name: rows[name] for name in SPLITS if name in rows and len(rows[name])}


def cut_fractions(labelled: LabelledData, split: Split) -> dict[str, float]:
    """Return the fractions of train that become val and test; 0 for a split that is given, or read from a manifest.

    Raises RecipeError when a fraction is asked for of a split that is given."""
    if split.manifest is not None:
        return {"val": 0.0, "test": 0.0}
    given = set(labelled.given) - {"train", "all"}
    for name, asked in (("val", split.val), ("test", split.test)):
        if asked and name in given:
            raise RecipeError(f"`split.{name}` is {asked} and {labelled.name} comes with a {name} split; leave it out")
    lone = not given
    val = split.val if split.val is not None else (LONE_VAL if lone else VAL_OF_TRAIN)
    test = split.test if split.test is not None else (LONE_TEST if lone else 0.0)
    return {"val": 0.0 if "val" in given else val, "test": 0.0 if "test" in given else test}


def cut_rows(
    targets: Rows,
    whole: Rows,
    fractions: dict[str, float],
    seed: int,
    class_names: tuple[str, ...],
    tied: Rows | None = None,
) -> dict[str, Rows]:
    """Cut `whole` into test, val and train rows: each class is shared out by largest remainder, then drawn by seed.

    Tied rows are given out first, set by set (`tied_sets.place_sets`); the others fill what they left open. Every class
    keeps at least one row in train. Raises DataError for a class with one image when anything is cut, or with nothing
    but tied rows that would all have to leave train."""
    if not any(fractions.values()):
        return {"train": np.sort(whole)}
    classes, counts = np.unique(targets[whole], return_counts=True)
    if counts.min() < 2:
        if not class_names:
            raise DataError("there is 1 sample: it can't be in train and in another split; add some")
        few = [class_names[number] for number in classes[counts < 2]]
        what = f"class {few[0]!r} has 1 image" if len(few) == 1 else f"classes with 1 image each: {listed(few)}"
        raise DataError(f"{what}: it can't be in train and in another split; add images or leave the class out")
    shares = {name: _largest_remainder(counts, fraction) for name, fraction in fractions.items()}
    _leave_one(shares, counts)
    placed = place_sets(targets, whole, tied, classes, shares, seed)
    alone = whole if not placed else np.setdiff1d(whole, np.concatenate(list(placed.values())))
    parts: dict[str, list[Rows]] = {name: [placed[name]] if name in placed else [] for name in SPLITS}
    for position, number in enumerate(classes):
        own = np.sort(alone[targets[alone] == number])
        own = own[np.random.default_rng((seed, int(number))).permutation(len(own))]
        done = {name: int((targets[part] == number).sum()) for name, part in placed.items()}
        test, val = (max(0, int(shares[name][position]) - done.get(name, 0)) for name in ("test", "val"))
        if done and not done["train"]:  # what is left is to reach for a row in train
            test = min(test, max(0, len(own) - 1))
            val = min(val, max(0, len(own) - 1 - test))
        for name, part in (("test", own[:test]), ("val", own[test : test + val]), ("train", own[test + val :])):
            parts[name].append(part)
    joined = {name: np.sort(np.concatenate(part)).astype(np.int64) for name, part in parts.items()}
    if placed:
        check_trained(targets, joined, classes, class_names)
    return {name: part for name, part in joined.items() if len(part)}


def cut_by_time(times: Array, whole: Rows, fractions: dict[str, float], ahead: int = 0) -> dict[str, Rows]:
    """Cut `whole` into the latest rows (test), those before (val) and the rest (train), by times (N,).

    Rows of one time stay together, in the later split. Where targets are of so many rows `ahead`, the last rows before
    a later split are left out whose targets were not known yet when it began, ahead - 1 of them, as scikit-learn's
    `TimeSeriesSplit(gap=…)` does. Raises DataError when a split would be empty so."""
    ordered = whole[np.argsort(times[whole], kind="stable")]
    sizes = {name: max(1, round(fractions[name] * len(ordered))) if fractions[name] else 0 for name in ("test", "val")}
    parts, end = {}, len(ordered)
    for name in ("test", "val"):
        if not sizes[name]:
            continue
        start = max(0, end - sizes[name])
        while start > 0 and times[ordered[start - 1]] == times[ordered[start]]:
            start -= 1
        parts[name], end = np.sort(ordered[start:end]), max(0, start - max(0, ahead - 1))
    parts["train"] = np.sort(ordered[:end])
    if any(not len(part) for part in parts.values()):
        raise DataError(
            "there are too few different times to split by; draw the splits at random, "
            + ("lower `data.ahead`, " if ahead > 1 else "")
            + "or give more rows"
        )
    return parts


def _largest_remainder(counts: Rows, fraction: float) -> Rows:
    """Share out round(fraction · N) rows, at least one when the fraction is not 0: each class within 1 of its quota."""
    if fraction == 0:
        return np.zeros_like(counts)
    quota = counts * fraction
    shares: Rows = np.floor(quota + 1e-9).astype(np.int64)
    total = max(1, round(float(fraction * counts.sum())))
    rest = max(0, total - int(shares.sum()))
    shares[np.argsort(-(quota - shares), kind="stable")[:rest]] += 1
    return shares


def _leave_one(shares: dict[str, Rows], counts: Rows) -> None:
    """Give back to train what the smallest classes can't spare."""
    for position, count in enumerate(counts):
        while sum(int(part[position]) for part in shares.values()) > count - 1:
            largest = max(shares, key=lambda name: int(shares[name][position]))
            shares[largest][position] -= 1


def _assert_disjoint(rows: dict[str, Rows], labelled: LabelledData) -> None:
    together = np.concatenate(list(rows.values()))
    assert len(np.unique(together)) == len(together), "splits overlap"
    assert len(together) <= len(labelled)


def manifest(
    labelled: LabelledData, rows: dict[str, Rows], *, seed: int = 0, data_fingerprint: str | None = None
) -> dict[str, Any]:
    """Return what split.json holds: seed, fingerprint, and the sample names (files) or rows (arrays) of each split.

    Of files also what `known_files` says of their content."""
    names = labelled.sample_names
    files = isinstance(labelled.images, FileImages)
    return {
        "seed": seed,
        "fingerprint": data_fingerprint or fingerprint(labelled),
        "splits": {split: [names[row] for row in part] if files else part.tolist() for split, part in rows.items()},
        **known_files(labelled, rows),
    }


def read_manifest(path: Path, labelled: LabelledData) -> dict[str, Rows]:
    """Return the rows that a manifest names in these data.

    Raises DataError when it can't be read, names samples that are not there, or is of other data."""
    try:
        content = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
        wrong = "" if "seal" not in content else broken_seal(path.read_bytes())  # one made by hand has none
        splits = {name: list(content["splits"][name]) for name in content["splits"]}
        made_of = content.get("fingerprint")
    except OSError as error:
        raise DataError(
            f"`split.manifest` {path} can't be read ({error.strerror}); expected a run's split.json"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DataError(f"`split.manifest` {path} is not a manifest; expected a run's split.json") from None
    if wrong:
        raise DataError(f"`split.manifest` {path} is damaged ({wrong}); restore it from a copy")
    if "train" not in splits or set(splits) - set(SPLITS):
        raise DataError(f"`split.manifest` {path} has the splits {listed(splits)}; expected train, and val or test")
    if isinstance(labelled.images, FileImages):
        rows = _rows_of_names(splits, labelled, path)
    else:
        rows = _rows_of_numbers(splits, labelled, path, made_of)
    together = np.concatenate(list(rows.values()))
    if len(np.unique(together)) != len(together):
        raise DataError(f"`split.manifest` {path} has samples in two splits or twice; draw the splits anew")
    return {name: rows[name] for name in SPLITS if name in rows and len(rows[name])}


def _rows_of_names(splits: dict[str, list[Any]], labelled: LabelledData, path: Path) -> dict[str, Rows]:
    place = {name: row for row, name in enumerate(labelled.sample_names)}
    missing = [name for part in splits.values() for name in part if name not in place]
    if missing:
        raise DataError(
            f"`split.manifest` {path} names {len(missing)} files that {labelled.name} does not have: "
            f"{listed(missing, 5)}"
        )
    return {name: np.sort(np.asarray([place[item] for item in part], dtype=np.int64)) for name, part in splits.items()}


def _rows_of_numbers(splits: dict[str, list[Any]], labelled: LabelledData, path: Path, made_of: Any) -> dict[str, Rows]:
    numbers = [row for part in splits.values() for row in part]
    if not all(isinstance(row, int) for row in numbers) or not all(0 <= row < len(labelled) for row in numbers):
        raise DataError(
            f"`split.manifest` {path} has rows that {labelled.name} with {len(labelled)} images does not have"
        )
    if made_of != fingerprint(labelled):
        raise DataError(
            f"`split.manifest` {path} was made of other data than {labelled.name} (the fingerprints differ)"
        )
    return {name: np.sort(np.asarray(part, dtype=np.int64)) for name, part in splits.items()}
