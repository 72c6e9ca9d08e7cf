"""Published weights over HTTP, from a server of ours on this machine: kept whole and with the right hash, or not."""

import functools
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import torchvision

from netwright.config.models import TorchvisionModel
from netwright.errors import MachineError, WeightsError
from netwright.models import pretrained
from netwright.models.build import build_pretrained
from netwright.models.download import check_hash, fetch_weights, weights_folder


class Pages(BaseHTTPRequestHandler):
    """Gives files by name; `cut` breaks off in the middle, `hang` never answers."""

    def __init__(self, files: dict[str, bytes], asked: list[str], *given: object) -> None:
        self.files, self.asked = files, asked
        super().__init__(*given)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        self.asked.append(name)
        if name.startswith("hang"):
            threading.Event().wait(2)
            return
        content = self.files.get(name)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if name.startswith("cut") else content)

    def log_message(self, *given: object) -> None:
        pass


@pytest.fixture
def files() -> dict[str, bytes]:
    return {}


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def address(files: dict[str, bytes], asked: list[str]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Pages, files, asked)) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def named(content: bytes, start: str = "net") -> str:
    return f"{start}-{hashlib.sha256(content).hexdigest()[:8]}.pth"


def left() -> list[str]:
    return [path.name for path in weights_folder().glob("*")] + [path.name for path in weights_folder().glob(".*")]


def test_a_file_is_fetched_once(address: str, files: dict[str, bytes], asked: list[str]) -> None:
    content = bytes(range(256)) * 5000
    files[named(content)] = content
    said: list[str] = []
    for _ in range(2):
        path = fetch_weights(f"{address}/{named(content)}", said.append)
        assert path.read_bytes() == content
    assert path.parent == weights_folder()
    assert asked == [named(content)]
    assert said == [f"weights  downloading {address}/{named(content)}"]
    assert left() == [path.name]


def test_torchs_own_folder_is_looked_into(address: str, asked: list[str], tmp_path: Path) -> None:
    place = tmp_path / "torch" / "hub" / "checkpoints" / named(b"weights")
    place.parent.mkdir(parents=True)
    place.write_bytes(b"weights")
    assert fetch_weights(f"{address}/{place.name}") == place
    assert asked == []


@pytest.mark.parametrize(
    ("start", "reason"), [("gone", "Not Found"), ("cut", "it ended after 500 of 1,000 bytes"), ("hang", "timed out")]
)
def test_an_unreachable_file_says_the_way_out(start: str, reason: str, address: str, files: dict[str, bytes]) -> None:
    name = named(b"w" * 1000, start)
    if start != "gone":
        files[name] = b"w" * 1000
    with pytest.raises(MachineError) as error:
        fetch_weights(f"{address}/{name}", timeout=0.5 if start == "hang" else 30.0)
    said = str(error.value)
    for words in (reason, f"{address}/{name}", str(weights_folder()), "--weights PATH", "--weights none"):
        assert words in said
    assert error.value.exit_code == 4
    assert left() == []


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"could not be downloaded \(.*refused"):
        fetch_weights("http://127.0.0.1:9/net-0123456789.pth")


def test_another_file_under_the_name_is_not_kept(address: str, files: dict[str, bytes]) -> None:
    name = named(b"the right one")
    files[name] = b"another one"
    with pytest.raises(MachineError, match=r"is not the file that it names"):
        fetch_weights(f"{address}/{name}")
    assert left() == []


def test_a_kept_file_that_was_damaged_is_told(tmp_path: Path) -> None:
    path = tmp_path / named(b"right")
    check_hash(path, hashlib.sha256(b"right").hexdigest())
    with pytest.raises(WeightsError, match=r"is damaged: its SHA-256 begins with"):
        check_hash(path, hashlib.sha256(b"wrong").hexdigest())


def test_published_weights_on_their_whole_way(
    address: str, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchvision's entry with our address in it: downloaded, checked, loaded, with its size and normalisation."""
    torch.manual_seed(8)
    plain = torchvision.models.squeezenet1_1(num_classes=1000)
    torch.save(plain.state_dict(), tmp_path / "made.pth")
    content = (tmp_path / "made.pth").read_bytes()
    files[named(content)] = content
    entry = torchvision.models.SqueezeNet1_1_Weights.DEFAULT
    moved = type(entry.value)(f"{address}/{named(content)}", entry.transforms, entry.meta)
    monkeypatch.setattr(entry, "_value_", moved)
    model = TorchvisionModel(name="squeezenet1_1", weights="default")
    found = pretrained.open_published(model)
    assert (found.name, found.sha256) == ("IMAGENET1K_V1", hashlib.sha256(content).hexdigest())
    known = found.preprocessing
    assert known is not None and (known.image_size, known.resize, known.mean[0]) == ((224, 224), 256, 0.485)
    network, fit = build_pretrained(model, found, in_channels=3, image_size=(64, 64), num_outputs=4, output="logits")
    assert (fit.num_taken, fit.new_head) == (50, True)
    assert torch.equal(network.get_submodule("features.0").weight, plain.features[0].weight)  # type: ignore[arg-type]
