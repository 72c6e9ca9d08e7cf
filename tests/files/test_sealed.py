"""Seals: any flipped bit and any cut of a sealed file is noticed, wherever it is; others can check them by hand."""

import hashlib
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.config.recipe import Recipe
from netwright.errors import InputError
from netwright.files.sealed import read_line, read_sealed, sealed_line, write_sealed
from netwright.runs.folder import RunFolder
from netwright.runs.outputs import StoredOutputs, load_outputs, save_outputs

VALUE: dict[str, Any] = {"class_names": ["seal", "sea lion", 'seal": "' + 64 * "a"], "loss": 0.1 + 0.2, "number": 3}


def test_what_was_sealed_is_read_and_can_be_checked_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_sealed(path, VALUE)
    assert read_sealed(path) == VALUE
    text = path.read_bytes()
    found = json.loads(text)["seal"]
    zeros = re.sub(found.encode(), b"0" * 64, text)
    assert hashlib.sha256(zeros).hexdigest() == found


def json_file(path: Path) -> Callable[[], Any]:
    write_sealed(path, VALUE)
    return lambda: read_sealed(path)


def recipe_file(path: Path) -> Callable[[], Any]:
    folder = RunFolder(path.parent)
    folder.write_recipe(Recipe())
    folder.recipe.rename(path)
    folder.recipe.symlink_to(path)
    return folder.read_recipe


def outputs_file(path: Path) -> Callable[[], Any]:
    scores = np.log(np.full((5, 2), 0.5, np.float32))
    numbers = [np.arange(5, dtype=np.int64)] * 4
    save_outputs(path, StoredOutputs(scores, *numbers, about={"split": "val", "class_names": ["seal", "cat"]}))
    return lambda: load_outputs(path)


@pytest.mark.parametrize("kind", [json_file, recipe_file, outputs_file], ids=lambda kind: kind.__name__)
def test_every_flipped_bit_and_every_cut_is_noticed(kind: Callable[[Path], Callable[[], Any]], tmp_path: Path) -> None:
    read = kind(tmp_path / "file")
    read()
    whole = (tmp_path / "file").read_bytes()
    draws = random.Random(0)
    places = {*range(40), *range(len(whole) - 110, len(whole)), *draws.sample(range(len(whole)), 60)}
    for place in sorted(places):
        for bit in range(8):
            (tmp_path / "file").write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            with pytest.raises(InputError, match=r"file|recipe"):
                read()
    for length in sorted(places):
        (tmp_path / "file").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"file|recipe"):
            read()


def test_every_flipped_bit_of_a_line_is_noticed() -> None:
    line = sealed_line(VALUE)
    assert read_line(line) == VALUE
    content = line.encode()
    for place in range(len(content)):
        for bit in range(8):
            flipped = content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]
            with pytest.raises(ValueError, match="seal"):
                read_line(flipped.decode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'"seal"', b"{", b"\xff\xfe", b'{"seal": "0"}'])
def test_what_has_no_seal_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "value.json").write_bytes(content)
    with pytest.raises(InputError, match=r"value\.json is damaged"):
        read_sealed(tmp_path / "value.json")


def test_nan_is_not_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_sealed(tmp_path / "a.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []
