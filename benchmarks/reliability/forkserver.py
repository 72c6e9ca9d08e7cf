"""A process that has imported everything once and forks a child for each job, so that a kill costs no start-up.

It forks while it has one thread, and has computed nothing with torch before: else the child could hang on a lock that
another thread held. The client side is `ForkServer`; requests and answers are lines of JSON."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT
from benchmarks.reliability.phases import NAMES, Board, note_phases

LOOK_SECONDS = 0.0002
MOST_SECONDS = 300.0
IMPORTS = (
    *("matplotlib.pyplot", "sklearn.datasets", "scipy.optimize", "tensorboardX", "torchvision", "jinja2"),
    *("netwright.workflows.resume", "netwright.workflows.report", "netwright.workflows.api"),
    *("netwright.report.confusion", "netwright.report.curves", "netwright.report.reliability"),
    *("netwright.cli.train", "netwright.cli.resume", "netwright.cli.evaluate", "netwright.cli.predict"),
)


@dataclass(frozen=True)
class Kill:
    """When to kill: `seconds` of the child's processor time after it entered a phase for the `entry`-th time.

    A delay that is not over by the child's own clock, which stands still while it waits for the disk, is after
    `wall_factor` times as long by ours. With `fill` the child lives, and this file takes all the room of its disk."""

    phase: str
    entry: int = 1
    seconds: float = 0.0
    fill: str = ""
    wall_factor: float = 20.0


@dataclass(frozen=True)
class Ended:
    """How a child ended: exit code (negative: signal), where it was killed, entries and seconds by phase."""

    code: int
    phase: str
    phases: dict[str, tuple[int, float]]
    said: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class ForkServer:
    """The client: starts the server, and has it run jobs one after the other."""

    def __init__(self, scratch: Path) -> None:
        self._said = scratch / "said.txt"
        names = ("CACHE", "STATE", "DATA", "CONFIG")
        homes = {f"XDG_{name}_HOME": str(scratch / name.lower()) for name in names}
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.reliability.forkserver"],
            env=os.environ | homes | threads | {"PYTHONPATH": path, "MPLBACKEND": "agg"},
            cwd=scratch,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "ForkServer":
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(MOST_SECONDS)
        self._process.stdout.close()

    def run(self, call: str, kill: Kill | None = None, limits: dict[str, int] | None = None, **arguments: Any) -> Ended:
        """Call `module:function` with the arguments in a child, which is killed at a moment if one is given.

        `limits` are of `resource`, such as {"RLIMIT_FSIZE": 4096}."""
        assert self._process.stdin is not None and self._process.stdout is not None
        request = {"call": call, "arguments": arguments, "said": str(self._said), "limits": limits or {}}
        self._process.stdin.write(json.dumps(request | {"kill": asdict(kill) if kill else None}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        phases = {name: (count, seconds) for name, (count, seconds) in answer["phases"].items()}
        said = self._said.read_text(encoding="utf-8", errors="replace")
        return Ended(answer["code"], answer["phase"], phases, said)

    def command(self, *words: object, kill: Kill | None = None, **more: Any) -> Ended:
        """Run a command line of netwright in a child."""
        return self.run("benchmarks.reliability.jobs:command", kill, words=[str(word) for word in words], **more)


def serve() -> None:
    """Answer requests until standard input is closed."""
    for name in IMPORTS:
        import_module(name)
    board = Board()
    names = [path.joinpath("comm").read_text().strip() for path in Path("/proc/self/task").glob("*")]
    # pyarrow's allocator, which pandas loads, has a thread, and hooks that make a fork safe
    others = [name for name in names[1:] if name != "jemalloc_bg_thd"]
    assert not others, f"threads besides the main one, so that a fork is not safe: {others}"
    for line in sys.stdin:
        request = json.loads(line)
        board.clear()
        child = os.fork()
        if child == 0:
            _work(request, board)
        code = _watch(child, board, request["kill"])
        answer = {"code": code, "phase": board.phase, "phases": {name: board.entry(name) for name in NAMES}}
        print(json.dumps(answer), flush=True)
    os._exit(0)  # taking down what was imported would take a second


def _work(request: dict[str, Any], board: Board) -> None:
    """Do one job, in the child, and end the process."""
    code = 70
    try:
        said = os.open(request["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for name, value in request["limits"].items():
            resource.setrlimit(getattr(resource, name), (value, value))
        note_phases(board)
        module, _, function = request["call"].partition(":")
        code = getattr(import_module(module), function)(**request["arguments"]) or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _watch(child: int, board: Board, kill: dict[str, Any] | None) -> int:
    """Wait for a child, kill it when its moment has come; return its exit code, negative for a signal."""
    started, due = time.monotonic(), None
    clock = (~child << 3) | 2  # Linux: the processor time of another process
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() - started > MOST_SECONDS:
            os.kill(child, signal.SIGABRT)
        if kill is not None and due is None and board.entry(kill["phase"])[0] >= kill["entry"]:
            due = (
                time.clock_gettime(clock) + kill["seconds"],
                time.monotonic() + kill["wall_factor"] * kill["seconds"],
            )
        if kill is not None and kill["phase"] == "begin" and due is None:
            due = (kill["seconds"], started + kill["wall_factor"] * kill["seconds"])
        if due is not None and (_clock(clock) >= due[0] or time.monotonic() >= due[1]):
            if kill is not None and kill["fill"]:
                fill_disk(Path(kill["fill"]))
                kill = due = None
                continue
            os.kill(child, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        time.sleep(LOOK_SECONDS)


def fill_disk(path: Path) -> None:
    """Write zeros to a file until no byte more has room."""
    with path.open("ab", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def _clock(clock: int) -> float:
    try:
        return time.clock_gettime(clock)
    except OSError:
        return 0.0  # it has just ended


if __name__ == "__main__":
    serve()
