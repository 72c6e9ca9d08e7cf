"""What is kept of many files in columns, beside plain lists of the same."""

import os
import random
from pathlib import Path

import numpy as np
import pytest

from netwright.data.decode import Header
from netwright.data.facts import UNREAD, Columns, Fact, Facts
from netwright.data.file_bytes import Stat, stat_of
from netwright.data.texts import Paths, Texts

NAMES = ["a.jpg", "", "über/ネコ.png", "line\nbreak", os.fsdecode(b"\xff\xfe.jpg"), "x" * 255]


def test_texts_are_those_of_a_list() -> None:
    texts = Texts(NAMES)
    assert list(texts) == NAMES and texts == NAMES and texts == tuple(NAMES) and texts != NAMES[1:]
    assert [texts[-1], texts[1:4], len(texts), NAMES[2] in texts] == [NAMES[-1], NAMES[1:4], 6, True]
    assert list(texts.take(np.array([4, 0, 4]))) == [NAMES[4], NAMES[0], NAMES[4]]
    with pytest.raises(IndexError):
        texts[6]


def test_paths_are_below_their_root() -> None:
    paths = Paths(Path("/data"), Texts(NAMES))
    assert list(paths) == [Path("/data") / name for name in NAMES]
    assert list(paths.take(np.array([3]))) == [Path("/data/line\nbreak")]
    assert Paths(Path(), Texts(["/a/b.jpg"]))[0] == Path("/a/b.jpg")


def test_facts_are_those_of_a_list() -> None:
    draws = random.Random(0)
    headers = [Header(4, 5, "RGB", False, "JPEG"), Header(5, 4, "L", True, "GIF"), "empty file (0 bytes)"]
    stats = [Stat(9, -1, 2**62, 2**64 - 1, 2**63), stat_of(Path(__file__)), Stat(0, 0, 0, 0, 0)]
    plain = [Fact(draws.choice(stats), draws.randbytes(32), draws.choice(headers)) for _ in range(50)] + [
        Fact(stats[0], UNREAD, headers[2])
    ]
    facts = Facts()
    for fact in plain:
        facts.add(fact)
    facts.put(7, plain[50])
    plain[7] = plain[50]
    again = Facts(facts.columns())
    assert list(again) == plain == [facts[row] for row in range(51)]
    assert facts.digests().tobytes() == b"".join(fact.digest for fact in plain)


@pytest.mark.parametrize("field", ["stats", "digests", "header_of", "headers"])
def test_columns_of_different_lengths_are_refused(field: str) -> None:
    facts = Facts()
    facts.add(Fact(Stat(1, 2, 3, 4, 5), UNREAD, "wrong"))
    columns = facts.columns()
    setattr(columns, field, type(getattr(columns, field))())
    with pytest.raises(ValueError, match="lengths"):
        Facts(Columns(columns.stats, columns.digests, columns.header_of, columns.headers))
