"""Requests that arrive together share a pass; deadlines, failures and the end."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from netwright.deployment import batcher as batcher_module
from netwright.deployment.batcher import Batcher, TooLate

LATER = 60.0


class Network:
    """Adds one to each image; notes the sizes of its batches; waits while it is held."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.go = threading.Event()

    def __call__(self, images: Sequence[Any]) -> list[Any]:
        self.sizes.append(len(images))
        assert self.go.wait(20)
        if any(int(image[0]) == 13 for image in images):
            raise ValueError("thirteen")
        return [image + 1 for image in images]


def image(number: int) -> Any:
    return np.array([number])


def test_who_waits_shares_the_next_pass_and_gets_its_own_answer() -> None:
    network = Network()
    told: list[int] = []
    batcher = Batcher(network, most_batch=4, told=told.append)
    deadline = time.monotonic() + LATER
    first = batcher.submit([image(0)], deadline)
    while not network.sizes:
        time.sleep(0.001)
    rest = [batcher.submit([image(number), image(10 * number)], deadline) for number in (1, 2, 3)]
    network.go.set()
    assert [int(row[0]) for row in first.result(20)] == [1]
    assert [[int(row[0]) for row in each.result(20)] for each in rest] == [[2, 11], [3, 21], [4, 31]]
    assert network.sizes == told == [1, 4, 2]
    batcher.close()


def test_a_request_larger_than_a_batch_is_one_pass() -> None:
    network = Network()
    network.go.set()
    batcher = Batcher(network, most_batch=2)
    answers = batcher.submit([image(number) for number in range(5)], time.monotonic() + LATER).result(20)
    assert [int(row[0]) for row in answers] == [1, 2, 3, 4, 5]
    batcher.close()


def test_what_is_too_late_is_not_computed() -> None:
    network = Network()
    network.go.set()
    batcher = Batcher(network, most_batch=4)
    with pytest.raises(TooLate):
        batcher.submit([image(1)], time.monotonic() - 1).result(20)
    assert network.sizes == []
    batcher.close()


def test_a_failure_is_its_requests_and_the_next_one_is_answered() -> None:
    network = Network()
    network.go.set()
    batcher = Batcher(network, most_batch=1)
    deadline = time.monotonic() + LATER
    with pytest.raises(ValueError, match="thirteen"):
        batcher.submit([image(13)], deadline).result(20)
    assert batcher.call(lambda: 7, deadline).result(20) == 7
    assert int(batcher.submit([image(1)], deadline).result(20)[0][0]) == 2
    batcher.close()


def test_closing_answers_what_waits() -> None:
    network = Network()
    batcher = Batcher(network, most_batch=1)
    waiting = [batcher.submit([image(number)], time.monotonic() + LATER) for number in range(3)]
    threading.Timer(0.05, network.go.set).start()
    batcher.close()
    assert [int(each.result(0)[0][0]) for each in waiting] == [1, 2, 3]


def test_a_bounded_wait_gathers_what_comes_meanwhile() -> None:
    network = Network()
    network.go.set()
    batcher = Batcher(network, most_batch=2, wait_seconds=20.0)
    deadline = time.monotonic() + LATER
    first = batcher.submit([image(1)], deadline)
    second = batcher.submit([image(2)], deadline)
    assert int(first.result(15)[0][0]) == 2
    assert int(second.result(15)[0][0]) == 3
    assert network.sizes == [2]
    batcher.close()


def test_a_lone_image_of_a_quick_network_is_computed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network()
    network.go.set()
    threads: list[int] = []
    batcher = Batcher(lambda images: (threads.append(threading.get_ident()), network(images))[1], most_batch=4)
    monkeypatch.setattr(batcher_module, "QUICK_SECONDS", 10.0)
    deadline = time.monotonic() + LATER
    assert batcher.at_once([image(1)]) is None, "it is not known yet how long one takes"
    batcher.submit([image(1)], deadline).result(20)
    answers = batcher.at_once([image(1)])
    assert answers is not None
    assert int(answers[0][0]) == 2
    assert threads[1] == threading.get_ident() != threads[0]
    assert batcher.at_once([image(1), image(2)]) is None
    with pytest.raises(ValueError, match="thirteen"):
        batcher.at_once([image(13)])
    network.go.clear()
    waiting = batcher.submit([image(5)], deadline)
    while len(network.sizes) < 4:
        time.sleep(0.001)
    assert batcher.at_once([image(1)]) is None, "the network is at work"
    network.go.set()
    assert int(waiting.result(20)[0][0]) == 6
    monkeypatch.setattr(batcher_module, "QUICK_SECONDS", 0.0)
    assert batcher.at_once([image(1)]) is None
    batcher.close()


def test_a_lone_image_takes_one_thread_and_batches_as_many_as_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    batcher = Batcher(lambda images: [taken.append(torch.get_num_threads()) for _ in images], most_batch=4, threads=2)
    monkeypatch.setattr(batcher_module, "QUICK_SECONDS", 10.0)
    deadline = time.monotonic() + LATER
    batcher.submit([image(1)], deadline).result(20)
    alone = threading.Thread(target=lambda: [batcher.at_once([image(1)]) for _ in range(2)])
    alone.start()
    alone.join()
    batcher.submit([image(1)], deadline).result(20)
    assert taken == [2, 1, 1, 2]
    batcher.close()
