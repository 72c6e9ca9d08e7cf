"""Whatever is done to a run, in whatever order, it ends as the plain one: begin, kill, resume with more or fewer loader
processes, copy, evaluate, look at it. Kills are real (SIGKILL), by a process that forks."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from benchmarks.reliability.forkserver import Ended, ForkServer, Kill
from netwright.runs.equality import compare_runs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server of forks reads Linux's clocks and threads")
TRAIN, EVALUATE = "benchmarks.reliability.items:train", "benchmarks.reliability.items:evaluate"
PHASES = ("begin", "decode", "build", "settle", "train", "checkpoint", "validate", "results", "bundle")


class AnySequence(RuleBasedStateMachine):
    """One run, and what is done to it."""

    server: ClassVar[ForkServer]
    plain: ClassVar[Path]
    phases: ClassVar[dict[str, tuple[int, float]]]

    def __init__(self) -> None:
        super().__init__()
        self.place = self.plain.parent / "runs"
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        self.copies, self.run, self.done = 0, self.place / "run-0", False

    @rule(phase=st.sampled_from(PHASES), share=st.floats(0, 1), within=st.floats(0, 1), workers=st.integers(0, 2))
    def sit_until_killed(self, phase: str, share: float, within: float, workers: int) -> None:
        count, seconds = self.phases[phase] if phase != "begin" else (1, 0.02)
        kill = Kill(phase, max(1, round(share * count)), within * seconds / max(1, count))
        ended = self.server.run(TRAIN, kill, run=str(self.run), workers=workers)
        assert ended.killed or ended.code == 0, ended.said
        self.done = self.done or ended.code == 0

    @rule(workers=st.integers(0, 2))
    def sit_to_the_end(self, workers: int) -> None:
        ended = self.server.run(TRAIN, None, run=str(self.run), workers=workers)
        assert ended.code == 0, ended.said
        self.done = True

    @rule(keep=st.booleans())
    def copy(self, keep: bool) -> None:
        if self.run.exists():
            self.copies += 1
            copied = self.place / f"run-{self.copies}"
            shutil.copytree(self.run, copied)
            if not keep:
                shutil.rmtree(self.run)
            self.run = copied

    @rule()
    def evaluate(self) -> None:
        if self.done:
            ended = self.server.run(EVALUATE, None, run=str(self.run))
            assert ended.code == 0, ended.said

    @rule()
    def look(self) -> None:
        if (self.run / "recipe.yaml").exists():
            ended = self.server.command("runs", "show", self.run, "--json")
            assert ended.code == 0, ended.said

    def teardown(self) -> None:
        self.sit_to_the_end(0)
        differences = compare_runs(self.plain, self.run)
        # the recipe says how many processes read the data; evaluate adds what it alone knows to the metrics
        assert not [text for text in differences if not text.startswith("recipe.yaml")]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    scratch = tmp_path_factory.mktemp("sequences")
    with ForkServer(scratch) as server:
        ended: Ended = server.run(TRAIN, None, run=str(scratch / "plain"), workers=0)
        assert ended.code == 0, ended.said
        AnySequence.server, AnySequence.plain, AnySequence.phases = server, scratch / "plain", ended.phases
        yield AnySequence


CALM = settings(deadline=None, suppress_health_check=list(HealthCheck))


def test_a_few_sequences(machine: Any) -> None:
    run_state_machine_as_test(machine, settings=settings(CALM, max_examples=2, stateful_step_count=4))


@pytest.mark.slow
def test_many_sequences(machine: Any) -> None:
    run_state_machine_as_test(machine, settings=settings(CALM, max_examples=25, stateful_step_count=10))
