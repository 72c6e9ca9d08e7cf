"""The outputs that a run keeps: read back as written, small, damaged ones named."""

from pathlib import Path

import numpy as np
import pytest

from netwright.errors import InputError
from netwright.runs.outputs import StoredOutputs, load_outputs, save_outputs


def made(num_samples: int = 20) -> StoredOutputs:
    random = np.random.default_rng(0)
    scores = np.log(random.dirichlet(np.ones(4), num_samples)).astype(np.float32)
    scores[0, 0] = -np.inf
    numbers = [random.integers(-(2**62), 2**62, num_samples) for _ in range(4)]
    return StoredOutputs(scores, *numbers, about={"split": "val", "epoch": 3, "class_names": ["a", "ü"]})


@pytest.mark.parametrize("limit", [2**30, 10])
def test_what_is_written_is_read(limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwright.runs.outputs.MOST_BYTES", limit)
    written = made()
    save_outputs(tmp_path / "outputs" / "val.safetensors", written)
    read = load_outputs(tmp_path / "outputs" / "val.safetensors")
    assert read.about == written.about
    for name in ("predictions", "targets", "rows", "samples"):
        assert np.array_equal(getattr(read, name), getattr(written, name))
    half = limit == 10
    assert read.answers.dtype == (np.float16 if half else np.float32)
    assert np.allclose(read.answers[1:], written.answers[1:], rtol=1e-3 if half else 0)


def test_equal_outputs_are_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        save_outputs(tmp_path / name / "val.safetensors", made())
    assert len({(tmp_path / name / "val.safetensors").read_bytes() for name in "ab"}) == 1


@pytest.mark.parametrize("content", [b"", b"12345678", b"\x10\0\0\0\0\0\0\0[]", b"\x02\0\0\0\0\0\0\0{}"])
def test_damage_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "val.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"val\.safetensors can't be read"):
        load_outputs(tmp_path / "val.safetensors")
