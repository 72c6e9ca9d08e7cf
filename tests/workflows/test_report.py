"""The report of a real run by `netwright report`, which opens its data again."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import netwright as nw
from netwright.cli.main import run as run_command
from netwright.errors import InputError
from netwright.files.sealed import read_sealed, write_sealed


def pictures_of(path: Path) -> list[Image.Image]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', path.read_text(encoding="utf-8"))
    return [Image.open(io.BytesIO(base64.b64decode(each))) for each in found]


def test_a_report_has_the_pictures_of_the_mistakes(trained: nw.Run, tmp_path: Path) -> None:
    out = trained.report(tmp_path / "report.html")
    assert out == tmp_path / "report.html"
    pictures = pictures_of(out)
    assert pictures
    assert {picture.size for picture in pictures} == {(8, 8)}
    from sklearn.datasets import load_digits

    known = np.rint(load_digits().images * 255 / 16).astype(np.uint8)
    text = out.read_text(encoding="utf-8")
    shown = re.findall(r'base64,([^"]+)" width="8" height="8" alt="The image row (\d+)"', text)
    assert shown
    for content, row in shown:
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))), known[int(row)])


def test_without_the_data_the_records_make_it(copied: nw.Run) -> None:
    data = copied.folder.data
    write_sealed(data, read_sealed(data) | {"fingerprint": "0" * 64})
    text = copied.report().read_text(encoding="utf-8")
    assert "Without pictures: the data of" in text
    assert "<img" not in text


def test_the_command_writes_it(copied: nw.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "there" / "a report.html"
    assert run_command(["report", str(copied.path), "--out", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    assert out.read_bytes().startswith(b"<!DOCTYPE html>")


def test_a_folder_is_refused(copied: nw.Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a folder; --out expects a file"):
        copied.report(out=tmp_path)


def test_a_test_result_is_in_it_and_making_it_is_no_look(copied: nw.Run) -> None:
    copied.evaluate("test")
    before = (copied.path / "ledger.jsonl").read_bytes()
    text = copied.report().read_text(encoding="utf-8")
    assert f"{100 * copied.metrics['test']['accuracy']:.1f}\u00a0%" in text
    assert "All numbers on test" in text
    assert (copied.path / "ledger.jsonl").read_bytes() == before
