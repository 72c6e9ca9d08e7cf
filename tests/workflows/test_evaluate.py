"""Numbers that can be trusted: evaluation against training and scikit-learn, on the run's own and on other data."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import metrics as reference
from torch.utils.data import Dataset

import netwright as nw
from netwright.data.transform import EvalTransform

Arrays = tuple[np.ndarray, np.ndarray]


def split_of(run: nw.Run, split: str) -> list[int]:
    rows: list[int] = json.loads((run.path / "split.json").read_text())["splits"][split]
    return rows


def test_val_is_what_training_saw_in_its_best_epoch(trained: nw.Run) -> None:
    best = trained.history[trained.best_epoch - 1]
    assert best["val_loss"] == min(record["val_loss"] for record in trained.history)
    judged = trained.evaluate("val")
    assert judged["epoch"] == trained.best_epoch
    for found in (judged["metrics"], trained.metrics["val"]):
        assert found["accuracy"] == best["val_accuracy"]
        assert found["loss"] == pytest.approx(best["val_loss"], rel=1e-9)
        assert found["num_samples"] == len(split_of(trained, "val")) == 270


def test_the_best_epoch_follows_the_monitor(tmp_path: Path) -> None:
    """A step so big that the loss grows while the accuracy does not: the two disagree about the best epoch."""
    runs = {}
    for monitor in ("val_loss", "train_accuracy"):
        runs[monitor] = nw.train(
            "digits", model="linear", optimizer={"name": "sgd", "lr": 3.0}, epochs=5, monitor=monitor,
            out=tmp_path / monitor, threads=1, quiet=True,
        )  # fmt: skip
        history = runs[monitor].history
        best = (min if monitor == "val_loss" else max)(history, key=lambda record: record[monitor])
        assert runs[monitor].best_epoch == best["epoch"]
        assert runs[monitor].metrics["val"]["accuracy"] == best["val_accuracy"]
        assert json.loads((runs[monitor].path / "bundle" / "bundle.json").read_text())["epoch"] == best["epoch"]


def test_one_split_is_decoded_and_no_other(two_digits: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the cache the whole set is found; where it is gone only the split that is asked for is decoded."""
    decoded: list[object] = []
    decode = EvalTransform.decode

    def counted(self: EvalTransform, source: Any, *rest: Any) -> Any:
        decoded.append(source)
        return decode(self, source, *rest)

    monkeypatch.setattr(EvalTransform, "decode", counted)
    write_folder(tmp_path / "data", two_digits[0][:60], two_digits[1][:60])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = nw.train(str(tmp_path / "data"), model="linear", epochs=1, out=tmp_path / "run", threads=1, quiet=True)
    assert len(decoded) == 60
    whole = run.evaluate("val")["metrics"]
    assert len(decoded) == 60
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another cache"))
    alone = run.evaluate("val")["metrics"]
    assert alone == whole
    assert len(decoded) == 60 + whole["num_samples"] == 69


def test_a_dataset_that_draws_is_judged_as_training_judged_it(tmp_path: Path) -> None:
    class Drawn(Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return 40

        def __getitem__(self, index: int) -> tuple[Any, int]:
            pixels = torch.randint(0, 128, (8, 8, 3), dtype=torch.uint8).numpy() + np.uint8(100 * (index % 2))
            return Image.fromarray(pixels), index % 2

    run = nw.train(
        Drawn(), model="linear", epochs=1, out=tmp_path / "run", threads=1, quiet=True, seed=3,
        transform={"normalize": "none"},
    )  # fmt: skip
    assert run.evaluate("val")["metrics"]["loss"] == pytest.approx(run.history[0]["val_loss"], rel=1e-6)


def test_test_numbers_are_scikit_learns(copied: nw.Run, digits: Arrays) -> None:
    """From the probabilities of the same images, which are found through the run's split.json."""
    images, targets = digits
    rows = split_of(copied, "test")
    found = copied.evaluate("test")["metrics"]
    answers = copied.predict(images[rows])
    probabilities = np.array([[answer["probabilities"][str(k)] for k in range(10)] for answer in answers])
    wanted, said = targets[rows], probabilities.argmax(1)
    assert found["num_samples"] == len(rows)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(wanted, said))
    assert found["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(wanted, said))
    shown = -np.log(probabilities[np.arange(len(rows)), wanted]).mean()
    assert found["calibration"]["log_loss"] == pytest.approx(shown, rel=1e-6)
    assert found["calibration"]["before"]["log_loss"] == pytest.approx(found["loss"], rel=1e-6)
    assert found["intervals"]["loss"][0] < found["loss"] < found["intervals"]["loss"][1]
    assert found["f1_macro"] == pytest.approx(reference.f1_score(wanted, said, average="macro"))
    assert found["precision_macro"] == pytest.approx(reference.precision_score(wanted, said, average="macro"))
    assert found["recall_macro"] == pytest.approx(reference.recall_score(wanted, said, average="macro"))
    for k, value in found["top_k"].items():
        assert value == pytest.approx(reference.top_k_accuracy_score(wanted, probabilities, k=int(k)))
    roc_auc = reference.roc_auc_score(wanted, probabilities, multi_class="ovr")
    assert found["roc_auc"] == pytest.approx(roc_auc, abs=1e-5)
    assert np.array_equal(found["confusion_matrix"], reference.confusion_matrix(wanted, said))
    per_class = reference.precision_recall_fscore_support(wanted, said)
    for place, record in enumerate(found["per_class"]):
        assert record["label"] == str(place)
        assert [record["precision"], record["recall"], record["f1"], record["num_samples"]] == pytest.approx(
            [scores[place] for scores in per_class]
        )


def test_splits_are_disjoint_and_whole(trained: nw.Run) -> None:
    rows = [row for split in ("train", "val", "test") for row in split_of(trained, split)]
    assert sorted(rows) == list(range(1797))


def test_every_look_at_test_is_counted(copied: nw.Run, tmp_path: Path) -> None:
    assert copied.evaluate("val").get("looks") is None
    assert copied.evaluate("test")["looks"] == 1
    assert copied.evaluate("test")["looks"] == 2
    moved = nw.load(shutil.copytree(copied.path, tmp_path / "moved"))
    assert moved.evaluate("test")["looks"] == 3
    assert copied.evaluate("test")["looks"] == 4


def test_the_count_survives_without_the_users_ledger(
    copied: nw.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert copied.evaluate("test")["looks"] == 1
    moved = nw.load(shutil.copytree(copied.path, tmp_path / "moved"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
    assert moved.evaluate("test")["looks"] == 2


def test_another_run_on_the_same_test_images_counts_too(copied: nw.Run, tmp_path: Path) -> None:
    assert copied.evaluate("test")["looks"] == 1
    other = nw.train("digits", model="linear", epochs=1, out=tmp_path / "other", threads=1, quiet=True, test=True)
    assert other.metrics["test"]["num_samples"] == 270
    assert other.evaluate("test")["looks"] == 3


def test_test_stays_sealed_until_it_is_opened(trained: nw.Run) -> None:
    assert set(trained.metrics) == {"val"}
    assert not (trained.path / "ledger.jsonl").exists()


def test_a_split_that_is_not_there_is_named(tmp_path: Path) -> None:
    run = nw.train("digits", model="linear", epochs=1, split={"test": 0.0}, out=tmp_path / "r", threads=1, quiet=True)
    with pytest.raises(nw.InputError, match="has no test split; it has: train, val"):
        run.evaluate("test")


def test_changed_data_are_refused(digits: Arrays, tmp_path: Path) -> None:
    images, targets = digits
    np.savez(tmp_path / "set.npz", x=images[:300], y=targets[:300])
    run = nw.train(tmp_path / "set.npz", model="linear", epochs=1, out=tmp_path / "run", threads=1, quiet=True)
    run.evaluate("val")
    changed = images[:300].copy()
    changed[7, 0, 0] += 1
    np.savez(tmp_path / "set.npz", x=changed, y=targets[:300])
    for split in ("val", "test"):
        with pytest.raises(nw.DataError, match=r"have changed since|was made of other data"):
            run.evaluate(split)
    assert not (run.path / "ledger.jsonl").exists()


def write_folder(root: Path, images: np.ndarray, targets: np.ndarray, part: str = "") -> Path:
    for place, (image, target) in enumerate(zip(images, targets, strict=True)):
        folder = root / part / str(target)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{place}.png")
    return root


def accuracy_of(run: nw.Run, images: np.ndarray, targets: np.ndarray) -> float:
    labels = [answer["label"] for answer in run.predict(images)]
    return float(np.mean([label == str(target) for label, target in zip(labels, targets, strict=True)]))


@pytest.mark.parametrize("kind", ["folder", "test part", "npz", "npz test part", "arrays", "test arrays"])
@pytest.mark.parametrize("kept", ["all", "some", "one"])
def test_other_data_are_judged(kind: str, kept: str, trained: nw.Run, digits: Arrays, tmp_path: Path) -> None:
    """Of all ten classes, of some of them, or of one; as a folder, an .npz or arrays, with or without a test part."""
    images, targets = digits[0][-100:], digits[1][-100:]
    chosen = {"all": targets >= 0, "some": np.isin(targets, [3, 5, 8]), "one": targets == 3}[kept]
    images, targets = images[chosen], targets[chosen]
    other: object = tmp_path / "other"
    if kind == "folder":
        write_folder(tmp_path / "other", images, targets)
    elif kind == "test part":
        write_folder(tmp_path / "other", images, targets, "test")
    elif kind == "arrays":
        other = (images, targets)
    elif kind == "test arrays":
        other = {"test": (images, targets)}
    else:
        other = tmp_path / "other.npz"
        keys = ("x", "y") if kind == "npz" else ("x_test", "y_test")
        np.savez(tmp_path / "other.npz", **dict(zip(keys, (images, targets), strict=True)))
    judged = trained.evaluate(data=other)
    assert judged["split"] == "other"
    assert judged["metrics"]["num_samples"] == len(images)
    assert judged["metrics"]["accuracy"] == pytest.approx(accuracy_of(trained, images, targets))
    assert "looks" not in judged


def test_judging_other_data_leaves_the_run_as_it_was(trained: nw.Run, digits: Arrays) -> None:
    before = {path: path.read_bytes() for path in trained.path.rglob("*") if path.is_file()}
    trained.evaluate(data=(digits[0][:50], digits[1][:50]))
    assert {path: path.read_bytes() for path in trained.path.rglob("*") if path.is_file()} == before


def test_other_data_are_judged_by_a_run_on_some_classes(digits: Arrays, tmp_path: Path) -> None:
    """Renumbered classes are found by their names, whatever number they have in the other data."""
    run = nw.train(
        "digits", classes=["8", "3"], model="linear", lr=0.01, epochs=3, out=tmp_path / "r", threads=1, quiet=True
    )
    chosen = np.flatnonzero(np.isin(digits[1], [3, 8]))[1:]  # all of them would be the run's own data
    images, targets = digits[0][chosen], digits[1][chosen]
    judged = run.evaluate(data=(images, targets))["metrics"]
    assert judged["accuracy"] == pytest.approx(accuracy_of(run, images, targets))
    assert judged["accuracy"] > 0.9
    with pytest.raises(nw.DataError, match="classes that the network does not know: 0, 1, 2, 4"):
        run.evaluate(data=digits)


def test_unknown_classes_are_refused(trained: nw.Run, digits: Arrays, tmp_path: Path) -> None:
    write_folder(tmp_path / "other", digits[0][:20], digits[1][:20])
    (tmp_path / "other" / "3").rename(tmp_path / "other" / "three")
    with pytest.raises(nw.DataError, match="classes that the network does not know: three; it knows 0, 1"):
        trained.evaluate(data=tmp_path / "other")
