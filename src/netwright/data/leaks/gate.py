"""The leak gate: before anything is trained, who is in two splits? Own splits are drawn so that nobody is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from netwright.config.sections import Data, Split
from netwright.data.groups import groups_in_two_splits
from netwright.data.labelled import LabelledData, Rows
from netwright.data.leaks.findings import count_across, find_leaks, listed_pairs, test_with_twin
from netwright.data.leaks.twins import Twins, find_twins, merge
from netwright.data.splits import split_rows
from netwright.errors import DataError, listed


@dataclass(frozen=True, eq=False)
class Gated:
    """The splits to train on, and what the gate found: a record for data.json, see `pass_gate`."""

    rows: dict[str, Rows]
    leaks: dict[str, Any]


def pass_gate(labelled: LabelledData, split: Split, data: Data, *, published: bool, refuse: bool = True) -> Gated:
    """Look for twins in the splits as they were given, then draw what is missing, twins and groups together.

    `published`: the splits are those of a named benchmark set and stay as they are, whatever is found. The record is
    that of `findings.find_leaks`, of the splits as given, with `splits` (published, given or own), `tied` ({images,
    sets, splits}: twins and groups kept together in the splits that we drew), `groups_in_two_splits` and `allowed`
    (exact leaks or groups that `data.allow_leaks` let pass). Raises DataError, if it is to `refuse`, when given splits
    share equal images or groups and may not."""
    twins = find_twins(labelled.images)
    given = {name: rows for name, rows in labelled.given.items() if name != "all"}
    if split.manifest is not None:
        given = split_rows(labelled, split)
    record = find_leaks(labelled, twins, given or labelled.given)
    record["splits"] = "own" if not given else "published" if published else "given"
    shared = groups_in_two_splits(labelled, given)
    record["groups_in_two_splits"] = len(shared)
    record["allowed"] = 0
    found = count_across(record, "exact") + len(shared)
    if found and not published and refuse:
        if not data.allow_leaks:
            raise DataError(_refusal(labelled, record, shared))
        record["allowed"] = found
    # time alone decides where it splits: what is equal may be on both sides
    tied = tied_rows(labelled, twins) if labelled.times is None else np.arange(len(labelled), dtype=np.int64)
    rows = split_rows(labelled, split, tied)
    drawn = [name for name in rows if split.manifest is None and (name == "train" or name not in given)]
    record["tied"] = _count_tied(tied[np.concatenate([rows[name] for name in drawn])] if len(drawn) > 1 else tied[:0])
    record["tied"]["splits"] = drawn
    record["test_with_twin"] = test_with_twin(labelled, twins, rows)
    return Gated(rows, record)


def tied_rows(labelled: LabelledData, twins: Twins) -> Rows:
    """Return a number for each row (N,), the same for rows that have to stay together: twins, and those of a group."""
    tied = merge(twins.content, twins.near.first, twins.near.second)
    if labelled.groups is None:
        return tied
    first_of_group = np.full(int(labelled.groups.max()) + 1, -1, np.int64)
    first_of_group[labelled.groups[::-1]] = np.arange(len(labelled), dtype=np.int64)[::-1]
    return merge(tied, tied, tied[first_of_group[labelled.groups]])


def _count_tied(tied: Rows) -> dict[str, Any]:
    counts = np.bincount(tied)
    return {"images": int(counts[counts > 1].sum()), "sets": int((counts > 1).sum())}


def _refusal(labelled: LabelledData, record: Mapping[str, Any], shared: list[str]) -> str:
    lines = []
    what = record["things"]
    for part in record["across"]:
        if part["exact"]:
            of, seen = part["splits"]
            lines.append(f"{part['exact']} {what} of {of} are in {seen} too, with the same bytes or pixels:")
            equal = [pair for pair in part["listed"] if pair[2] == 1.0]
            shown = listed_pairs(equal, 10)
            lines += [f"  {line}" for line in shown]
            lines += [f"  and {part['exact'] - len(shown)} more"] if part["exact"] > len(shown) else []
    if shared:
        lines.append(f"{len(shared)} groups are in two splits, among them those of: {listed(shared, 5)}")
    lines.append(
        f"What {labelled.name} gives on them is no measure of new {what}. Remove them from one of the splits, or go on "
        "with them: --allow-leaks (data.allow_leaks), which every result will say."
    )
    return "\n".join(lines)


def said(leaks: Mapping[str, Any]) -> list[str]:
    """Return what the gate found as one line, and a line more for each thing that should be looked at."""
    if not leaks:
        return []
    things = leaks.get("things", "images")
    lines = [line for part in leaks["across"] if (line := _said_across(part, leaks["splits"], things))]
    if leaks["groups_in_two_splits"]:
        lines.append(f"{leaks['groups_in_two_splits']:,} groups are in two splits")
    if leaks["allowed"]:
        lines.append(f"leaks were allowed (data.allow_leaks): {leaks['allowed']}; every result says so")
    if not lines:
        time = f"{leaks['num_images']:,} {things} compared in {leaks['seconds']:.1f} s"
        lines.append(leaks["unchecked"] or f"no leaks between splits: {time}")
    elif leaks["unchecked"]:
        lines.append(leaks["unchecked"])
    tied = leaks["tied"]
    if tied["images"]:
        sets = "1 set" if tied["sets"] == 1 else f"{tied['sets']:,} sets"
        lines.append(
            f"{tied['images']:,} {things} in {sets} of twins or groups, each kept in one of {listed(tied['splits'])}"
        )
    return lines + _said_conflicts(leaks["conflicts"], things)


def _said_across(part: Mapping[str, Any], kind: str, things: str) -> str:
    if not part["exact"] + part["near"]:
        return ""
    of, seen = part["splits"]
    number = part["exact"] + part["near"]
    kept = "; kept, they are the published splits" if kind == "published" else ""
    example = f", such as {listed_pairs(part['listed'], 1)[0]}" if part["listed"] else ""
    counts = f"{part['exact']:,} equal, {part['near']:,} near"
    return f"{number:,} {of} {things} have a twin in {seen} ({counts}{example}){kept}"


_UNDER = {"regression": "with different numbers", "segmentation": "with different masks"}


def _said_conflicts(conflicts: Mapping[str, Any], things: str) -> list[str]:
    lines = []
    under = _UNDER.get(str(conflicts.get("task")), "under two labels")
    for kind, words in (("exact", f"equal {things}"), ("near", "near twins")):
        if conflicts[kind]:
            pairs = [pair for pair in conflicts["listed"] if (pair[2] == 1.0) == (kind == "exact")]
            shown = "; ".join(listed_pairs(pairs, 3))
            lines.append(f"{conflicts[kind]:,} {words} {under}" + (f": {shown}" if shown else ""))
    return lines
