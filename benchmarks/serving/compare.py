"""Serving: netwright beside a plain FastAPI handler and LitServe, the same network on the same machine, over loopback.

    python -m benchmarks.serving.compare BUNDLE IMAGE [--clients 1,8,64] [--seconds 2] [--rounds 5] [--litserve PYTHON]

Every side is a server in processes of its own, all started first; those that wait are stopped (SIGSTOP). In a round
each side is asked by every number of clients, in turns of another order each round. Printed are answers a second,
median and 99th percentile of the latency of all rounds, and medians of the ratios within a round. The plain handler is
what a tutorial shows: Pillow decodes in the handler, one image at a time goes through the network, in as many threads
as torch takes, and once more in one. `--litserve` takes the Python that has LitServe, once as it is and once in batches
of up to 32:

    python -m venv .venv-serving && .venv-serving/bin/pip install -c constraints.txt -e '.[serve]' litserve
"""

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.serving.clients import Load, send_load
from benchmarks.serving.servers import OTHERS, Server, other_server, our_server

WARM_SECONDS = 0.5
MOST_REQUESTS = 5_000


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("image", type=Path)
    parser.add_argument("--clients", default="1,8,64", help="numbers of clients at once")
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement, at most 5,000 requests")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--litserve", metavar="PYTHON", help="also LitServe, in this environment")
    parser.add_argument("--engine", default="torch", help="what computes ours, see netwright serve")
    options = parser.parse_args()
    numbers = [int(text) for text in options.clients.split(",")]
    content = options.image.read_bytes()
    with ExitStack() as stack:
        servers = _start(stack, options, content)
        found = _rounds(servers, numbers, options.seconds, options.rounds)
    for clients in numbers:
        figures = summary(clients, {side: loads[clients] for side, loads in found.items()})
        print(json.dumps(figures, ensure_ascii=False))
    return 0


def summary(clients: int, found: dict[str, list[Load]]) -> dict[str, Any]:
    """Return each side's figures over all rounds, and medians of the ratios to ours within a round."""
    result: dict[str, Any] = {"clients": clients}
    for side, loads in found.items():
        every = sorted(latency for load in loads for latency in load.latencies)
        result[side] = {
            "per_second": round(median(load.per_second for load in loads), 1),
            "p50_ms": round(1000 * every[len(every) // 2], 2),
            "p99_ms": round(1000 * every[int(0.99 * len(every))], 2),
            "answers": dict(sum((load.statuses for load in loads), start=type(loads[0].statuses)())),
        }
        if side != "ours":
            pairs = list(zip(found["ours"], loads, strict=True))
            result[f"throughput, ours ÷ {side}"] = round(median(a.per_second / b.per_second for a, b in pairs), 2)
            result[f"p50, ours ÷ {side}"] = round(
                median(median(a.latencies) / median(b.latencies) for a, b in pairs), 2
            )
    return result


def _start(stack: ExitStack, options: argparse.Namespace, content: bytes) -> dict[str, Server]:
    """Start every side, and hold it until its turn."""
    servers = {"ours": stack.enter_context(our_server(options.bundle, content, ["--engine", options.engine]))}
    for side in OTHERS:
        python = options.litserve if side.startswith("litserve") else sys.executable
        if python:
            servers[side] = stack.enter_context(other_server(side, options.bundle, content, python))
    for server in servers.values():
        server.hold()
    return servers


def _rounds(
    servers: dict[str, Server], numbers: list[int], seconds: float, rounds: int
) -> dict[str, dict[int, list[Load]]]:
    found: dict[str, dict[int, list[Load]]] = {side: {clients: [] for clients in numbers} for side in servers}
    for place in range(rounds):
        for side in list(servers)[:: -1 if place % 2 else 1]:
            server = servers[side]
            server.go_on()
            for clients in numbers:
                send_load(server.address, server.body, clients, WARM_SECONDS)
                found[side][clients].append(send_load(server.address, server.body, clients, seconds, MOST_REQUESTS))
            server.hold()
    return found


if __name__ == "__main__":
    sys.exit(main())
