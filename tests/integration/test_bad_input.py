"""Bad input through the command line: one clear message, the right exit code, nothing overwritten, no traceback."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from netwright.files.sealed import write_sealed

QUICK = ["--model", "linear", "--epochs", 1, "--threads", 1]
Shell = Callable[..., Any]


def write_images(root: Path, counts: dict[str, int]) -> Path:
    draws = np.random.default_rng(0)
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(draws.integers(0, 256, (8, 8), np.uint8)).save(root / folder / f"{number}.png")
    return root


def write_npz(path: Path, **arrays: Any) -> Path:
    draws = np.random.default_rng(0)
    plain = {"x_train": draws.integers(0, 256, (40, 8, 8), np.uint8), "y_train": np.arange(40) % 2}
    np.savez(path, **(plain | arrays))
    return path


def refused(shell: Shell, words: list[object], *named: str, code: int = 2, lines: int = 1) -> str:
    """Check that a command line is refused as it should be; return what it said."""
    said = shell(*words)
    assert said.code == code, said.err
    assert said.out == "" or words[0] in ("train", "resume"), said.out
    assert "Traceback" not in said.err
    assert "bug" not in said.err
    for name in named:
        assert name in said.err, said.err
    assert said.err.startswith("error: "), said.err
    assert len(said.err.splitlines()) <= lines, said.err
    return str(said.err)


# --- data -----------------------------------------------------------------------------------------------------------

FOLDERS: dict[str, tuple[dict[str, int], tuple[str, ...]]] = {
    "empty": ({}, ("empty folder", "one folder of images for each class")),
    "class with one image": ({"cat": 6, "dog": 1}, ("'dog' has 1 image",)),
    "one class": ({"cat": 6}, ("one class only", "'cat'")),
    "no images": ({"cat": 0, "dog": 0}, ("no images in class folders",)),
    "one class and an empty one": ({"cat": 6, "dog": 0}, ("one class only", "dog has no images")),
    "differing classes": (
        {"train/cat": 4, "train/dog": 4, "test/cat": 2, "test/dgo": 2},
        ("train/ and test/ differ", "dgo", "dog"),
    ),
    "only test": ({"test/cat": 2, "test/dog": 2}, ("no train/",)),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_folders(kind: str, shell: Shell, tmp_path: Path) -> None:
    counts, named = FOLDERS[kind]
    (tmp_path / "pictures").mkdir()
    write_images(tmp_path / "pictures", counts)
    refused(shell, ["train", "pictures", *QUICK], "pictures" if kind != "class with one image" else "dog", *named)
    assert [path.name for path in tmp_path.iterdir()] in (["pictures"], ["pictures", "runs"], ["runs", "pictures"])
    assert list(tmp_path.glob("runs/*")) == []


ARRAYS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "negative targets": ({"y_train": np.arange(40) % 2 - 1}, ("y_train", "-1", "0 or more")),
    "targets beyond the names": ({"y_train": np.arange(40) % 3, "classes": ["a", "b"]}, ("target 2", "2 class names")),
    "targets that are fractions": ({"y_train": np.linspace(0, 1, 40)}, ("y_train", "float64", "integers")),
    "one-hot targets": ({"y_train": np.eye(2, dtype=int)[np.arange(40) % 2]}, ("y_train", "argmax")),
    "fewer targets": ({"y_train": np.arange(39) % 2}, ("39 labels for 40 images",)),
    "one class": ({"y_train": np.zeros(40, int)}, ("one class only",)),
    "a class in test only": (
        {"x_test": np.zeros((2, 8, 8), np.uint8), "y_test": np.array([0, 2])},
        ("no training images: 2",),
    ),
    "flat rows": ({"x_train": np.zeros((40, 64), np.uint8)}, ("(40, 64)", "reshape(-1, 8, 8)")),
    "channels first": ({"x_train": np.zeros((40, 3, 8, 8), np.uint8)}, ("(40, 3, 8, 8)", "transpose(0, 2, 3, 1)")),
    "five dimensions": ({"x_train": np.zeros((40, 2, 8, 8, 3), np.uint8)}, ("(40, 2, 8, 8, 3)",)),
    "no images": ({"x_train": np.zeros((0, 8, 8), np.uint8), "y_train": np.zeros(0, int)}, ("is empty",)),
    "text": ({"x_train": np.full((40, 8, 8), "a")}, ("x_train", "<U1")),
    "complex": ({"x_train": np.zeros((40, 8, 8), complex)}, ("x_train", "complex128")),
    "floats without a range": ({"x_train": np.random.default_rng(0).random((40, 8, 8))}, ("data.value_range: [0, 1]",)),
    "NaN": ({"x_train": np.full((40, 8, 8), np.nan)}, ("2560 values that are NaN", "image 0")),
    "objects": ({"x_train": np.array([{}] * 40)}, ("Python objects",)),
    "other sizes in test": (
        {"x_test": np.zeros((2, 9, 9), np.uint8), "y_test": np.array([0, 1])},
        ("differ in shape", "(9, 9, 1)"),
    ),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays(kind: str, shell: Shell, tmp_path: Path) -> None:
    arrays, named = ARRAYS[kind]
    write_npz(tmp_path / "set.npz", **arrays)
    refused(shell, ["train", "set.npz", *QUICK], "set", *named)
    assert list(tmp_path.glob("runs/*")) == []


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 but cut"])
def test_damaged_archives(content: bytes, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "set.npz").write_bytes(content)
    refused(shell, ["train", "set.npz", *QUICK], "set.npz", "damaged or not an .npz")


def test_damaged_images_are_all_named(shell: Shell, tmp_path: Path) -> None:
    write_images(tmp_path / "pictures", {"cat": 8, "dog": 8})
    for name in ("cat/3.png", "dog/5.png"):
        (tmp_path / "pictures" / name).write_bytes(b"not an image")
    named = ("2 of 16 images", "cat/3.png", "dog/5.png", "data.on_bad_image: skip")
    refused(shell, ["train", "pictures", *QUICK], *named, lines=4)
    assert list(tmp_path.glob("runs/*")) == []
    assert shell("train", "pictures", *QUICK, "--on-bad-image", "skip").code == 0


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("nowhere/at/all", ("nowhere/at/all does not exist",)),
        ("digts", ('did you mean "digits"',)),
        ("letter.txt", ("letter.txt", "not labelled images")),
        ("set.zip", ("set.zip is an archive", "unzip set.zip")),
    ],
)
def test_missing_and_foreign_paths(source: str, named: tuple[str, ...], shell: Shell, tmp_path: Path) -> None:
    for name in ("letter.txt", "set.zip"):
        (tmp_path / name).write_text("dear")
    refused(shell, ["train", source, *QUICK], *named)
    assert not (tmp_path / "runs").exists()


# --- recipes --------------------------------------------------------------------------------------------------------

RECIPES: dict[bytes, tuple[str, ...]] = {
    b"training: {epochs: 3": ("recipe.yaml, line 1", "can't be read"),
    b"training:\n\tepochs: 3": ("recipe.yaml, line 2",),
    b"- training\n- data": ("holds a list", "expected sections"),
    b"just words": ("holds a str",),
    b"\xff\xfe\x00\x01": ("recipe.yaml can't be read: it is not UTF-8",),
    b"\x00": ("recipe.yaml",),
    b"trainin: {epochs: 3}": ("`trainin` is not a section", 'did you mean "training"'),
    b"training: {epohcs: 3}": ("`training.epohcs` is not a field", 'did you mean "epochs"'),
    b"training: 3": ("`training` is 3", "mapping"),
    b"model: {name: mpl}": ("'mpl'",),
    b"optimizer: {name: adma}": ("'adma'", 'did you mean "adam"'),
    b"optimizer: {lr: fast}": ("`optimizer.lr` is 'fast'",),
    b"augmentation: {name: cutout}": ("`augmentation` is", "list"),
    b"augmentation: [{name: cutuot}]": ("'cutuot'", 'did you mean "cutout"'),
    b"model: {name: mlp, hidden_sizes: [0]}": ("`model.hidden_sizes[0]` is 0",),
    b"split: {val: 0.7, test: 0.4}": ("`split.val` is 0.7 and `split.test` is 0.4",),
    b"criterion: {name: bce}": ("for two classes, and the data have 10",),
    b"!!python/object/apply:os.system [ls]": ("recipe.yaml",),
}


@pytest.mark.parametrize("content", RECIPES, ids=lambda content: content.decode("ascii", "replace"))
def test_recipes(content: bytes, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(content)
    refused(shell, ["train", "recipe.yaml", "--threads", 1], *RECIPES[content])
    assert list(tmp_path.glob("runs/*")) == []


def test_a_recipe_that_is_not_there(shell: Shell) -> None:
    refused(shell, ["train", "no-such.yaml"], "no-such.yaml", "No such file")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--epochs", 0], ("`training.epochs` is 0",)),
        (["--epochs", "ten"], ("`training.epochs` is 'ten'",)),
        (["--lr", -0.1], ("`optimizer.lr` is -0.1",)),
        (["--batch-size", 0], ("`training.batch_size` is 0",)),
        (["--model", "resnet19"], ("resnet19", 'did you mean "resnet1')),
        (["--classes", "1,11"], ("'11'", "digits does not have")),
        (["--classes", "1"], ("names 1 class", "two or more")),
        (["--monitor", "val_acuracy"], ("'val_acuracy'", 'did you mean "val_accuracy"')),
        (["--device", "gpu"], ("`runtime.device` is 'gpu'",)),
        (["--set", "training.patiense=3"], ('did you mean "patience"',)),
        (["--set", "model.chanels=[3]"], ("`model.chanels`", 'did you mean "channels"')),
        (["--set", "model.kernel_size=99", "--set", "model.padding=0"], ("kernel",)),
        (["--set", "criterion.class_weights=[1, 2]"], ("`criterion.class_weights` has 2 numbers and the data 10",)),
        (["--set", "transform.normalize=[[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]"], ("normalize",)),
    ],
)
def test_values(words: list[object], named: tuple[str, ...], shell: Shell, tmp_path: Path) -> None:
    refused(shell, ["train", "digits", *words, "--threads", 1], *named)
    assert list(tmp_path.glob("runs/*")) == []


def test_a_device_that_is_not_there_is_the_environments_fault(shell: Shell, tmp_path: Path) -> None:
    refused(shell, ["train", "digits", "--device", "cuda:99", *QUICK], "'cuda:99'", code=4)
    assert list(tmp_path.glob("runs/*")) == []


# --- folders of runs --------------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, to be copied."""
    import netwright as nw

    out = tmp_path_factory.mktemp("finished") / "run"
    return nw.train(nw.Recipe(), model="linear", epochs=1, threads=1, out=out, quiet=True).path


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_a_run_that_exists_is_not_overwritten(run: Path, shell: Shell) -> None:
    before = contents(run)
    refused(shell, ["train", "digits", *QUICK, "--out", "run"], "run exists already", "--out")
    assert contents(run) == before


def test_a_file_in_the_way(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    refused(shell, ["train", "digits", *QUICK, "--out", "letter"], "letter exists already")
    refused(shell, ["train", "digits", *QUICK, "--out", "letter/run"], "letter/run", "under a file")
    assert (tmp_path / "letter").read_text() == "dear"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    refused(shell, ["train", "digits", *QUICK, "--out", "locked/run"], "locked/run", "--out", code=4)


@pytest.mark.parametrize("error", [errno.EROFS, errno.EACCES])
def test_a_read_only_disk(error: int, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "mkdir", _refusing(error))
    refused(shell, ["train", "digits", *QUICK, "--out", "run"], "run", "--out", code=4)


def _refusing(error: int) -> Callable[..., Any]:
    def refuse(*arguments: Any, **named: Any) -> None:
        raise OSError(error, os.strerror(error), str(arguments[0]))

    return refuse


@pytest.mark.parametrize("after", [0, 1, 3, 5, 6, 8, 10])
def test_a_full_disk(after: int, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any of the files of a run on; what was there before is whole, and there is room again the run goes on."""
    plain, count = tempfile.mkstemp, 0

    def mkstemp(*arguments: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return plain(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "mkstemp", mkstemp)
        said = shell("train", "digits", *QUICK, "--out", "run", "--quiet")
    assert said.code == 4, said.err
    assert "the disk is full" in said.err
    assert "Traceback" not in said.err
    assert not list((tmp_path / "run").rglob("*.part"))
    if (tmp_path / "run" / "recipe.yaml").exists():
        assert shell("resume", "run", "--quiet").code == 0


def test_an_unfinished_run(run: Path, shell: Shell, tmp_path: Path) -> None:
    """Interrupted before its end: there is no bundle yet, and what to do is to resume it."""
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "digit.png")
    shutil.rmtree(run / "bundle")
    (run / "metrics.json").unlink()
    write_sealed(run / "state.json", {"state": "interrupted", "reason": ""})
    refused(shell, ["evaluate", "run"], "run", "not finished", "netwright resume run")
    refused(shell, ["predict", "run", "digit.png"], "run", "not finished", "netwright resume run")


def test_a_finished_run_is_not_resumed(run: Path, shell: Shell) -> None:
    before = contents(run / "bundle")
    said = shell("resume", "run", "--quiet")
    assert said.code == 0, said.err
    assert contents(run / "bundle") == before
    refused(shell, ["resume", "run", "--epochs", 1], "--epochs 1", "1 are done", "more than 1")


@pytest.mark.parametrize("words", [["evaluate"], ["resume"], ["runs", "show"], ["predict", "digit.png"]])
def test_an_unknown_run(words: list[str], run: Path, shell: Shell, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "digit.png")
    shutil.copytree(run, tmp_path / "runs" / "digits-1")
    line = [words[0], "digts-1", *words[1:]] if words[0] != "runs" else [*words, "digts-1"]
    refused(shell, line, "there is no run 'digts-1'", 'did you mean "digits-1"')


def test_nothing_to_predict(run: Path, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(shell, ["predict", "run", "empty"], "no image in empty")
    refused(shell, ["predict", "run", "nowhere.png"], "nowhere.png does not exist")


def test_a_damaged_run(run: Path, shell: Shell) -> None:
    (run / "recipe.yaml").write_text("model: {name: [}")
    refused(shell, ["evaluate", "run"], "run/recipe.yaml", "can't be read")
    assert shell("runs", "--folder", ".").code == 0


def test_data_that_have_gone(shell: Shell, tmp_path: Path) -> None:
    write_npz(tmp_path / "set.npz")
    assert shell("train", "set.npz", *QUICK, "--out", "run").code == 0
    (tmp_path / "set.npz").unlink()
    refused(shell, ["evaluate", "run"], "set.npz does not exist")
    refused(shell, ["resume", "run", "--epochs", 2], "set.npz does not exist")


def test_data_that_have_changed_are_not_trained_on(shell: Shell, tmp_path: Path) -> None:
    write_npz(tmp_path / "set.npz")
    assert shell("train", "set.npz", *QUICK, "--out", "run").code == 0
    before = contents(tmp_path / "run" / "bundle") | {Path("recipe"): (tmp_path / "run" / "recipe.yaml").read_bytes()}
    write_npz(tmp_path / "set.npz", x_train=np.zeros((40, 8, 8), np.uint8))
    refused(shell, ["resume", "run", "--epochs", 2], "other data than set")
    after = contents(tmp_path / "run" / "bundle") | {Path("recipe"): (tmp_path / "run" / "recipe.yaml").read_bytes()}
    assert after == before


def test_a_loss_that_is_not_finite_is_said(shell: Shell, tmp_path: Path) -> None:
    """The work itself failed; the run stays, to be looked into."""
    words = ["train", "digits", "--model", "mlp", "--optimizer", "sgd", "--lr", 1e30, "--epochs", 2, "--threads", 1]
    refused(shell, [*words, "--out", "run"], "the loss is", "lower the lr", code=6)
    assert '"failed"' in (tmp_path / "run" / "state.json").read_text()
