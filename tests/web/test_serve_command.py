"""`netwright serve` as a process: SIGTERM, several workers, what it says."""

import io
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image

from netwright.cli.main import run
from tests.web.conftest import until

BYTES = {"content-type": "application/octet-stream"}


@contextmanager
def command(bundle: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    words = [sys.executable, "-m", "netwright", "serve", str(bundle), "--port", "0", "--json", "--decoders", "1"]
    process = subprocess.Popen([*words, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())["address"]
        with httpx.Client(base_url=address, timeout=60) as client:
            yield process, client
    finally:
        process.kill()
        process.wait()


def test_sigterm_answers_what_has_come_and_ends_with_0(bundle: Path, pictures: list[Path]) -> None:
    with command(bundle) as (process, client):
        files = [("images", (path.name, path.read_bytes())) for path in pictures * 3]
        assert client.get("/healthz").status_code == 200
        answers: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: answers.append(client.post("/predict", files=files)))
        thread.start()
        until(lambda: "netwright_waiting_images 60" in httpx.get(f"{client.base_url}metrics").text or answers)
        process.send_signal(signal.SIGTERM)
        thread.join()
        assert answers[0].status_code == 200
        assert len(answers[0].json()["predictions"]) == 60
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_larger_images_than_allowed_are_refused_by_their_header(bundle: Path) -> None:
    with command(bundle, "--max-megapixels", "1") as (_, client):
        fits, too_large = (
            client.post("/predict", content=png(width, 1_000), headers=BYTES).json()["predictions"][0]
            for width in (1_000, 1_001)
        )
    assert "label" in fits
    assert "1001 × 1000 pixels, more than 1 million" in too_large["error"]["message"]


def png(width: int, height: int) -> bytes:
    made = io.BytesIO()
    Image.new("L", (width, height)).save(made, "PNG")
    return made.getvalue()


@pytest.mark.slow
def test_several_workers_share_the_port_and_a_dead_one_is_replaced(bundle: Path, pictures: list[Path]) -> None:
    with command(bundle, "--workers", "2") as (process, client):
        before = workers_of(process.pid)
        assert len(before) == 2
        client.post("/predict", content=pictures[0].read_bytes(), headers=BYTES).raise_for_status()
        subprocess.run(["kill", "-9", str(min(before))], check=True)
        until(lambda: len(workers_of(process.pid) - {min(before)}) == 2, 60)
        for _ in range(5):
            with httpx.Client(base_url=client.base_url, timeout=60) as fresh:
                fresh.post("/predict", content=pictures[0].read_bytes(), headers=BYTES).raise_for_status()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert not workers_of(process.pid)


def workers_of(parent: int) -> set[int]:
    """Return the serving children of a process, not multiprocessing's own."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            words = (path / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == parent and b"spawn_main" in words and fields[0] != "Z":
            found.add(int(path.name))
    return found


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--host", "no such host"], 2, "no address"),
        (["--token-file", "short"], 2, "at least 16"),
        (["--token-file", "gone"], 2, "can't be read"),
    ],
)
def test_what_can_not_be_served_is_said(
    options: list[str],
    code: int,
    said: str,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short").write_text("secret\n")
    assert run(["serve", str(bundle), "--port", "0", *options]) == code
    assert said in capsys.readouterr().err


def test_a_port_that_is_taken_is_said(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from netwright.web.server import listen

    with listen("127.0.0.1", 0) as taken:
        assert run(["serve", str(bundle), "--port", str(taken.getsockname()[1])]) == 4
    assert "--port" in capsys.readouterr().err


def test_an_answer_does_not_wait_for_an_acknowledgement() -> None:
    """asyncio sets TCP_NODELAY by the protocol; without it answers on a kept connection take 40 ms."""
    from netwright.web.server import listen

    with listen("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert accepted.proto == socket.IPPROTO_TCP
