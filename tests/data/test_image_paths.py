"""Which images a prediction is of: files, folders, patterns, lines of standard input."""

import io
import os
from pathlib import Path

import pytest

from netwright.data.image_paths import image_paths
from netwright.errors import DataError, InputError


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a.PNG", "notes.txt", ".hidden.png", "sub/c.webp", "sub/deep/d.gif", "__MACOSX/e.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def found(root: Path, *given: str, standard_input: bytes | None = None) -> list[str]:
    stream = None if standard_input is None else io.BytesIO(standard_input)
    return [os.path.relpath(path, root) for path in image_paths(given, stream)]


def test_folders_files_and_patterns(shots: Path) -> None:
    everything = ["a.PNG", "b.jpg", "sub/c.webp", "sub/deep/d.gif"]
    assert found(shots, str(shots)) == everything
    assert found(shots, str(shots / "notes.txt"), str(shots / "sub")) == ["notes.txt", "sub/c.webp", "sub/deep/d.gif"]
    assert found(shots, str(shots / "*.jpg")) == ["b.jpg"]
    assert found(shots, str(shots / "**/*")) == sorted(everything)
    (shots / "loop").symlink_to(shots)
    assert found(shots, str(shots)) == everything


def test_a_file_whose_name_is_a_pattern_is_that_file(shots: Path) -> None:
    (shots / "[b].jpg").write_bytes(b"x")
    assert found(shots, str(shots / "[b].jpg")) == ["[b].jpg"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"])
@pytest.mark.parametrize("last", [True, False])
def test_standard_input(end: bytes, last: bool, shots: Path) -> None:
    lines = end.join(os.fsencode(shots / name) for name in ("b.jpg", "sub")) + end * last
    assert found(shots, "-", standard_input=lines) == ["b.jpg", "sub/c.webp", "sub/deep/d.gif"]


def test_a_name_with_a_newline_or_foreign_bytes_comes_through_zero_bytes(shots: Path) -> None:
    names = [b"new\nline.png", b"caf\xe9.png"]
    for name in names:
        (shots / os.fsdecode(name)).write_bytes(b"x")
    lines = b"".join(os.fsencode(shots) + b"/" + name + b"\0" for name in names)
    assert found(shots, "-", standard_input=lines) == [os.fsdecode(name) for name in names]


def test_what_leads_nowhere_is_refused(shots: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        list(image_paths([str(shots / "gone.png")]))
    with pytest.raises(DataError, match="no image matches"):
        list(image_paths([str(shots / "*.tiff")]))
    with pytest.raises(InputError, match="once"):
        list(image_paths(["-", "-"], io.BytesIO(b"")))
