"""TensorBoard event files, read back by the protocol buffers themselves."""

import struct
import threading
import time
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

from netwright.runs.events import EventWriter

RECORDS = [
    {
        "epoch": 1,
        "train_loss": 0.5,
        "val_loss": 0.75,
        "val_accuracy": 0.5,
        "lr": 0.125,
        "step": 8,
        "train_seconds": 2.0,
    },
    {
        "epoch": 2,
        "train_loss": 0.25,
        "val_loss": 0.5,
        "val_accuracy": 0.75,
        "lr": 0.25,
        "step": 9,
        "train_seconds": 2.0,
    },
]


def read_events(folder: Path) -> list[Event]:
    """Each record is a length (8 bytes), its checksum (4), the event, its checksum (4)."""
    events = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content, place = path.read_bytes(), 0
        while place < len(content):
            (length,) = struct.unpack_from("<Q", content, place)
            events.append(Event.FromString(content[place + 12 : place + 12 + length]))
            place += 16 + length
    return events


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for event in read_events(folder):
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_every_number_is_a_scalar_on_the_axis_of_steps(tmp_path: Path) -> None:
    with EventWriter(tmp_path, []) as events:
        for record in RECORDS:
            events.write(record)
    assert scalars(tmp_path) == {
        "loss/train": [(8, 0.5), (9, 0.25)],
        "loss/val": [(8, 0.75), (9, 0.5)],
        "accuracy/val": [(8, 0.5), (9, 0.75)],
        "lr": [(8, 0.125), (9, 0.25)],
        "seconds/train": [(8, 2.0), (9, 2.0)],
    }


def test_what_a_killed_sitting_wrote_beyond_is_purged(tmp_path: Path) -> None:
    """TensorBoard drops what lies at or after the step of a session's start event."""
    for _ in range(2):
        with EventWriter(tmp_path, []) as events:
            events.write(RECORDS[1])
    starts = [event.step for event in read_events(tmp_path) if event.session_log.status == event.session_log.START]
    assert starts[-1] == 9


def test_two_sittings_in_one_second_write_two_files(tmp_path: Path) -> None:
    for record in RECORDS:
        with EventWriter(tmp_path, []) as events:
            events.write(record)
    assert [step for step, _ in scalars(tmp_path)["loss/val"]] == [8, 9]


def test_nothing_is_written_for_nothing(tmp_path: Path) -> None:
    with EventWriter(tmp_path / "events", []):
        pass
    assert not (tmp_path / "events").exists()


def test_the_clock_is_waited_for_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own thread died when the clock was set back by 25 days, and the 11th number waited for it."""
    ticks = iter([2e9, *(2e9 - 60 * 24 * 3600 - number for number in range(100_000))])
    with EventWriter(tmp_path, []) as events:
        monkeypatch.setattr(time, "time", lambda: next(ticks))
        before = threading.active_count()
        for record in RECORDS * 4:
            events.write(record)
        assert threading.active_count() == before
    assert len(scalars(tmp_path)["loss/val"]) == 8
