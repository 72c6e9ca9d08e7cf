"""The self-test: what it plans for a machine, and, slowly, that it passes here and notices a run that differs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import netwright
from netwright.cli.main import run
from netwright.runtime.promises import describe_build, folder_promises, promises
from netwright.workflows.selftest import plan_trials

SOURCE = str(Path(netwright.__file__).parents[1])
# a run in which the seed of a step is forgotten: its dropout depends on what was drawn since the process began
FORGETFUL = "import netwright.training.fit as fit\nfit.set_seed = lambda value: None\n"


def test_the_moments_depend_on_the_seed_alone() -> None:
    one, again, other = (plan_trials(None, seed, False, 1) for seed in (1, 1, 2))
    assert one == again
    assert one[0].moments != other[0].moments
    assert [moment.phase for moment in one[0].moments] == ["start", "training", "training", "training", "results"]
    assert all(0 <= moment.fraction < 1 for moment in one[0].moments)
    in_training = [moment.fraction for moment in one[0].moments[1:4]]
    assert in_training == sorted(in_training)


@pytest.mark.parametrize(
    ("gpu", "promised"),
    [
        (None, {"CPU": True}),
        ("cuda", {"CPU": True, "GPU, --exact": True, "GPU, not exact": False}),
        ("mps", {"CPU": True, "GPU, not exact": False}),
    ],
)
def test_each_device_is_held_to_what_is_promised_for_it(gpu: str | None, promised: dict[str, bool]) -> None:
    trials = plan_trials(gpu, 0, True, 2)
    assert {trial.name: trial.promised for trial in trials} == promised
    assert [trial.runtime["device"] for trial in trials] == ["cpu", gpu, gpu][: len(trials)]
    assert [trial.runtime.get("exact", False) for trial in trials] == [
        "exact" in name and "not" not in name for name in promised
    ]


def test_what_is_promised_is_said_for_the_processor_and_the_gpu() -> None:
    found = promises()
    assert found[0].startswith("CPU: the same bits")
    assert "GPU" in found[1] or "--exact" in found[1] or "MPS" in found[1]
    assert describe_build().startswith("torch ")


def test_a_network_file_system_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any("network" in text for text in folder_promises(tmp_path))
    mounts = f"none / ext4 rw 0 0\nserver:/home {tmp_path} nfs4 rw 0 0\n"
    plain = Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda self, **how: mounts if self == Path("/proc/mounts") else plain(self, **how)
    )
    assert any("network file system (nfs4)" in text for text in folder_promises(tmp_path / "runs"))


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["selftest", "--folder", str(tmp_path / "nowhere")]) == 2
    assert "nowhere is not a folder" in capsys.readouterr().err


def selftest(folder: Path, *more: str, path: str = SOURCE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "netwright", "selftest", "--quick", "--folder", str(folder), *more]
    return subprocess.run(
        command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False, timeout=1000
    )


@pytest.mark.slow
def test_it_passes_here_and_leaves_nothing(tmp_path: Path) -> None:
    done = selftest(tmp_path, "--json", "--seed", "7")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["passed"] and result["seed"] == 7
    assert result["trials"][0]["equal"] and result["trials"][0]["kills"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_run_that_forgets_its_seeds_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sitecustomize.py").write_text(FORGETFUL)
    (tmp_path / "scratch").mkdir()
    done = selftest(tmp_path / "scratch", path=f"{tmp_path / 'broken'}{os.pathsep}{SOURCE}")
    assert done.returncode == 6, done.stderr
    assert "DIFFERS" in done.stdout
    assert "bundle/model.safetensors: " in done.stdout
    assert "netwright selftest --seed" in done.stderr
    assert list((tmp_path / "scratch").iterdir()) == []
