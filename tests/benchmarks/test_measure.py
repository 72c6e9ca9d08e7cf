"""Running one side: its line of JSON, its memory, its failure."""

import sys

import pytest

from benchmarks.measure import SideFailed, measure

LINE = '{"seconds": 2.0, "accuracy": 0.5, "detail": {"versions": {}}}'


def test_a_side_gives_its_last_line_and_its_memory() -> None:
    hold = "import time; held = b'1' * 150_000_000; time.sleep(0.3); print('a bar'); print('{}'); "
    measured = measure(3, "best", [sys.executable, "-c", f"{hold}print({LINE!r})"], 1)
    assert (measured.pair, measured.side, measured.seconds, measured.accuracy) == (3, "best", 2.0, 0.5)
    assert measured.process_seconds > 0.3
    if sys.platform.startswith("linux"):
        assert 150_000_000 < measured.peak_anon_bytes < 300_000_000


def test_memory_of_children_counts() -> None:
    child = "import time; held = b'1' * 100_000_000; time.sleep(0.4)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); print({LINE!r})"
    measured = measure(0, "best", [sys.executable, "-c", parent], 1)
    if sys.platform.startswith("linux"):
        assert measured.peak_anon_bytes > 100_000_000


@pytest.mark.parametrize("program", ["raise SystemExit('no such tool')", "import sys; print('no such tool')"])
def test_a_side_that_fails_says_why(program: str) -> None:
    with pytest.raises(SideFailed, match="no such tool"):
        measure(0, "best", [sys.executable, "-c", program], 1)
