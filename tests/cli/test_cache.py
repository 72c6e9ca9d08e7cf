"""`netwright cache` as its user: list, limit, clear, and what another process has open."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from netwright.cli.main import run
from netwright.cli.text import size
from netwright.files.block_limit import block_folder
from netwright.files.blocks import open_block

HOLDER = """
import sys
from netwright.files.blocks import find_block
block = find_block({"kind": "pixels", "n": 0})
print("has it", flush=True)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, own_cache: None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        yield


def keep(number: int, title: str) -> None:
    open_block({"kind": "pixels", "n": number}, title=title, size=2000, dtype="uint8", fill=lambda values: {"bad": []})


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    capsys.readouterr()
    assert run(["cache", *arguments, "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_entries_are_listed_and_cleared_by_name_or_title(capsys: pytest.CaptureFixture[str]) -> None:
    keep(0, "cats: 9 images")
    keep(1, "dogs: 9 images")
    keep(2, "dogs: 9 images, small")
    (block_folder() / "old.part").write_bytes(b"left by a killed run")
    assert run(["cache"]) == 0
    text = capsys.readouterr().out
    assert text.count("pixels-") == 3
    assert "cats: 9 images" in text
    found = answer(capsys)
    assert found["bytes"] == sum(path.stat().st_size for path in block_folder().iterdir())
    assert answer(capsys, "--clear", "dogs")["kept"] == []
    (left,) = answer(capsys)["entries"]  # type: ignore[misc]
    assert (left["title"], left["in_use"], left["key"]["n"]) == ("cats: 9 images", False, 0)
    assert len(answer(capsys, "--clear", left["entry"])["removed"]) == 1  # type: ignore[arg-type]
    assert list(block_folder().iterdir()) == []


def test_what_a_process_has_open_stays(capsys: pytest.CaptureFixture[str]) -> None:
    keep(0, "cats")
    keep(1, "dogs")
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "has it\n"
        cleared = answer(capsys, "--clear")
        assert len(cleared["removed"]) == len(cleared["kept"]) == 1  # type: ignore[arg-type]
        assert [entry["title"] for entry in cleared["entries"]] == ["cats"]  # type: ignore[attr-defined]
        assert run(["cache"]) == 0
        assert "in use" in capsys.readouterr().out
        process.communicate("\n")
    assert len(answer(capsys, "--clear")["removed"]) == 1  # type: ignore[arg-type]


def test_the_limit_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    for text, num_bytes in (("50GB", 50e9), ("1.5 MiB", 1.5 * 2**20), ("700", 700), ("3k", 3000)):
        assert answer(capsys, "--limit", text)["limit_bytes"] == num_bytes
        assert answer(capsys)["limit_bytes"] == num_bytes
    keep(0, "cats")
    keep(1, "dogs")
    assert [entry["title"] for entry in answer(capsys)["entries"]] == ["dogs"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--limit", "much"], "'much' is no size; expected a number with"),
        (["--clear", "nothing"], "no entry 'nothing'; it has: none"),
        (["cats"], "netwright cache --clear cats"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_damaged_entry_is_listed_and_can_be_cleared(capsys: pytest.CaptureFixture[str]) -> None:
    keep(0, "cats")
    (path,) = block_folder().iterdir()
    path.write_bytes(path.read_bytes()[:-9])
    assert run(["cache"]) == 0
    assert "damaged" in capsys.readouterr().out
    assert len(answer(capsys, "--clear", "pixels")["removed"]) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (79_477_916, "79 MB"), (999_600, "1.0 MB"), (21.47e9, "21 GB")],
)
def test_sizes_in_words(num_bytes: float, text: str) -> None:
    assert size(num_bytes) == text
