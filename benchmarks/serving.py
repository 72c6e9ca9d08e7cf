"""Serving: netwright beside a plain FastAPI handler and LitServe, the same network on the same machine, over loopback.

    python benchmarks/serving.py BUNDLE IMAGE [--clients 1,8,64] [--seconds 5] [--pairs 7] [--litserve]
    python benchmarks/serving.py BUNDLE IMAGE --overload 120

Each side is a server in a process of its own, asked by `--clients` threads at once that each send one image after the
other on one connection. A pair is one measurement of each side, alternating; printed are images a second and the
median and 99th percentile of the latency, and medians of the ratios. The plain handler is what a tutorial shows: Pillow
decodes in the handler, one image at a time goes through the network. `--overload` asks with ten times the clients that
may wait, for so many seconds: which answers came, memory before and after, seconds to the first 200 afterwards.
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

SIDES = ("ours", "plain", "litserve")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("image", type=Path)
    parser.add_argument("--clients", default="1,8,64")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--litserve", action="store_true", help="also LitServe, which must be installed")
    parser.add_argument("--overload", type=float, metavar="SECONDS")
    options = parser.parse_args()
    content = options.image.read_bytes()
    if options.overload:
        print(json.dumps(overload(options.bundle, content, options.overload)))
        return 0
    sides = SIDES if options.litserve else SIDES[:2]
    for clients in (int(text) for text in options.clients.split(",")):
        found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
        for number in range(options.pairs):
            for side in sides if number % 2 == 0 else sides[::-1]:
                with server(side, options.bundle, options.threads) as url:
                    ask(url, content, clients, 1.0)  # a warm-up
                    found[side].append(ask(url, content, clients, options.seconds))
        print(json.dumps(summary(clients, found)), flush=True)
    return 0


def summary(clients: int, found: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Return medians of each side, and medians of the ratios to ours."""
    result: dict[str, Any] = {"clients": clients}
    for side, rows in found.items():
        result[side] = {key: round(median(row[key] for row in rows), 3) for key in rows[0]}
        if side != "ours":
            pairs = list(zip(found["ours"], rows, strict=True))
            result[f"throughput, ours ÷ {side}"] = round(median(a["per_second"] / b["per_second"] for a, b in pairs), 3)
            result[f"p50, ours ÷ {side}"] = round(median(a["p50_ms"] / b["p50_ms"] for a, b in pairs), 3)
    return result


def ask(url: str, content: bytes, clients: int, seconds: float) -> dict[str, float]:
    """Send images from `clients` threads for some seconds; return images a second and latencies in milliseconds."""
    latencies: list[float] = []
    start = time.perf_counter()

    def client() -> None:
        connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
        while time.perf_counter() - start < seconds:
            began = time.perf_counter()
            connection.request("POST", "/predict", content, {"Content-Type": "application/octet-stream"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            latencies.append(time.perf_counter() - began)
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.perf_counter() - start
    ordered = sorted(latencies)
    return {
        "per_second": len(ordered) / spent,
        "p50_ms": 1000 * ordered[len(ordered) // 2],
        "p99_ms": 1000 * ordered[int(0.99 * len(ordered))],
    }


@contextmanager
def server(side: str, bundle: str, threads: int) -> Iterator[str]:
    """Start one side's server; give its address."""
    if side == "ours":
        line = [sys.executable, "-m", "netwright", "serve", bundle, "--port", "0", "--json", "--most-waiting", "256"]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["address"]
        finally:
            process.terminate()
            process.wait()
        return
    port = _free_port()
    target: Callable[..., None] = _plain if side == "plain" else _litserve
    other = multiprocessing.get_context("spawn").Process(target=target, args=(bundle, port, threads))
    other.start()
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        other.terminate()
        other.join()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    import socket

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the other server did not start")


def _answerer(bundle: str, threads: int) -> Callable[[bytes], dict[str, float]]:
    """Return what a tutorial's handler does with one image: decode, transform, run, softmax."""
    import io

    import torch
    from PIL import Image
    from torchvision import transforms

    from netwright.workflows.own import Own
    from netwright.workflows.predict import opened

    with opened(bundle, Own()) as predictor:
        pass
    torch.set_num_threads(threads)
    transform, network = predictor.transform, predictor.network
    mode = "RGB" if predictor.bundle.in_channels == 3 else "L"
    steps = transforms.Compose(
        [
            transforms.Resize(min(transform.store_size)),
            transforms.CenterCrop(transform.image_size),
            transforms.ToTensor(),
            transforms.Normalize(transform.mean, transform.std),
        ]
    )
    names = predictor.bundle.task.class_names

    def answer(content: bytes) -> dict[str, float]:
        image = Image.open(io.BytesIO(content)).convert(mode)
        with torch.inference_mode():
            probabilities = network(steps(image)[None]).softmax(1)[0].tolist()
        return dict(zip(names, probabilities, strict=True))

    return answer


def _plain(bundle: str, port: int, threads: int) -> None:
    """Serve as tutorials do: a FastAPI handler that does it all."""
    import uvicorn
    from fastapi import FastAPI, Request

    answer, app = _answerer(bundle, threads), FastAPI()

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, float]:
        return answer(await request.body())

    uvicorn.run(app, port=port, log_level="error")


def _litserve(bundle: str, port: int, threads: int) -> None:
    """Serve with LitServe, in batches, as its documentation says."""
    import litserve
    from fastapi import Request

    class Api(litserve.LitAPI):  # type: ignore[misc]
        def setup(self, device: str) -> None:
            self.answer = _answerer(bundle, threads)

        async def decode_request(self, request: Request) -> bytes:
            return await request.body()

        def predict(self, content: bytes) -> dict[str, float]:
            return self.answer(content)

        def encode_response(self, output: dict[str, float]) -> dict[str, float]:
            return output

    litserve.LitServer(Api(), accelerator="cpu").run(port=port, log_level="error", generate_client_file=False)


def overload(bundle: str, content: bytes, seconds: float) -> dict[str, Any]:
    """Ask with ten times as many clients as may wait."""
    statuses: Counter[int | str] = Counter()
    line = [sys.executable, "-m", "netwright", "serve", bundle, "--port", "0", "--json", "--most-waiting", "8"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = json.loads(process.stdout.readline())["address"]
        ask(url, content, 8, 3.0)
        before = _memory(process.pid)
        end = time.monotonic() + seconds

        def client() -> None:
            connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
            while time.monotonic() < end:
                try:
                    connection.request("POST", "/predict", content, {"Content-Type": "application/octet-stream"})
                    answer = connection.getresponse()
                    answer.read()
                    statuses[answer.status] += 1
                except OSError as error:
                    statuses[type(error).__name__] += 1
                    connection.close()

        threads = [threading.Thread(target=client) for _ in range(80)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        start, after = time.perf_counter(), _memory(process.pid)
        ask(url, content, 1, 0.01)
        return {
            "answers": {str(status): number for status, number in statuses.items()},
            "memory_mib": [before, after],
            "recovery_seconds": round(time.perf_counter() - start, 3),
        }
    finally:
        process.terminate()
        process.wait()


def _memory(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return round(int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024, 1)


if __name__ == "__main__":
    sys.exit(main())
