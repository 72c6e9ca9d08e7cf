"""What a user sees of leaks, looks, bundles on other data and runs of different kinds, command by command."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score

from netwright.cli.main import run

TRAIN = ["train", "set.npz", "--model", "linear", "--epochs", "1", "--threads", "1", "--quiet"]


def pictures(count: int, seed: int) -> np.ndarray:
    """Smooth random pictures (count, 32, 32, 3), no two alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(part).resize((32, 32), Image.Resampling.BICUBIC)) for part in coarse])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(home: Path, num_equal: int, num_near: int) -> tuple[np.ndarray, np.ndarray]:
    """Write set.npz: 80 images of train, 30 of test, of which the first are in train too, equal and mirrored."""
    train, test = pictures(80, 0), pictures(30, 1)
    train[:40] //= 2  # dark ones are class 0
    test[:15] //= 2
    test[:num_equal] = train[:num_equal]
    test[num_equal : num_equal + num_near] = train[num_equal : num_equal + num_near, :, ::-1]
    targets = np.arange(80) // 40, np.arange(30) // 15
    np.savez(home / "set.npz", x_train=train, y_train=targets[0], x_test=test, y_test=targets[1])
    return test, targets[1]


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_equal_images_in_given_splits_are_refused_and_allowed_ones_are_in_every_result(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(home, 3, 0)
    assert run(TRAIN) == 2
    said = capsys.readouterr().err
    assert "3 images of test are in train too" in said and "test/0 = train/0" in said and "--allow-leaks" in said
    assert not list(home.glob("runs/*"))
    assert run([*TRAIN, "--allow-leaks"]) == 0
    assert "leaks allowed  3: images (or groups) that two splits share" in capsys.readouterr().out
    assert "allow_leaks: true" in (home / "runs" / "set-1" / "recipe.yaml").read_text()
    for split in ("val", "test"):
        assert run(["evaluate", "set-1", "--split", split]) == 0
        assert "leaks allowed    3:" in capsys.readouterr().out
    metrics = json.loads((home / "runs" / "set-1" / "metrics.json").read_text())
    assert metrics["leaks_allowed"] == metrics["val"]["leaks_allowed"] == metrics["test"]["leaks_allowed"] == 3
    assert printed(capsys, *TRAIN, "--allow-leaks")["leaks_allowed"] == 3
    report = (home / "runs" / "set-1" / "report.html").read_text(encoding="utf-8")
    assert "<strong>Leaks were allowed:</strong> 3 images or groups" in report


def test_test_is_given_with_and_without_twins_and_the_neighbours_beside_it(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, targets = save(home, 0, 4)
    assert run([*TRAIN, "--lr", "0.01"]) == 0
    assert "4 test images have a twin in train (0 equal, 4 near" in (home / "runs" / "set-1" / "log.txt").read_text()
    found = printed(capsys, "evaluate", "set-1", "--split", "test")["metrics"]
    for row, image in enumerate(images):
        (home / "images").mkdir(exist_ok=True)
        Image.fromarray(image).save(home / "images" / f"{row:02}.png")
    answers = printed(capsys, "predict", "set-1", "images")["predictions"]
    labels = [int(answer["label"]) for answer in answers]
    assert found["accuracy"] == pytest.approx(accuracy_score(targets, labels))
    assert found["without_twins"]["num_samples"] == 26
    assert found["without_twins"]["accuracy"] == pytest.approx(accuracy_score(targets[4:], labels[4:]))
    assert found["baselines"]["nearest_neighbours"]["num_samples"] == 30
    assert found["baselines"]["nearest_neighbours"]["accuracy"] > 0.9  # dark and light
    assert run(["evaluate", "set-1", "--split", "test"]) == 0
    shown = capsys.readouterr().out
    assert "without twins" in shown and "n = 26): no twin of theirs is in train or val" in shown
    assert "nearest pixels" in shown
    assert "look number 2 at this test split, at the same network each time" in shown
    report = (home / "runs" / "set-1" / "report.html").read_text(encoding="utf-8")
    assert "this network, test without twins" in report and "5 nearest by pixels, test" in report
    assert "All numbers on test" in report  # written anew by evaluate


def test_looks_are_told_by_train_and_series_too(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(home, 0, 0)
    assert run([*TRAIN, "--test"]) == 0
    assert "this was the first look at this test split" in capsys.readouterr().out
    found = printed(capsys, *TRAIN, "--test", "--seed", "5")
    assert found["looks"] == found["metrics"]["test"]["looks"]["number"] == 2
    assert run([*TRAIN, "--test", "--seeds", "2", "--seed", "7"]) == 0
    assert "this was look number 3 at this test split, of 3 networks" in capsys.readouterr().out


def test_a_bundle_is_judged_on_other_data(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, targets = save(home, 0, 0)
    assert run([*TRAIN, "--lr", "0.01"]) == 0
    bundle = str(shutil.copytree(home / "runs" / "set-1" / "bundle", home / "alone"))
    np.savez(home / "other.npz", x=images[5:], y=targets[5:])
    by_bundle = printed(capsys, "evaluate", bundle, "--data", "other.npz", "--shifts")
    by_run = printed(capsys, "evaluate", "set-1", "--data", "other.npz", "--shifts")
    assert by_bundle["split"] == by_run["split"] == "other"
    for name in ("accuracy", "accuracy_interval", "num_samples", "confusion_matrix", "per_class", "shifts", "suspects"):
        assert by_bundle["metrics"][name] == by_run["metrics"][name], name
    assert by_bundle["metrics"]["loss"] == pytest.approx(by_run["metrics"]["loss"])
    assert by_run["metrics"]["baselines"]["nearest_neighbours"]["num_samples"] == 25
    assert run(["evaluate", bundle, "--data", "other.npz"]) == 0
    assert "accuracy" in capsys.readouterr().out
    assert run(["evaluate", bundle]) == 2
    assert "is a bundle, which has no splits of its own; give labelled images" in capsys.readouterr().err
    assert run(["evaluate", bundle, "--split", "test"]) == 2
    assert run(["evaluate", bundle, "--data", "set.npz"]) == 2
    assert "these are the data that" in capsys.readouterr().err


def test_runs_of_different_kinds_are_compared_in_few_rows(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(home, 0, 0)
    assert run([*TRAIN, "--out", "one"]) == 0
    assert run([*TRAIN, "--model", "mlp", "--out", "other"]) == 0
    capsys.readouterr()
    assert run(["runs", "compare", "one", "other"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split() for line in shown if line.startswith("model  ")] == [["model", "linear", "mlp"]]
    assert not [line for line in shown if line.startswith("model.")]
    assert any(line.startswith("model of other  mlp") and "hidden_sizes=200" in line for line in shown)
    assert printed(capsys, "runs", "compare", "one", "other")["differing"]["model"][0]["name"] == "linear"


def test_what_is_known_of_twins_is_listed_and_cleared(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(home, 0, 2)
    assert run(["cache", "--clear"]) == 0
    assert run(["data", "set.npz"]) == 0
    found = printed(capsys, "cache")
    assert found["twins"]["data_sets"] == 1 and found["twins"]["bytes"] > 0
    assert run(["cache"]) == 0
    assert "of twins found in 1 data set; --clear removes it too" in capsys.readouterr().out
    assert printed(capsys, "cache", "--clear")["twins"] == {"data_sets": 0, "bytes": 0}


def test_every_number_has_its_interval(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(home, 0, 0)
    assert run(TRAIN) == 0
    assert re.search(r"val accuracy +\S+ % \(.* to .* %, n = \d+\), loss \S+ \(\S+ to \S+\)", capsys.readouterr().out)
    assert run(["evaluate", "set-1", "--split", "test", "--shifts"]) == 0
    said = capsys.readouterr().out
    overall, classes, moved = (part.splitlines() for part in said.split("\n\n")[1:4])
    for line in [*overall, *moved[1:]]:
        assert re.search(r"\d(?: %| points)? \(-?[\d.]+ to -?[\d.]+", line), line
    for line in classes[1:]:
        assert len(re.findall(r"[01]\.\d{3} \([01]\.\d{3} to [01]\.\d{3}\)", line)) == 3, line
    assert "(n = 30)" in moved[0]
    assert "95 % intervals, Wilson's" in said
