"""The report that a training leaves, and the command that makes it again."""

import json
import math
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from netwright.cli.main import run


def test_a_training_leaves_a_report_and_report_makes_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert run(["train", "digits", "--epochs", "1", "--out", str(folder), "--quiet"]) == 0
    text = (folder / "report.html").read_text(encoding="utf-8")
    accuracy = json.loads((folder / "metrics.json").read_text())["val"]["accuracy"]
    assert f"{100 * accuracy:.1f}\u00a0%" in text
    assert "This run" not in text  # neither running nor interrupted
    assert f"netwright report {folder}" in text
    assert "data:image/png" in text  # the mistakes
    weights = load_file(folder / "bundle" / "model.safetensors")
    trained = {name: each for name, each in weights.items() if "running" not in name and "num_batches" not in name}
    assert f"{sum(math.prod(each.shape) for each in trained.values()):,} parameters" in text
    assert "What misled it" not in text
    capsys.readouterr()
    assert run(["report", str(folder), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["report"] == str(folder / "report.html")
    assert printed["bytes"] == (folder / "report.html").stat().st_size
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "What misled it" in text
    assert "Its first filters" in text
    assert "For the rest" not in text
    assert run(["report", str(tmp_path / "none")]) == 2
