"""The server's processes: one that serves, or several that share nothing but the port."""

import logging
import multiprocessing
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from netwright.config.serving import Serving
from netwright.errors import InputError, MachineError
from netwright.web.app import build_app
from netwright.web.doorkeeper import Rules, doorkeeper, overloaded
from netwright.web.guard import Access
from netwright.web.metrics import Metrics
from netwright.workflows.serve import Overloaded, Service, open_service

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_BACKLOG = 1024
_DRAIN_SECONDS = 30
_MOST_OTHERS = 8  # requests under way that hold no place, such as /metrics


@dataclass(frozen=True)
class Served:
    """What is served, where and to whom."""

    run: str
    host: str
    port: int
    workers: int
    access: Access
    limits: Serving


def access_for(host: str, allowed: tuple[str, ...], token: str | None) -> Access:
    """Return who may ask a server that listens at `host`; one on all addresses answers under any name."""
    if host in ("0.0.0.0", "::") and not allowed:
        return Access(frozenset(), token)
    return Access(frozenset(name.lower() for name in (*LOOPBACK, host, *allowed)), token)


def serve(served: Served, ready: Any = None) -> None:
    """Serve until told to stop (SIGTERM or Ctrl-C), then answer what has come. `ready` is called with the address.

    Raises MachineError when the port is taken, InputError for what is no bundle."""
    listening = listen(served.host, served.port)
    with listening:
        host, port = listening.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        if served.workers == 1:
            serve_here(served, listening, None if ready is None else lambda: ready(address))
        else:
            _supervise(served, listening, None if ready is None else lambda: ready(address))


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound. Raises MachineError when the port is taken or not allowed, InputError for a name
    that is no address of this machine."""
    try:
        family, kind, protocol = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][:3]
    except socket.gaierror:
        raise InputError(f"--host is {host!r}, which is no address; try 127.0.0.1, or 0.0.0.0 for all") from None
    # with its protocol: asyncio sends at once (TCP_NODELAY) only where it sees TCP, and else an answer's second part
    # waits 40 ms for the first one's acknowledgement
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(_BACKLOG)
        made.set_inheritable(True)
    except OSError as error:
        made.close()
        raise MachineError(f"port {port} of {host} can't be had ({error.strerror}); give another with --port") from None
    return made


def serve_here(served: Served, listening: socket.socket, ready: Any = None) -> None:
    """Load the bundle and serve in this process."""
    metrics = Metrics()
    with open_service(served.run, served.limits, metrics.batches.observe) as service:
        config = uvicorn.Config(
            build_app(service, served.access, served.limits, metrics),
            http=protocol_for(service, metrics, served.access),
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
            h11_max_incomplete_event_size=64 * 1024,
        )
        _end_quietly()
        if ready is not None:
            ready()
        uvicorn.Server(config).run(sockets=[listening])


def protocol_for(service: Service, metrics: Metrics, access: Access) -> type[H11Protocol]:
    """Return uvicorn's protocol, with a doorkeeper who turns down who comes while the service is full."""

    most = service.limits.most_waiting + _MOST_OTHERS

    def refused(running: int) -> bytes | None:
        # all that are read in one turn of the event loop come before the first of them has its place
        full = service.overload() or (Overloaded(running, 1) if running >= most else None)
        return None if full is None else overloaded(str(full), full.retry_seconds)

    return doorkeeper(Rules(refused, access.knows, lambda path: metrics.requests.labels(path, 503).inc()))


def _end_quietly() -> None:
    """Let a signal that was obeyed be done with: uvicorn raises it once more when the last answer is sent."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)


def _supervise(served: Served, listening: socket.socket, ready: Any) -> None:
    """Keep some processes serving; one that ends is replaced, and all are told to stop when we are."""
    context = multiprocessing.get_context("spawn")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    processes = [_started(context, served, listening) for _ in range(served.workers)]
    if ready is not None:
        ready()
    failures = 0
    while not stopping.wait(0.2):
        for place, process in enumerate(processes):
            if process.is_alive():
                continue
            failures += 1
            if failures > 5 * served.workers:
                raise MachineError("the server's processes end again and again; their log is above")
            logging.getLogger("uvicorn.error").warning("a server process ended; starting another")
            processes[place] = _started(context, served, listening)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(_DRAIN_SECONDS + 5)
        process.kill()


def _started(context: Any, served: Served, listening: socket.socket) -> Any:
    process = context.Process(target=_work, args=(served, listening))
    process.start()
    return process


def _work(served: Served, listening: socket.socket) -> None:
    """One of several processes: the same bundle, its own decoders, network and numbers."""
    try:
        serve_here(served, listening)
    except (InputError, MachineError) as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
