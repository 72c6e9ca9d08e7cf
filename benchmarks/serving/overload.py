"""Ten times overload: which answers came, whether memory stays flat, how soon it is as before.

    python -m benchmarks.serving.overload BUNDLE IMAGE [--seconds 120] [--places 32]

First `--places` clients, as many as may wait, show what the server can do; then ten times as many ask for `--seconds`,
each anew as soon as it is answered or refused. Memory is what the server and its decoders have of their own (RssAnon),
each second from the tenth on. Meanwhile one more client asks for /healthz and /metrics in turn, ten times a second,
each on a connection of its own. Recovery is the time from the last answer of the flood to the first 200 afterwards.
Ends with 1 when an answer was neither 200 nor 503, memory moved by 5 %, or recovery took a second. Linux.
"""

import argparse
import json
import sys
import threading
import time
import urllib.request
from pathlib import Path

from benchmarks.serving.clients import Load, send_load
from benchmarks.serving.servers import Server, our_server

SETTLE_SECONDS = 10.0
MOST_MOVED, MOST_RECOVERY_SECONDS = 0.05, 1.0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("image", type=Path)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--places", type=int, default=32)
    options = parser.parse_args()
    settle = min(SETTLE_SECONDS, options.seconds / 4)
    with our_server(options.bundle, options.image.read_bytes(), ["--most-waiting", str(options.places)]) as server:
        send_load(server.address, server.body, options.places, 1)
        before = send_load(server.address, server.body, options.places, 3)
        memory, health = Memory(server, settle), Health(server)
        flood = send_load(server.address, server.body, 10 * options.places, options.seconds)
        start = time.perf_counter()
        while not send_load(server.address, server.body, 1, 1, 1).statuses[200]:
            pass
        recovery = time.perf_counter() - start
        rows, health_seconds = memory.end(), sorted(health.end())
        after = send_load(server.address, server.body, options.places, 3)
    found = summary(before, flood, after, rows, recovery)
    middle, slowest = (round(1000 * health_seconds[place], 1) for place in (len(health_seconds) // 2, -1))
    print(json.dumps(found | {"health_asked": len(health_seconds), "health_p50_ms": middle, "health_max_ms": slowest}))
    strange = set(flood.statuses) - {200, 503}
    return int(bool(strange) or found["memory_moved"] >= MOST_MOVED or recovery >= MOST_RECOVERY_SECONDS)


def summary(before: Load, flood: Load, after: Load, rows: list[int], recovery: float) -> dict[str, object]:
    """Return what is printed; rates are a second."""
    return {
        "answers": {str(status): number for status, number in sorted(flood.statuses.items())},
        "seconds": round(flood.seconds, 1),
        "per_second_before": round(before.per_second, 1),
        "per_second_answered": round(flood.per_second, 1),
        "per_second_asked": round(sum(flood.statuses.values()) / flood.seconds, 1),
        "per_second_after": round(after.per_second, 1),
        "looks_at_memory": len(rows),
        "memory_mib": [round(value / 2**20, 1) for value in (rows[0], min(rows), max(rows), rows[-1])],
        "memory_moved": round((max(rows) - min(rows)) / rows[0], 4),
        "recovery_seconds": round(recovery, 3),
    }


class Memory:
    """Looks at a server's memory each second, in a thread, once it has settled."""

    def __init__(self, server: Server, settle_seconds: float) -> None:
        self._server, self._rows = server, list[int]()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(settle_seconds,))
        self._thread.start()

    def end(self) -> list[int]:
        self._stop.set()
        self._thread.join()
        return self._rows

    def _watch(self, settle_seconds: float) -> None:
        if self._stop.wait(settle_seconds):
            return
        while True:
            self._rows.append(sum(map(anonymous_bytes, self._server.members())))
            if self._stop.wait(1.0):
                return


class Health:
    """Asks a server how it is, in a thread; `end` gives the seconds of every answer, which is 200 or raises."""

    def __init__(self, server: Server) -> None:
        self._address, self._seconds = server.address, list[float]()
        self._failed: OSError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def end(self) -> list[float]:
        self._stop.set()
        self._thread.join()
        if self._failed is not None:
            raise self._failed
        return self._seconds

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            start = time.perf_counter()
            path = "metrics" if len(self._seconds) % 2 else "healthz"
            try:
                with urllib.request.urlopen(f"{self._address.rstrip('/')}/{path}", timeout=30) as answer:
                    answer.read()
            except OSError as error:
                self._failed = error
                return
            self._seconds.append(time.perf_counter() - start)


def anonymous_bytes(process: int) -> int:
    """Return the memory that a process shares with no file; 0 for one that has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


if __name__ == "__main__":
    sys.exit(main())
