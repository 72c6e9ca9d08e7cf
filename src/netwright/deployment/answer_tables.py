"""Answers as a file: CSV, JSON lines or Parquet, written row by row."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from netwright.errors import InputError, MachineError
from netwright.files.atomic import atomic_file, explained

SUFFIXES = (".csv", ".jsonl", ".parquet")
_ROW_GROUP = 10_000
_OF_A_CLASS = ("source", "label", "probability", "error")
_OF_A_MASK = ("source", "mask", "overlay", "error")
Answers = Iterable[dict[str, Any]]


@dataclass(frozen=True)
class Columns:
    """The columns of a table of answers: their names, which of them hold words (the rest hold numbers), and an answer's
    cells, None where it has nothing to say."""

    names: tuple[str, ...]
    words: tuple[bool, ...]
    cells: Callable[[dict[str, Any]], list[Any]]


def class_columns(class_names: Sequence[str], top: int | None) -> Columns:
    """Return source, label, probability and error, then a column a class, or label_2, probability_2, … to `top`."""
    if top is None:
        more = _beside(_OF_A_CLASS, class_names)
        of_more = [False] * len(more)
    else:
        places = range(2, min(top, len(class_names)) + 1)
        more = tuple(f"{what}_{k}" for k in places for what in ("label", "probability"))
        of_more = [True, False] * len(places)

    def cells(answer: dict[str, Any]) -> list[Any]:
        if "error" in answer:
            return [answer["source"], None, None, _reason(answer), *[None] * len(more)]
        probabilities = answer["probabilities"]
        if top is None:
            rest = [probabilities[name] for name in class_names]
        else:
            rest = [value for pair in list(probabilities.items())[1:top] for value in pair]
        return [answer["source"], answer["label"], answer["probability"], None, *rest]

    return Columns((*_OF_A_CLASS, *more), (True, True, False, True, *of_more), cells)


def number_columns() -> Columns:
    """Return source, value and error."""
    return Columns(
        ("source", "value", "error"),
        (True, False, True),
        lambda answer: [answer["source"], answer.get("value"), _reason(answer)],
    )


def mask_columns(class_names: Sequence[str]) -> Columns:
    """Return source, mask, overlay and error, then a column a class: its share of the pixels."""

    def cells(answer: dict[str, Any]) -> list[Any]:
        shares = answer.get("shares", {})
        files = (answer.get("mask"), answer.get("overlay"))
        return [answer["source"], *files, _reason(answer), *(shares.get(name) for name in class_names)]

    return Columns((*_OF_A_MASK, *_beside(_OF_A_MASK, class_names)), (True,) * 4 + (False,) * len(class_names), cells)


def _beside(first: Sequence[str], class_names: Sequence[str]) -> tuple[str, ...]:
    """Name a column a class, other than the first ones: a class may be called "label"."""
    return tuple(f"class {name}" if name in first else name for name in class_names)


def _reason(answer: dict[str, Any]) -> str | None:
    return answer["error"]["message"] if "error" in answer else None


def check_suffix(out: Path) -> None:
    """Raise InputError for a file of another kind, MachineError when what Parquet needs is not installed."""
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out is {out}; expected a name that ends with {', '.join(SUFFIXES)}")
    if out.suffix.lower() == ".parquet":
        _pyarrow()


def write_answers(out: Path, answers: Answers, columns: Columns) -> None:
    """Write answers (the contract's prediction objects) into `out`, by the ending of its name, atomically.

    JSON lines hold the objects as they are."""
    write: Callable[[BinaryIO, Answers, Columns], None] = {
        ".csv": _write_csv,
        ".jsonl": _write_lines,
        ".parquet": _write_parquet,
    }[out.suffix.lower()]
    with explained(out, 0), atomic_file(out) as file:
        write(file, answers, columns)


def csv_text(answers: Answers, columns: Columns) -> Iterator[str]:
    """Yield a CSV's lines: the header, then one an image."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for values in ([columns.names], map(columns.cells, answers)):
        for cells in values:
            writer.writerow(cells)
            yield text.getvalue()
            text.seek(0)
            text.truncate()


def _write_csv(file: BinaryIO, answers: Answers, columns: Columns) -> None:
    for line in csv_text(answers, columns):
        file.write(line.encode("utf-8", "surrogateescape"))  # a file's name as the system has it, whatever its bytes


def _write_lines(file: BinaryIO, answers: Answers, columns: Columns) -> None:
    for answer in answers:
        file.write(json.dumps(answer, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")


def _write_parquet(file: BinaryIO, answers: Answers, columns: Columns) -> None:
    arrow, parquet = _pyarrow()
    kinds = {True: arrow.string(), False: arrow.float64()}
    fields = zip(columns.names, columns.words, strict=True)
    schema = arrow.schema([arrow.field(name, kinds[word]) for name, word in fields])
    remaining = iter(answers)
    with parquet.ParquetWriter(file, schema) as writer:
        while some := [columns.cells(answer) for answer in islice(remaining, _ROW_GROUP)]:
            arrays = [
                arrow.array([_text(value) if word else value for value in column], kind.type)
                for column, word, kind in zip(zip(*some, strict=True), columns.words, schema, strict=True)
            ]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))


def _text(value: str | None) -> str | None:
    """Parquet's text is UTF-8; a file's name need not be."""
    return None if value is None else value.encode("utf-8", "backslashreplace").decode()


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MachineError(
            "Parquet needs pyarrow, which is not installed; pip install 'netwright[parquet]', or write .csv or .jsonl"
        ) from None
    return pyarrow, pyarrow.parquet
