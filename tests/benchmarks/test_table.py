"""The tables: medians of ratios, what they have to reach, accuracies that differ, the page's sections."""

import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest

from benchmarks.page import BEGIN, with_section
from benchmarks.table import accuracy_notes, by_side, ratios, section
from benchmarks.works import SIDES, works

ROOT = Path(__file__).parents[2]
MACHINE = {
    "processor": "Some processor",
    "capability": "AVX2",
    "cores": 2,
    "hardware_bf16": False,
    "versions": {"netwright": "0.1.0", "torch": "2.15.0", "python": "3.11.7"},
}


def run(pair: int, side: str, seconds: float, accuracy: float = 0.9) -> dict[str, Any]:
    detail = {"versions": {}, "workers": 0, "overhead_microseconds": seconds}
    return {
        "pair": pair,
        "side": side,
        "seconds": seconds,
        "process_seconds": seconds + 1,
        "accuracy": accuracy,
        "peak_anon_bytes": 2**29,
        "detail": detail,
    }


def record(work: str, runs: list[dict[str, Any]], **given: Any) -> dict[str, Any]:
    fixed = {"date": "2026-11-21", "machine": MACHINE, "threads": 2, "partial": False, "failed": {}}
    return fixed | {"work": work, "num_images": 55_000, "num_judged": 5_000, "runs": runs} | given


def test_the_ratio_is_the_median_over_the_pairs() -> None:
    classic, ours = [4.0, 6.0, 11.0], [1.0, 2.0, 2.0]
    runs = [run(pair, "classic", seconds) for pair, seconds in enumerate(classic)]
    runs += [run(pair, "ours-exact", seconds) for pair, seconds in enumerate(ours)][::-1]
    grouped = by_side(runs)
    expected = [a / b for a, b in zip(classic, ours, strict=True)]
    assert ratios(grouped["classic"], grouped["ours-exact"]) == expected
    text = section(record("mnist-mlp-64", runs))
    assert f"| classic loop ÷ netwright --exact | {statistics.median(expected):.2f} × (3.00 – 5.50) | ≥ 5 × |" in text
    assert "**not reached**" in text


def test_the_quicker_classic_loop_is_taken_and_the_hand_written_one_may_be_a_little_quicker() -> None:
    runs = [run(0, "classic", 12.0), run(0, "classic-2workers", 10.0), run(0, "ours", 2.0), run(0, "best", 1.9)]
    text = section(record("cifar10-cnn", runs))
    assert "| classic loop, 2 workers ÷ netwright | 5.00 × (5.00 – 5.00) | ≥ 1.5 × | reached |" in text
    assert "| netwright ÷ hand-written loop | 1.05 × (1.05 – 1.05) | ≤ 1.05 × | **not reached** |" in text


def test_accuracies_beyond_their_noise_are_named() -> None:
    work = works(False)["mnist-cnn"]
    steady = [run(pair, "ours", 1.0, 0.900 + pair / 1000) for pair in range(5)]
    lower = [run(pair, "classic", 1.0, 0.890 + pair / 1000) for pair in range(5)]
    notes = accuracy_notes(work, by_side(steady + lower), record(work.name, []))
    assert len(notes) == 1
    assert "classic loop has -1.00 points" in notes[0]
    close = [run(pair, "classic", 1.0, 0.901 + pair / 1000) for pair in range(5)]
    assert accuracy_notes(work, by_side(steady + close), record(work.name, [])) == [
        "Accuracies differ by less than their noise."
    ]


def test_a_figure_and_a_failed_side_are_shown() -> None:
    text = section(record("overhead", [run(0, "overhead", 24.0), run(1, "overhead", 26.0)]))
    assert "| netwright, one thread | 25.00 (24.00 – 26.00) | ≤ 25 | reached |" in text
    text = section(record("mnist-mlp-64", [run(0, "ours", 1.0)], failed={"ours-fast": "no such option"}, partial=True))
    assert "netwright --fast did not run: no such option" in text
    assert "A part of the images only: a quick look" in text


def test_a_section_replaces_its_old_self_and_nothing_else() -> None:
    page = with_section(with_section("# Page\n", "a", "old a\n"), "b", "b\n")
    changed = with_section(page, "a", "new a\n")
    assert changed == page.replace("old a", "new a")
    assert with_section(changed, "a", "new a\n") == changed


def test_every_work_names_sides_that_are_there() -> None:
    for bf16 in (False, True):
        for work in works(bf16).values():
            for comparison in work.comparisons:
                assert {*comparison.slower, comparison.quicker} <= set(work.sides)
            for name in work.sides:
                assert (ROOT / f"{SIDES[name].module.replace('.', '/')}.py").is_file()


def test_the_page_says_what_the_runner_writes() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    records = {path.stem: json.loads(path.read_text()) for path in (ROOT / "benchmarks" / "results").glob("*.json")}
    measured = {name for name in re.findall(BEGIN.format("(.*)").strip(), page) if name in works(False)}
    assert measured == set(records)
    for name, found in records.items():
        assert "a quick look" not in section(found), f"{name} is a quick look; leave it out"
        assert section(found) in page, f"docs/benchmarks.md and benchmarks/results/{name}.json do not agree"


@pytest.mark.parametrize("number", [1, 2])
def test_threads_and_runs_are_counted_in_words(number: int) -> None:
    runs = [run(pair, "ours", 1.0) for pair in range(number)]
    text = section(record("mnist-cnn", runs, threads=number))
    assert (", 1 thread;" in text) == ("; 1 run of" in text) == (number == 1)
