"""What Prometheus may ask: how many, how long, how full. Each server process has its own numbers."""

import time
from collections.abc import MutableMapping
from functools import cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from netwright.web.guard import App, Message, Receive, Send

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        kept = self.registry
        self.requests = Counter("netwright_requests", "Requests answered", ["path", "status"], registry=kept)
        self.seconds = Histogram(
            "netwright_request_seconds", "To the first byte of the answer", ["path"], buckets=SECONDS, registry=kept
        )
        self.images = Counter("netwright_images", "Images answered", ["outcome"], registry=kept)
        self.batches = Histogram("netwright_batch_images", "Images computed at once", buckets=SIZES, registry=kept)
        self.waiting = Gauge("netwright_waiting_images", "Images decoded, waiting or computed now", registry=kept)

        self._labelled, self._unreadable = self.images.labels("labelled"), self.images.labels("unreadable")

    def count_images(self, number: int, unreadable: int) -> None:
        """Count the images of an answer."""
        if unreadable:
            self._unreadable.inc(unreadable)
        if number > unreadable:
            self._labelled.inc(number - unreadable)

    def text(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self.registry)

    def wrapped(self, app: App) -> App:
        """Count and time the requests of an application; paths that it does not have share one name, so that nobody
        can fill the memory with them."""

        @cache
        def of(path: str, status: int) -> tuple[Counter, Histogram]:
            return self.requests.labels(path, status), self.seconds.labels(path)

        async def counting(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            start = time.perf_counter()

            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    path = getattr(scope.get("route"), "path", "other")
                    number, seconds = of(path, message["status"])
                    number.inc()
                    seconds.observe(time.perf_counter() - start)
                await send(message)

            await app(scope, receive, sending)

        return counting
