"""Files made to do harm: nothing in them runs, nothing leaves its folder, nothing fills the memory, nothing of them
reaches a terminal or a page as more than text."""

import json
import os
import pickle
import re
import resource
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import netwright as nw

Shell = Callable[..., Any]
QUICK = ["--model", "linear", "--epochs", 1, "--threads", 1]
RAW_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # newlines and tabs of our own tables are no harm
NASTY = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "../../../etc/passwd",
    "\x1b[2J\x1b[31mred\x1b]0;title\x07",
    "two\nlines\rover",
    "a/b\\c|d `e` {{ 7*7 }}",
    "\u202egpj.exe",
)


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._path),)


@pytest.fixture(autouse=True)
def bounded_memory() -> Iterator[None]:
    """Let nothing take 4 GB more than there is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 4 * 10**9, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, to be copied."""
    out = tmp_path_factory.mktemp("finished") / "run"
    return nw.train("digits", model="linear", epochs=2, threads=1, out=out, quiet=True).path


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "digit.png")
    return Path(shutil.copytree(finished, tmp_path / "run"))


def refused(said: Any, *named: str, code: int = 2) -> None:
    assert said.code == code, said.err + said.out
    assert "Traceback" not in said.err and "bug" not in said.err
    for name in named:
        assert name in said.err, said.err


# --- pickles ----------------------------------------------------------------------------------------------------------


def bombs(tmp_path: Path) -> dict[str, bytes]:
    """A pickle bomb as it is, and as torch saves it, in a zip archive and in the old format."""
    made = {"plain": pickle.dumps(Bomb(tmp_path / "exploded"))}
    for name, zipped in (("torch", True), ("old torch", False)):
        path = tmp_path / "bomb"
        torch.save({"weight": Bomb(tmp_path / "exploded")}, path, _use_new_zipfile_serialization=zipped)
        made[name] = path.read_bytes()
        path.unlink()
    return made


KINDS = ("plain", "torch", "old torch")


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_called_checkpoint(kind: str, run: Path, shell: Shell, tmp_path: Path) -> None:
    for name in ("current", "previous"):
        for file in ("tensors.safetensors", "state.json", "manifest.json"):
            if (run / "checkpoints" / name).exists():
                (run / "checkpoints" / name / file).write_bytes(bombs(tmp_path)[kind])
    refused(shell("resume", "run", "--epochs", 3, "--quiet"), "checkpoint")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("file", ["model.safetensors", "bundle.json"])
def test_a_pickle_called_bundle(kind: str, file: str, run: Path, shell: Shell, tmp_path: Path) -> None:
    (run / "bundle" / file).write_bytes(bombs(tmp_path)[kind])
    refused(shell("predict", "run", "digit.png"), "bundle")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("file", ["weights.pth", "weights.safetensors"])
def test_a_pickle_called_weights(kind: str, file: str, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / file).write_bytes(bombs(tmp_path)[kind])
    refused(shell("train", "digits", *QUICK, "--model", "cnn", "--set", f"model.weights={tmp_path / file}"), file)
    assert not (tmp_path / "exploded").exists()


def test_the_bomb_is_one(tmp_path: Path) -> None:
    for kind, content in bombs(tmp_path).items():
        (tmp_path / "bomb").write_bytes(content)
        if kind == "plain":
            pickle.loads(content)
        else:
            torch.load(tmp_path / "bomb", weights_only=False)
        (tmp_path / "exploded").rmdir()


def test_a_pickle_in_an_npz(shell: Shell, tmp_path: Path) -> None:
    bomb = np.array([Bomb(tmp_path / "exploded")] * 4, dtype=object)
    np.savez(tmp_path / "set.npz", x_train=bomb, y_train=np.arange(4) % 2)
    refused(shell("train", "set.npz", *QUICK), "set.npz", "Python objects")
    assert not (tmp_path / "exploded").exists()


# --- archives ---------------------------------------------------------------------------------------------------------


def test_an_archive_that_wants_out_of_its_folder(run: Path, shell: Shell, tmp_path: Path) -> None:
    """As data, as data in .npz clothes, as a bundle: no name in it leads anywhere."""
    (tmp_path / "inner").mkdir()
    for name in ("evil.zip", "evil.npz"):
        with zipfile.ZipFile(tmp_path / "inner" / name, "w") as archive:
            for member in ("../escaped.png", "/tmp/escaped.png", "x_train.npy", "bundle.json", "../bundle.json"):
                archive.writestr(member, b"escaped")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    for name in ("evil.zip", "evil.npz"):
        refused(shell("train", f"inner/{name}", *QUICK), name)
    refused(shell("predict", "inner/evil.zip", "digit.png"), "evil.zip")
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not Path("/tmp/escaped.png").exists()


# --- images -----------------------------------------------------------------------------------------------------------


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG whose header says so, whatever is in it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(b"\0" * 9)), (b"IEND", b"")]
    body = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


IMAGES = {
    "a header of 50,000 × 50,000": lambda: png(50_000, 50_000),
    "a header of 2^31 × 1": lambda: png(2**31 - 1, 1),
    "a compressed text of 60 MB": lambda: png(8, 8, (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(60 * 10**6), 9))),
    "a compressed profile of 60 MB": lambda: png(8, 8, (b"iCCP", b"profile\0\0" + zlib.compress(bytes(60 * 10**6), 9))),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_images_that_want_all_memory(kind: str, run: Path, shell: Shell, tmp_path: Path) -> None:
    """Refused by name, or read as the 8 × 8 pixels that they are."""
    content = IMAGES[kind]()
    for name in ("cat/0.png", "cat/1.png", "cat/2.png", "dog/0.png", "dog/1.png", "dog/bomb.png"):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name == "bomb.png":
            path.write_bytes(content)
        else:
            Image.fromarray(np.full((8, 8), len(name) * 9 + int(path.stem), np.uint8)).save(path)
    said = shell("train", "pictures", *QUICK)
    refused(said, "bomb.png")
    answer = json.loads(shell("predict", "run", tmp_path / "pictures" / "dog" / "bomb.png", "--json").out)
    assert "error" in answer["predictions"][0]


# --- recipes ----------------------------------------------------------------------------------------------------------

LAUGHS = b"a: &a [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n" + b"".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n".encode() for n in range(12)
)
YAMLS = {
    "an object": b"data: !!python/object/apply:os.mkdir [exploded]",
    "a new object": b"!!python/object/new:os.mkdir [exploded]",
    "a name": b"data: {source: !!python/name:os.system }",
    "a module": b"data: {source: !!python/module:antigravity }",
    "laughs": LAUGHS,
    "laughs in a field": LAUGHS.replace(b"\nm: ", b"\ndata: "),
    "laughs in a value": LAUGHS.replace(b"\nm: &m", b"\ntraining: {epochs: &m").rstrip(b"\n") + b"}\n",
    "nested": b"data: " + b"[" * 50_000,
    "nested and closed": b"data: " + b"[" * 2_000 + b"]" * 2_000,
    "a huge number": b"training: {epochs: " + b"9" * 100_000 + b"}",
    "itself": b"data: &a {source: *a}",
    "a word for a section": b"data: digits",
    "a number for a network": b"model: 5",
    "a list for a section": b"training: [1, 2]",
    "a list for a section of rows": b"data: {source: rows.csv, target: y}\ntraining: [1, 2]",
}


@pytest.mark.parametrize("kind", YAMLS)
def test_recipes(kind: str, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(YAMLS[kind])
    said = shell("train", "recipe.yaml", *QUICK)
    refused(said)
    assert len(said.err) < 2000
    assert not (tmp_path / "exploded").exists()


# --- names ------------------------------------------------------------------------------------------------------------


def everything_said(shell: Shell) -> str:
    """Run every verb that shows names; return all that was printed."""
    lines = (
        ["train", "set.npz", *QUICK, "--out", "run"],
        ["data", "set.npz", "--grid", "grid.png"],
        ["evaluate", "run"],
        ["predict", "run", "image.png"],
        ["predict", "run", "image.png", "--plot", "plot.png"],
        ["predict", "run", "image.png", "--format", "csv"],
        ["runs", "show", "run"],
        ["report", "run"],
    )
    parts = []
    for line in lines:
        said = shell(*line)
        assert said.code == 0, f"{line}: {said.err}"
        parts += [said.out, said.err]
    return "".join(parts)


def test_class_names_are_text_and_nothing_else(shell: Shell, tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    targets = np.arange(20 * len(NASTY)) % len(NASTY)
    pixels = draws.integers(0, 256, (len(targets), 8, 8), np.uint8)
    np.savez(tmp_path / "set.npz", x_train=pixels, y_train=targets, classes=np.array(NASTY))
    Image.fromarray(pixels[0]).save(tmp_path / "image.png")
    said = everything_said(shell)
    assert not RAW_CONTROL.search(said.replace("\r\n", "\n")), repr(RAW_CONTROL.search(said))
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and "<img src=x" not in page and "&lt;script&gt;" in page
    assert nw.load(tmp_path / "run").network() is not None
    bundle = json.loads((tmp_path / "run" / "bundle" / "bundle.json").read_text(encoding="utf-8"))
    assert tuple(bundle["class_names"]) == NASTY
    assert {path.name for path in tmp_path.iterdir()} <= {"set.npz", "image.png", "run", "grid.png", "plot.png"}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_of_folders_and_files_are_text_and_nothing_else(shell: Shell, tmp_path: Path) -> None:
    """Twins and damaged images are listed by name, on the terminal and in the log."""
    names = [name.replace("/", "∕") for name in NASTY]
    draws = np.random.default_rng(0)
    for name in names:
        for number in range(4):
            (tmp_path / "pictures" / name).mkdir(parents=True, exist_ok=True)
            pixels = Image.fromarray(draws.integers(0, 256, (8, 8), np.uint8))
            pixels.save(tmp_path / "pictures" / name / f"{name[:20]}{number}.png")
    (tmp_path / "pictures" / names[3] / f"{names[3]}.png").write_bytes(b"no image")
    (tmp_path / "pictures" / names[4] / "\x1b[1m.png").write_bytes(b"no image")
    said = shell("train", "pictures", *QUICK, "--out", "run")
    refused(said, "no image" if "no image" in said.err else "not an image")
    parts = said.out + said.err
    said = shell("train", "pictures", *QUICK, "--out", "run", "--on-bad-image", "skip")
    assert said.code == 0, said.err
    parts += said.out + said.err
    for line in (
        ["evaluate", "run"],
        ["predict", "run", "pictures"],
        ["runs"],
        ["data", "pictures"],
        ["report", "run"],
    ):
        said = shell(*line)
        parts += said.out + said.err
    assert not RAW_CONTROL.search(parts), repr(RAW_CONTROL.search(parts))
    log = (tmp_path / "run" / "log.txt").read_text(encoding="utf-8", errors="surrogateescape")
    assert not RAW_CONTROL.search(log), repr(RAW_CONTROL.search(log))


# --- files of a run ---------------------------------------------------------------------------------------------------

JSONS = {
    "nested lists": "[" * 100_000 + "]" * 100_000,
    "nested mappings": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "a number of 100,000 digits": '{"epoch": ' + "9" * 100_000 + "}",
    "infinity": '{"epoch": 1e999, "sha256": NaN}',
    "a list": "[1, 2, 3]",
    "a number": "7",
    "null": "null",
    "not UTF-8": b"\xff\xfe{}",
}
FILES = (
    *("state.json", "data.json", "split.json", "metrics.json", "environment.json", "history.jsonl"),
    *("bundle/bundle.json", "checkpoints/current/state.json", "checkpoints/current/manifest.json"),
)


@pytest.mark.parametrize("kind", JSONS)
def test_json_that_is_no_record(kind: str, finished: Path, shell: Shell, tmp_path: Path) -> None:
    """Every JSON file of a run, one after the other: each verb names it or does without it."""
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "digit.png")
    text = JSONS[kind]
    content = text if isinstance(text, bytes) else text.encode()
    for file in FILES:
        run = Path(shutil.copytree(finished, tmp_path / "run"))
        (run / file).write_bytes(content)
        lines = [["runs", "show", "run"], ["predict", "run", "digit.png"]]
        if kind == "nested mappings":
            lines.append(["resume", "run", "--quiet"])
        for line in lines:
            said = shell(*line)
            assert said.code in (0, 2), f"{file}, {line}: {said.err[-500:]}"
            assert "Traceback" not in said.err
            assert said.code == 0 or Path(file).name in said.err, f"{file}, {line}: {said.err[-500:]}"
        shutil.rmtree(run)
