"""Masks of large pictures: the memory that they take, and what a small picture waits for meanwhile.

    python -m benchmarks.serving.large BUNDLE LARGE SMALL [--clients 2]

BUNDLE gives masks. Memory is what the server and its decoders have of their own (RssAnon) at its highest, looked at ten
times a second: after a small picture, with one large one, and with `--clients` of them at once. Linux.
"""

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from benchmarks.serving.overload import anonymous_bytes
from benchmarks.serving.servers import Server, our_server

LONGEST_SECONDS = 600.0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("large", type=Path)
    parser.add_argument("small", type=Path)
    parser.add_argument("--clients", type=int, default=2)
    options = parser.parse_args()
    large, small = options.large.read_bytes(), options.small.read_bytes()
    with our_server(options.bundle, small, ["--deadline", str(LONGEST_SECONDS)]) as server:
        found = {"small_seconds": [_asked(server, small)], "memory_mib": [_mebibytes(server)]}
        for clients in sorted({1, options.clients}):
            highest, seconds, meanwhile = _with_large(server, large, small, clients)
            found["memory_mib"].append(highest)
            found["small_seconds"].append(meanwhile)
            found[f"large_seconds_of_{clients}"] = seconds
    print(json.dumps(found))
    return 0


def _with_large(server: Server, large: bytes, small: bytes, clients: int) -> tuple[float, list[float], float]:
    """Return the highest memory, how long each large picture took, and a small one that came after them."""
    with ThreadPoolExecutor(clients + 1) as pool:
        asked = [pool.submit(_asked, server, large) for _ in range(clients)]
        time.sleep(2)  # until they are decoded
        meanwhile = pool.submit(_asked, server, small)
        highest = 0.0
        while not all(each.done() for each in (*asked, meanwhile)):
            highest = max(highest, _mebibytes(server))
            time.sleep(0.1)
        return highest, [each.result() for each in asked], meanwhile.result()


def _asked(server: Server, content: bytes) -> float:
    start = time.perf_counter()
    headers = {"content-type": "application/octet-stream"}
    answer = httpx.post(f"{server.address}predict", content=content, headers=headers, timeout=LONGEST_SECONDS)
    answer.raise_for_status()
    return round(time.perf_counter() - start, 2)


def _mebibytes(server: Server) -> float:
    return round(sum(map(anonymous_bytes, server.members())) / 2**20, 1)


if __name__ == "__main__":
    sys.exit(main())
