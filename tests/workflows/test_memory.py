"""Memory and disk before the first step: refused with numbers, or tried in parts that fit; the choice is recorded."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import netwright as nw
from netwright.errors import MachineError
from netwright.files.sealed import read_sealed, write_sealed
from netwright.runs.checkpoints import NAMES
from netwright.workflows import memory
from netwright.workflows.memory import size

SOURCE = str(Path(nw.__file__).parents[1])
RUNTIME = {"threads": 1, "device": "cpu", "precision": "fp32"}  # bf16 takes about half of the room
BIG = {"name": "mlp", "hidden_sizes": [4096]}


@pytest.fixture(scope="module", autouse=True)
def without_plots(no_plots: None) -> None:
    """Run without plots."""


def train(out: Path, **training: Any) -> nw.Run:
    return nw.train("digits", out=out, model=BIG, training={"epochs": 1} | training, runtime=RUNTIME, quiet=True)


def test_what_does_not_fit_is_refused_with_the_batch_that_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 40_000_000)
    with pytest.raises(MachineError, match=r"a step of 1200 images needs about .* MB .*40 MB are free") as caught:
        train(tmp_path / "run", batch_size=1200)
    assert caught.value.exit_code == 4
    fits = int(str(caught.value).split("--batch-size ")[1].split()[0])
    assert train(tmp_path / "fits", batch_size=fits).history
    monkeypatch.setattr(memory, "available_bytes", lambda: 2_000_000)
    with pytest.raises(MachineError, match="take smaller images"):
        train(tmp_path / "never")


def test_auto_keeps_the_update_and_records_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 40_000_000)
    run = train(tmp_path / "run", batch_size=1000, fit_memory=True)
    chosen = run.recipe.training
    assert not chosen.fit_memory
    assert chosen.batch_size < 1000
    assert chosen.batch_size * chosen.accumulation_steps in range(992, 1001)
    assert run.history[0]["step"] == 2  # 1,257 images
    same = train(tmp_path / "given", batch_size=chosen.batch_size, accumulation_steps=chosen.accumulation_steps)
    assert same.folder.weights.read_bytes() == run.folder.weights.read_bytes()
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    assert nw.resume(run.path, epochs=2, quiet=True).recipe.training.batch_size == chosen.batch_size


def test_the_word_auto_is_understood_everywhere(tmp_path: Path) -> None:
    for settings in ({"batch_size": "auto"}, {"training": {"batch_size": "auto"}}):
        run = nw.train(
            "digits", out=tmp_path / f"run{len(str(settings))}", model="linear", epochs=1, quiet=True, **settings
        )
        assert run.recipe.training.batch_size == nw.load(run.path).recipe.training.batch_size > 2


def test_a_network_that_does_not_fit_is_refused_before_it_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers that fit one by one, and not together, would end in the system's killing the process, without a word."""
    monkeypatch.setattr(memory, "available_bytes", lambda: 10**9)
    model = {"name": "mlp", "hidden_sizes": [1_000_000] * 2}  # no system gives the second layer if asked
    weights = 4 * (64 * 10**6 + 10**12 + 10 * 10**6 + 2 * 10**6 + 10)
    with pytest.raises(MachineError, match=f"the network's weights alone take {size(weights)}, and 1.0 GB are free"):
        nw.train("digits", out=tmp_path / "run", model=model, runtime=RUNTIME, quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("model", [BIG | {"dropout": 0.1}, "linear", "cnn", "alexnet"])
def test_weighing_a_network_changes_no_weight(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size_of = {"image_size": 64} if model == "alexnet" else {}
    run = nw.train("digits", out=tmp_path / "weighed", model=model, epochs=1, runtime=RUNTIME, quiet=True, **size_of)
    monkeypatch.setattr(memory, "available_bytes", lambda: None)  # nothing is weighed
    same = nw.train("digits", out=tmp_path / "not", model=model, epochs=1, runtime=RUNTIME, quiet=True, **size_of)
    assert same.folder.weights.read_bytes() == run.folder.weights.read_bytes()


LIMITED = """
import resource, sys
import sklearn.datasets, torch, netwright, netwright.workflows.sitting
sklearn.datasets.load_digits()
from pathlib import Path
from netwright.cli.main import run
pages = int(Path("/proc/self/statm").read_text().split()[0])
most = 4096 * pages + 1300 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (most, most))
line = ["train", "digits", "--threads", "1", "--precision", "fp32", "--epochs", "1"]
line += ["--set", "model={name: mlp, hidden_sizes: [65536]}"]
line += ["--set", "training.batch_size=1257", "--quiet"]
print(run([*line, "--out", "refused"]), flush=True)
print(run([*line, "--out", "auto", "--set", "training.fit_memory=true"]), flush=True)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells how much memory is left")
def test_under_a_real_limit(tmp_path: Path) -> None:
    """1,300 MiB of address space are left to libraries and training; a batch of all images takes 1.1 GB."""
    environment = os.environ | {"PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    codes = [word for word in done.stdout.splitlines() if word.isdigit()]
    assert codes == ["4", "0"], done.stderr
    assert "a step of 1257 images needs about" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "refused").exists()
    assert nw.load(tmp_path / "auto").recipe.training.accumulation_steps > 1


def test_checkpoints_that_do_not_fit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(tmp_path / "run")
    one = max(sum(f.stat().st_size for f in (run.folder.checkpoints / name).glob("*")) for name in NAMES[:1])
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(memory.shutil, "disk_usage", lambda path: usage._replace(free=3 * one))
    with pytest.raises(MachineError, match="the disk is too full") as caught:
        train(tmp_path / "full")
    assert caught.value.exit_code == 4
    assert not (tmp_path / "full").exists()
    monkeypatch.setattr(memory.shutil, "disk_usage", lambda path: usage._replace(free=4 * one))
    assert train(tmp_path / "enough").history


def test_a_device_that_runs_out_is_told_of_with_the_batch_size(tmp_path: Path) -> None:
    """What torch raises on a GPU, raised in the midst of a training."""

    def full(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if len(outputs) == 48:  # not the look at the criterion before the first step
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return torch.nn.functional.cross_entropy(outputs, targets)

    with pytest.raises(
        MachineError, match=r"not enough memory on cpu for batches of 48 images.*--batch-size auto"
    ) as told:
        nw.train(
            "digits", model="linear", criterion=full, batch_size=48, out=tmp_path / "run", runtime=RUNTIME, quiet=True
        )
    assert told.value.exit_code == 4


def test_a_resume_says_when_the_end_looked_like_lack_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(tmp_path / "run")
    known = read_sealed(run.folder.state)
    assert known["state"] == "done"
    write_sealed(run.folder.state, known | {"state": "running", "oom_kills": 2})
    for kills, said in ((2, False), (3, True)):
        monkeypatch.setattr("netwright.workflows.supervise.oom_kills", lambda number=kills: number)
        write_sealed(run.folder.state, known | {"state": "running", "oom_kills": 2})
        nw.resume(run.path, quiet=True)
        assert ("for lack of memory" in capsys.readouterr().err) is said


def test_sizes_are_read_by_people() -> None:
    assert [size(number) for number in (7, 1500, 2.4e6, 3.21e9)] == ["7 bytes", "2 kB", "2 MB", "3.2 GB"]
