"""Answers as a file: CSV, JSON lines or Parquet, written row by row."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from netwright.errors import InputError, MachineError
from netwright.files.atomic import atomic_file, explained

SUFFIXES = (".csv", ".jsonl", ".parquet")
_ROW_GROUP = 10_000
_FIRST = ("source", "label", "probability", "error")
_OF_A_NUMBER = ("source", "value", "error")
Answers = Iterable[dict[str, Any]]


def check_suffix(out: Path) -> None:
    """Raise InputError for a file of another kind, MachineError when what Parquet needs is not installed."""
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out is {out}; expected a name that ends with {', '.join(SUFFIXES)}")
    if out.suffix.lower() == ".parquet":
        _pyarrow()


def write_answers(out: Path, answers: Answers, class_names: Sequence[str] | None, top: int | None) -> None:
    """Write answers (the contract's prediction objects) into `out`, by the ending of its name, atomically.

    A table has source, label, probability and error, then a column a class, or label_2, probability_2, … to `top`; of
    a network without classes (None) source, value and error.
    JSON lines hold the objects as they are."""
    write: Callable[[BinaryIO, Answers, Sequence[str] | None, int | None], None] = {
        ".csv": _write_csv,
        ".jsonl": _write_lines,
        ".parquet": _write_parquet,
    }[out.suffix.lower()]
    with explained(out, 0), atomic_file(out) as file:
        write(file, answers, class_names, top)


def header(class_names: Sequence[str] | None, top: int | None) -> list[str]:
    """Return the names of a table's columns."""
    if class_names is None:
        return list(_OF_A_NUMBER)
    if top is None:
        return [*_FIRST, *(f"class {name}" if name in _FIRST else name for name in class_names)]
    more = range(2, min(top, len(class_names)) + 1)
    return [*_FIRST, *(f"{what}_{k}" for k in more for what in ("label", "probability"))]


def row(answer: dict[str, Any], class_names: Sequence[str] | None, top: int | None) -> list[Any]:
    """Return one answer as the columns of `header`; None where it has nothing to say."""
    if class_names is None:
        return [answer["source"], answer.get("value"), answer["error"]["message"] if "error" in answer else None]
    if "error" in answer:
        rest = len(header(class_names, top)) - 4
        return [answer["source"], None, None, answer["error"]["message"], *[None] * rest]
    probabilities = answer["probabilities"]
    if top is None:
        rest_of_row = [probabilities[name] for name in class_names]
    else:
        rest_of_row = [value for pair in list(probabilities.items())[1:top] for value in pair]
    return [answer["source"], answer["label"], answer["probability"], None, *rest_of_row]


def csv_text(answers: Answers, class_names: Sequence[str] | None, top: int | None) -> Iterator[str]:
    """Yield a CSV's lines: the header, then one an image."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for values in ([header(class_names, top)], (row(answer, class_names, top) for answer in answers)):
        for cells in values:
            writer.writerow(cells)
            yield text.getvalue()
            text.seek(0)
            text.truncate()


def _write_csv(file: BinaryIO, answers: Answers, class_names: Sequence[str] | None, top: int | None) -> None:
    for line in csv_text(answers, class_names, top):
        file.write(line.encode("utf-8", "surrogateescape"))  # a file's name as the system has it, whatever its bytes


def _write_lines(file: BinaryIO, answers: Answers, class_names: Sequence[str] | None, top: int | None) -> None:
    for answer in answers:
        file.write(json.dumps(answer, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")


def _write_parquet(file: BinaryIO, answers: Answers, class_names: Sequence[str] | None, top: int | None) -> None:
    arrow, parquet = _pyarrow()
    names = header(class_names, top)
    # by place, for a class may be called "label": source, label, error, and every second one after them with `top`
    words = (
        [name != "value" for name in names]
        if class_names is None
        else [place in (0, 1, 3) or (top is not None and place > 3 and place % 2 == 0) for place in range(len(names))]
    )
    kinds = {True: arrow.string(), False: arrow.float64()}
    schema = arrow.schema([arrow.field(name, kinds[word]) for name, word in zip(names, words, strict=True)])
    remaining = iter(answers)
    with parquet.ParquetWriter(file, schema) as writer:
        while some := [row(answer, class_names, top) for answer in islice(remaining, _ROW_GROUP)]:
            columns = [
                arrow.array([_text(value) if word else value for value in column], kind.type)
                for column, word, kind in zip(zip(*some, strict=True), words, schema, strict=True)
            ]
            writer.write_table(arrow.Table.from_arrays(columns, schema=schema))


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
