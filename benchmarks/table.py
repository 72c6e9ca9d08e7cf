"""From the record of a work's runs to its section of docs/benchmarks.md: medians of ratios, accuracies, the goal."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.works import SIDES, Comparison, Work, works

Record = Mapping[str, Any]
ENOUGH_RUNS = 5  # of a part of the images, to be more than a quick look
FEW_RUNS = 3  # with fewer, accuracies' noise is taken from the number of images instead of from the runs


def section(record: Record) -> str:
    """Return a work's section in Markdown, without its heading's markers."""
    work = works(record["machine"]["hardware_bf16"])[record["work"]]
    runs = by_side(record["runs"])
    parts = [heading(work, record), _header(record)]
    parts.append(figure_table(work, runs) if work.figure else sides_table(runs))
    if work.comparisons:
        parts.append(comparison_table(work, runs))
    notes = [*accuracy_notes(work, runs, record), *failure_notes(record)]
    return "\n\n".join([*parts, *notes]) + "\n"


def by_side(runs: Sequence[Record]) -> dict[str, list[Record]]:
    """Return the runs of each side, in the order of the pairs."""
    grouped: dict[str, list[Record]] = {}
    for run in sorted(runs, key=lambda run: run["pair"]):
        grouped.setdefault(run["side"], []).append(run)
    return grouped


def ratios(slower: Sequence[Record], quicker: Sequence[Record]) -> list[float]:
    """Return the ratio of seconds of each pair, the two of which ran in turn."""
    seconds = {run["pair"]: run["seconds"] for run in quicker}
    return [run["seconds"] / seconds[run["pair"]] for run in slower if run["pair"] in seconds]


def quickest(names: Sequence[str], runs: Mapping[str, Sequence[Record]]) -> str | None:
    """Return the side with the lowest median of seconds among those that ran."""
    there = [name for name in names if name in runs]
    return min(there, key=lambda name: statistics.median(_of(runs[name], "seconds")), default=None)


def heading(work: Work, record: Record) -> str:
    images = f"{record['num_images']:,} images"
    if work.figure:
        what = ""
    elif "evaluation" in work.name:
        what = f": {images}"
    else:
        epochs = "one epoch" if work.epochs == 1 else f"an epoch of {work.epochs}, each"
        what = f": {epochs} of {images}"
    return f"## {work.title[0].upper()}{work.title[1:]}{what}"


def _header(record: Record) -> str:
    machine, pairs = record["machine"], len({run["pair"] for run in record["runs"]})
    versions = dict(machine["versions"])
    for run in record["runs"]:
        versions |= run["detail"].get("versions", {})
    listed = ", ".join(f"{name} {number}" for name, number in versions.items())
    half = "with" if machine["hardware_bf16"] else "without"
    few = pairs < ENOUGH_RUNS
    partial = " **A part of the images only" + (": a quick look.**" if few else ".**") if record["partial"] else ""
    turns = f"{_count(pairs, 'run')} of each side, in turn"
    return (
        f"{record['date']}; {machine['processor']}, {machine['cores']} cores ({machine['capability']}, {half} hardware "
        f"bf16), {_count(record['threads'], 'thread')}; {listed}; {turns}.{partial}"
    )


def sides_table(runs: Mapping[str, Sequence[Record]]) -> str:
    """Return seconds of the work itself and of the whole process, accuracy and memory of every side."""
    rows = [
        ("side", "seconds (lowest – highest)", "whole process", "accuracy", "peak memory"),
        ("---", "---", "---", "---", "---"),
    ]
    for name in sorted(runs, key=list(SIDES).index):
        seconds, accuracy = _of(runs[name], "seconds"), statistics.mean(_of(runs[name], "accuracy"))
        peak = max(_of(runs[name], "peak_anon_bytes")) / 2**30
        rows.append(
            (
                SIDES[name].title,
                _with_range(seconds, "s"),
                f"{statistics.median(_of(runs[name], 'process_seconds')):.1f} s",
                f"{accuracy:.2%}",
                f"{peak:.2f} GiB" if peak else "–",
            )
        )
    return _markdown(rows)


def comparison_table(work: Work, runs: Mapping[str, Sequence[Record]]) -> str:
    """Return the medians of ratios and whether they reach their goals."""
    rows = [("compared", "ratio (lowest – highest)", "to reach", ""), ("---", "---", "---", "---")]
    for comparison in work.comparisons:
        row = _comparison_row(comparison, runs)
        if row is not None and row not in rows:
            rows.append(row)
    return _markdown(rows)


def _comparison_row(comparison: Comparison, runs: Mapping[str, Sequence[Record]]) -> tuple[str, ...] | None:
    slower = quickest(comparison.slower, runs)
    quicker = comparison.quicker
    if quicker == "best-fp32" and quicker not in runs:  # without hardware bf16 the best loop is in fp32 anyway
        quicker = "best"
    if slower is None or quicker not in runs:
        return None
    found = ratios(runs[slower], runs[quicker])
    words = f"{SIDES[slower].title} ÷ {SIDES[quicker].title}"
    if comparison.goal is None:
        return words, _with_range(found, "×"), "", ""
    median = statistics.median(found)
    reached = median <= comparison.goal if comparison.at_most else median >= comparison.goal
    sign = "≤" if comparison.at_most else "≥"
    return words, _with_range(found, "×"), f"{sign} {comparison.goal:g} ×", "reached" if reached else "**not reached**"


def figure_table(work: Work, runs: Mapping[str, Sequence[Record]]) -> str:
    """Return a figure that is no ratio, of each side, beside the most that it may be."""
    assert work.figure is not None
    key, unit, goal = work.figure
    rows = [("side", f"{unit} (lowest – highest)", "to reach", ""), ("---", "---", "---", "---")]
    for name, of_side in runs.items():
        found = [run["detail"][key] for run in of_side]
        reached = "reached" if statistics.median(found) <= goal else "**not reached**"
        rows.append((SIDES[name].title, _with_range(found, ""), f"≤ {goal:g}", reached))
    return _markdown(rows)


def accuracy_notes(work: Work, runs: Mapping[str, Sequence[Record]], record: Record) -> list[str]:
    """Name the sides whose accuracy differs from ours by more than three standard errors."""
    reference = next((name for name in ("ours", "evaluate-ours") if name in runs), None)
    if reference is None or work.figure:
        return []
    notes = []
    for name, of_side in runs.items():
        difference = statistics.mean(_of(of_side, "accuracy")) - statistics.mean(_of(runs[reference], "accuracy"))
        if abs(difference) > 3 * _standard_error(runs[reference], of_side, record["num_judged"]) + 0.001:
            notes.append(
                f"**Accuracy differs:** {SIDES[name].title} has {100 * difference:+.2f} points against "
                f"{SIDES[reference].title}, more than three standard errors."
            )
    return notes or ["Accuracies differ by less than their noise."]


def _standard_error(ours: Sequence[Record], theirs: Sequence[Record], num_judged: int) -> float:
    if min(len(ours), len(theirs)) >= FEW_RUNS:
        return math.sqrt(sum(statistics.variance(_of(runs, "accuracy")) / len(runs) for runs in (ours, theirs)))
    p = statistics.mean(_of(ours, "accuracy"))
    return math.sqrt(2 * p * (1 - p) / num_judged)


def failure_notes(record: Record) -> list[str]:
    """Say which sides did not run, and why."""
    return [f"{SIDES[name].title} did not run: {reason}" for name, reason in record["failed"].items()]


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")


def _of(runs: Sequence[Record], key: str) -> list[float]:
    return [run[key] for run in runs]


def _with_range(numbers: Sequence[float], unit: str) -> str:
    median = statistics.median(numbers)
    digits = 2 if abs(median) < 100 else 0
    low, high = min(numbers), max(numbers)
    return f"{median:.{digits}f} {unit}".rstrip() + f" ({low:.{digits}f} – {high:.{digits}f})"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
