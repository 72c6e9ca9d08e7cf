"""A served bundle in this process: a real socket, a real server, its decoding processes."""

import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image
from sklearn.datasets import load_digits

import netwright as nw
from netwright.config.serving import Serving
from netwright.web.app import build_app
from netwright.web.guard import Access
from netwright.web.metrics import Metrics
from netwright.web.server import listen, protocol_for
from netwright.workflows.serve import Service, open_service
from tests.workflows.test_masks import SMALL, discs

HOSTS = frozenset({"127.0.0.1", "localhost"})


@contextmanager
def quick_results() -> Iterator[None]:
    """Train without plots and report."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("netwright.workflows.results.draw_plots", lambda *arguments: None)
        patch.setattr("netwright.workflows.report.report_at_the_end", lambda *arguments: None)
        yield


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a small CNN of digits."""
    with quick_results():
        run = nw.train(
            "digits",
            model={"name": "cnn", "channels": [8, 16]},
            epochs=2,
            out=tmp_path_factory.mktemp("served") / "run",
            runtime={"threads": 1, "device": "cpu"},
            quiet=True,
        )
    return run.path / "bundle"


@pytest.fixture(scope="session")
def mask_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a small U-Net that finds discs on gray images of 48 × 48 pixels."""
    root = tmp_path_factory.mktemp("masks")
    with quick_results():
        longer = SMALL | {"training": {"epochs": 25, "batch_size": 4}}
        return nw.train(str(discs(root / "discs")), out=root / "run", quiet=True, **longer).path / "bundle"


@pytest.fixture(scope="session")
def disc(mask_bundle: Path) -> Path:
    """One of its images."""
    return mask_bundle.parent.parent / "discs" / "images" / "disc-3.png"


@pytest.fixture(scope="session")
def rows_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 120 rows: a number, a date, a boolean, a word; `kind` follows from the word and the number."""
    random = np.random.default_rng(3)
    lines = ["size,made,new,colour,weight,kind"]
    for row in range(120):
        size, colour = random.normal(0.2, 0.05), ["red", "green", "blue"][row % 3]
        kind = "plum" if colour == "blue" or size > 0.24 else "cherry"
        weight = 300 * size + (10 if colour == "red" else 0)
        lines.append(f"{size:.4f},2024-{row % 12 + 1:02d}-11,{'yes' if row % 4 else 'no'},{colour},{weight:.2f},{kind}")
    path = tmp_path_factory.mktemp("rows") / "fruit.csv"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="session")
def row_bundles(rows_csv: Path) -> dict[str, Path]:
    """The bundles of two networks for its rows: a classifier of `kind`, and one that says the number `weight`."""
    common: dict[str, Any] = {"epochs": 6, "runtime": {"threads": 1, "device": "cpu"}, "quiet": True}
    columns = {"classes": ("kind", {"weight": "ignore"}), "numbers": ("weight", {"kind": "ignore"})}
    with quick_results():
        return {
            name: nw.train(str(rows_csv), target=target, columns=ignored, out=rows_csv.parent / name, **common).path
            / "bundle"
            for name, (target, ignored) in columns.items()
        }


@pytest.fixture(scope="session")
def number_bundle(pictures: list[Path]) -> Path:
    """The bundle of a network that says how bright a digit's image is."""
    table = pictures[0].parent / "brightness.csv"
    means = [np.asarray(Image.open(path)).mean() for path in pictures]
    lines = [f"{path.name},{mean}" for path, mean in zip(pictures, means, strict=True)]
    table.write_text("\n".join(["path,brightness", *lines]))
    with quick_results():
        run = nw.train(
            str(table),
            task="regression",
            model={"name": "mlp", "hidden_sizes": [16]},
            epochs=3,
            out=table.parent / "run",
            runtime={"threads": 1, "device": "cpu"},
            quiet=True,
        )
    return run.path / "bundle"


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twenty digits as PNG files."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for place, pixels in enumerate(np.rint(load_digits().images[:20] * 255 / 16).astype(np.uint8)):
        paths.append(folder / f"{place:02d}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


@contextmanager
def serving(
    bundle: Path, limits: Serving | None = None, access: Access | None = None
) -> Iterator[tuple[httpx.Client, Service]]:
    """Serve a bundle in a thread; give a client and the service, and stop both at the end."""
    limits = limits or Serving(decoders=1)
    metrics, access = Metrics(), access or Access(HOSTS)
    with open_service(str(bundle), limits, metrics.batches.observe) as service:
        app = build_app(service, access, limits, metrics)
        http = protocol_for(service, metrics, access)
        server = uvicorn.Server(uvicorn.Config(app, http=http, log_level="error", lifespan="off"))
        listening = listen("127.0.0.1", 0)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            until(lambda: server.started)
            with httpx.Client(base_url=address(listening), timeout=30) as client:
                yield client, service
        finally:
            server.should_exit = True
            thread.join()
            listening.close()


def leaks(answer: str) -> list[str]:
    """Return what of a machine or a stack is seen in an answer."""
    private = (
        "Traceback",
        'File "',
        sys.prefix,
        str(Path(nw.__file__).parent),
        tempfile.gettempdir(),
        str(Path.home()),
    )
    return [text for text in private if text in answer]


def address(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def until(condition: Any, seconds: float = 30.0) -> None:
    """Wait for a condition; fail the test when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def served(bundle: Path) -> Iterator[tuple[httpx.Client, Service]]:
    """A server with the default limits and one decoder."""
    with serving(bundle) as both:
        yield both
