"""Answers that are kept while they come: what a kill leaves, and what goes on from there."""

import json
import multiprocessing
from pathlib import Path

import pytest

from netwright.deployment.journal import Journal
from netwright.errors import InputError, MachineError

ABOUT = {"network": "abc", "top": None}
ANSWERS = [{"source": f"{place}.png", "label": "cat", "probability": 1.0} for place in range(5)]


def sources(number: int = 8) -> list[tuple[str, str]]:
    return [(f"{place}.png", f"{place}.png") for place in range(number)]


def begun(out: Path) -> None:
    with Journal(out, ABOUT) as journal:
        journal.add(ANSWERS[:2])
        journal.add(ANSWERS[2:])


def test_it_goes_on_after_what_it_has(tmp_path: Path) -> None:
    out = tmp_path / "answers.csv"
    begun(out)
    with Journal(out, ABOUT) as journal:
        rest = list(journal.remaining(iter(sources())))
        assert [name for _, name in rest] == ["5.png", "6.png", "7.png"]
        assert journal.num_done == 5
        assert list(journal.answers()) == ANSWERS


def test_a_kill_at_any_byte_loses_the_torn_answer_alone(tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    begun(out)
    whole = (tmp_path / "answers.jsonl.part").read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == 0x0A]
    for length in range(len(whole) + 1):
        (tmp_path / "answers.jsonl.part").write_bytes(whole[:length])
        with Journal(out, ABOUT) as journal:
            kept = max(sum(end <= length for end in ends) - 1, 0)
            assert list(journal.answers()) == ANSWERS[:kept]
            assert next(journal.remaining(iter(sources())))[1] == f"{kept}.png"


def test_another_model_other_options_and_other_images_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "answers.csv"
    begun(out)
    for about in ({"network": "abd", "top": None}, {"network": "abc", "top": 3}):
        with pytest.raises(InputError, match="--overwrite"), Journal(out, about):
            pass
    with Journal(out, ABOUT) as journal:
        with pytest.raises(InputError, match=r"image 3 was 2\.png, and now it is new\.png"):
            journal.remaining(iter([*sources(2), ("new.png", "new.png")]))
    with Journal(out, ABOUT) as journal:
        with pytest.raises(InputError, match="there are no more"):
            journal.remaining(iter(sources(3)))


@pytest.mark.parametrize("line", ['{"label": "cat"}', "[1]", '{"source": "2.p', "7"])
def test_a_damaged_line_is_named(line: str, tmp_path: Path) -> None:
    begun(tmp_path / "answers.csv")
    part = tmp_path / "answers.csv.part"
    lines = part.read_text().splitlines()
    part.write_text("\n".join([*lines[:3], line, *lines[4:], ""]))
    with Journal(tmp_path / "answers.csv", ABOUT) as journal, pytest.raises(InputError, match="line 4"):
        list(journal.answers())


def _hold(out: Path, held: "multiprocessing.synchronize.Event", done: "multiprocessing.synchronize.Event") -> None:
    with Journal(out, ABOUT):
        held.set()
        done.wait(30)


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "answers.csv", held, done))
    process.start()
    try:
        assert held.wait(60)
        with pytest.raises(MachineError, match="another process"), Journal(tmp_path / "answers.csv", ABOUT):
            pass
    finally:
        done.set()
        process.join()
    with Journal(tmp_path / "answers.csv", ABOUT) as journal:
        assert json.loads((journal.path).read_bytes())["network"] == "abc"
