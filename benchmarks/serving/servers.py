"""Start a server, wait until it answers, stop it; hold it while another one is measured."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.serving.clients import Body, send_load

ROOT = Path(__file__).parent.parent.parent
START_SECONDS = 60.0


class Server:
    """A server's processes, all in one group."""

    def __init__(self, process: "subprocess.Popen[str]", address: str, body: Body) -> None:
        self.process, self.address, self.body = process, address, body

    def hold(self) -> None:
        """Stop its clock: a server that polls takes nothing from the one that is measured."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)

    def members(self) -> list[int]:
        """Return the numbers of its processes, itself among them. Linux."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                fields = (path / "stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == self.process.pid:
                    found.append(int(path.name))
        return found


@contextmanager
def our_server(
    bundle: str, content: bytes, options: Sequence[str] = (), python: str = sys.executable
) -> Iterator[Server]:
    """`netwright serve` at a free port."""
    words = [python, "-m", "netwright", "serve", bundle, "--port", "0", "--json", *options]
    process = _started(words)
    try:
        assert process.stdout is not None
        yield Server(process, json.loads(process.stdout.readline())["address"], Body(content))
    finally:
        _end(process)


# side -> (program, its arguments after bundle and port): threads (0: as torch has them), images at once
OTHERS = {
    "plain": ("plain", ("0",)),
    "plain, 1 thread": ("plain", ("1",)),
    "litserve": ("lit", ("0", "1")),
    "litserve, batches": ("lit", ("0", "32")),
}


@contextmanager
def other_server(side: str, bundle: str, content: bytes, python: str = sys.executable) -> Iterator[Server]:
    """One of `OTHERS`, once it has answered an image."""
    port = _free_port()
    module, more = OTHERS[side]
    process = _started([python, "-m", f"benchmarks.serving.{module}", bundle, str(port), *more])
    address, body = f"http://127.0.0.1:{port}/", Body(content) if module == "plain" else Body.in_json(content)
    try:
        _wait_for(process, address, body)
        yield Server(process, address, body)
    finally:
        _end(process)


def _started(words: Sequence[str]) -> "subprocess.Popen[str]":
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    environment = os.environ | {"PYTHONPATH": paths}
    environment.pop("OMP_NUM_THREADS", None)
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)


def _end(process: "subprocess.Popen[str]") -> None:
    os.killpg(process.pid, signal.SIGCONT)
    process.terminate()
    try:
        process.wait(20)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what a peer leaves behind


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(process: "subprocess.Popen[str]", address: str, body: Body) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if send_load(address, body, 1, 30, 1).statuses[200]:
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise TimeoutError(f"the server at {address} did not answer")
