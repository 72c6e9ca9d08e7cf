"""The bundle as one file: the same answers, the same bytes, and nothing but a bundle is taken for one."""

import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import netwright as nw
from netwright.cli.main import run as netwright
from netwright.deployment.archive import archive_bytes, read_member
from netwright.deployment.bundle import load_bundle, load_golden
from netwright.errors import WeightsError


@pytest.fixture(scope="module")
def members(trained: nw.Run) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (trained.path / "bundle").iterdir()}


@pytest.fixture
def digit(digits: np.ndarray, tmp_path: Path) -> str:
    Image.fromarray(digits[0]).save(tmp_path / "digit.png")
    return str(tmp_path / "digit.png")


def test_one_file_answers_as_the_folder(trained: nw.Run, members: dict[str, bytes], digit: str, tmp_path: Path) -> None:
    (tmp_path / "model.zip").write_bytes(archive_bytes(members))
    assert nw.predict(tmp_path / "model.zip", [digit]) == nw.predict(trained.path / "bundle", [digit])
    golden, in_folder = load_golden(tmp_path / "model.zip"), load_golden(trained.path / "bundle")
    assert golden is not None
    assert in_folder is not None
    assert golden.to_bytes() == in_folder.to_bytes()


def test_zipped_by_another_tool_it_is_read_too(trained: nw.Run, members: dict[str, bytes], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(members, reverse=True):
            archive.writestr(name, members[name])
    assert load_bundle(tmp_path / "model.zip")[0] == load_bundle(trained.path / "bundle")[0]


def test_the_folder_zipped_as_a_whole_is_read_too(trained: nw.Run, digit: str, tmp_path: Path) -> None:
    """As a file manager does it: all members in one folder, and a Mac's notes beside them."""
    made = shutil.make_archive(str(tmp_path / "model"), "zip", root_dir=trained.path, base_dir="bundle")
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr("__MACOSX/bundle/._card.md", b"notes")
        archive.writestr("bundle/.DS_Store", b"notes")
    assert nw.predict(made, [digit]) == nw.predict(trained.path / "bundle", [digit])


def test_the_bytes_depend_on_nothing_else(members: dict[str, bytes]) -> None:
    backwards = dict(reversed(members.items()))
    assert archive_bytes(backwards) == archive_bytes(members)
    with zipfile.ZipFile(io.BytesIO(archive_bytes(members))) as archive:
        assert archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {name: archive.read(name) for name in archive.namelist()} == members


def zipped(write: Callable[[zipfile.ZipFile], object]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        write(archive)
    return made.getvalue()


def twice(archive: zipfile.ZipFile) -> None:
    archive.writestr("bundle.json", "{}")
    with pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("bundle.json", "{}")


HOSTILE = {
    "a path out of the folder": (lambda archive: archive.writestr("../bundle.json", "{}"), r"'\.\./bundle\.json'"),
    "an absolute path": (lambda archive: archive.writestr("/etc/bundle.json", "{}"), "/etc/bundle.json"),
    "two folders": (lambda archive: [archive.writestr(f"{n}/card.md", "") for n in "ab"], "'a/card.md'"),
    "a folder in a folder": (lambda archive: archive.writestr("a/b/card.md", ""), "'a/b/card.md'"),
    "code": (lambda archive: archive.writestr("model.pkl", "c"), "model.pkl"),
    "a name twice": (twice, "twice"),
    "a bomb": (lambda archive: archive.writestr("bundle.json", b" " * 2**26), "is the most that it can have"),
    "many members": (lambda archive: [archive.writestr(f"{n}", "") for n in range(50)], "50 members"),
    "no description": (lambda archive: archive.writestr("card.md", ""), "it has no 'bundle.json'"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_no_bundle_is_refused(
    case: str, digit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write, said = HOSTILE[case]
    path = tmp_path / "inner" / "model.zip"
    path.parent.mkdir()
    path.write_bytes(zipped(write))
    with pytest.raises(WeightsError, match=said):
        load_bundle(path)
    assert netwright(["predict", str(path), digit]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert [each.name for each in path.parent.iterdir()] == ["model.zip"]


def test_a_size_that_lies_is_noticed(members: dict[str, bytes], tmp_path: Path) -> None:
    """The directory says that a member is smaller than what its stream unpacks to."""
    content = zipped(lambda archive: archive.writestr("card.md", b"a" * 1000))
    (tmp_path / "model.zip").write_bytes(content.replace((1000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(WeightsError):
        read_member(tmp_path / "model.zip", "card.md")


def test_a_flipped_bit_is_noticed(members: dict[str, bytes], tmp_path: Path) -> None:
    content = bytearray(archive_bytes(members))
    content[content.index(members["model.safetensors"]) + len(members["model.safetensors"]) // 2] ^= 1
    (tmp_path / "model.zip").write_bytes(content)
    with pytest.raises(WeightsError, match="not a whole bundle"):
        load_bundle(tmp_path / "model.zip")


def test_any_cut_is_noticed(members: dict[str, bytes], digit: str, tmp_path: Path) -> None:
    content = archive_bytes(members)
    for end in range(0, len(content), len(content) // 9):
        (tmp_path / "model.zip").write_bytes(content[:end])
        assert netwright(["predict", str(tmp_path / "model.zip"), digit]) == 2
