"""What goes wrong: one message on standard error, an exit code, and nothing on standard output."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
import torch

import netwright
from netwright import errors
from netwright.cli.failures import explain_failure
from netwright.cli.main import run

SOURCE = str(Path(netwright.__file__).parents[1])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("trian", 'did you mean "train"?'),
        ("mnist", 'did you mean "netwright train mnist"?'),
        ("xyz", "it has: train, evaluate"),
        ("train --epohcs 3", 'there is no option --epohcs (did you mean "--epochs"?)'),
        ("train --model", "--model"),
        ("train mnits", 'did you mean "mnist"?'),
        ("train --dry-run --epochs 0", "`training.epochs` is 0"),
        ("train --dry-run --epochs ten", "`training.epochs` is 'ten'"),
        ("train --dry-run --epochs [", "--epochs '[' is not a number"),
        ("train --dry-run --lr -1", "`optimizer.lr` is -1"),
        ("train --dry-run --set training.epohcs=3", 'did you mean "epochs"?'),
        ("train --dry-run --set training.patience", "not of the form field=value"),
        ("train --dry-run --set trainin.patience=3", "`trainin.patience` is not a field"),
        ("train --dry-run --optimizer adamm", 'did you mean "adam"?'),
        ("train --dry-run --image-size 8x", "`data.image_size"),
        ("train no-such-folder/x --dry-run", "no-such-folder/x"),
        ("runs shwo", 'did you mean "show"?'),
        ("evaluate", "missing argument 'RUN'"),
        ("evaluate x --split vall", "'vall' is not one of 'val', 'test'"),
        ("predict x", "PATHS"),
        ("resume x --epochs 0", "--epochs"),
        ("models --josn", 'did you mean "--json"?'),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    line: str, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(line.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert len(shown.err.splitlines()) <= 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "exit_code", "said"),
    [
        (errors.DataError("this is bad"), 2, "error: this is bad\n"),
        (errors.MachineError("no room"), 4, "error: no room\n"),
        (errors.Interrupted("stopped"), 5, "error: stopped\n"),
        (errors.WorkFailed("nan"), 6, "error: nan\n"),
        (KeyboardInterrupt(), 5, "interrupted\n"),
        (click.Abort(), 5, "interrupted\n"),
        (MemoryError(), 4, "not enough memory"),
        (torch.OutOfMemoryError("CUDA out of memory."), 4, "not enough memory"),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), 4, "error: /x/y: No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), 4, "error: /x/y: Permission denied"),
    ],
)
def test_each_failure_has_its_exit_code(
    error: BaseException, exit_code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain_failure(error, None) == exit_code
    assert said in capsys.readouterr().err


def test_a_bug_keeps_its_traceback_in_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ZeroDivisionError("ours")
    except ZeroDivisionError as error:
        assert explain_failure(error, tmp_path) == 1
    log = tmp_path / "log.txt"
    said = capsys.readouterr().err
    assert str(log) in said
    assert "bug in netwright" in said
    assert "ZeroDivisionError: ours" in said
    assert "Traceback" not in said
    assert "Traceback" in log.read_text()
    assert "test_failures.py" in log.read_text()


def test_a_bug_without_a_run_is_kept_in_the_state_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain_failure(ZeroDivisionError("ours"), None) == 1
    path = Path(capsys.readouterr().err.strip().rpartition(": ")[2])
    assert path.name == "bugs.log"
    assert "ZeroDivisionError: ours" in path.read_text()


def test_an_interruption_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain_failure(KeyboardInterrupt(), Path("runs/digits-1")) == 5
    assert capsys.readouterr().err == "interrupted; go on with: netwright resume runs/digits-1\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_a_closed_pipe_is_quiet() -> None:
    line = f'{sys.executable} -c "from netwright.cli.main import main; main()" optimizers | head -n 1'
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.startswith("optimizers")


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c_leaves_a_run_that_can_be_resumed(tmp_path: Path) -> None:
    line = [
        sys.executable,
        "-m",
        "netwright",
        "train",
        "--epochs",
        "5000",
        "--threads",
        "1",
        "--set",
        "training.patience=null",
    ]
    with subprocess.Popen(
        line,
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": SOURCE},
    ) as process:
        assert process.stdout is not None
        for shown in process.stdout:
            if shown.lstrip().startswith("1/"):
                break
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 5, said
    assert said.count("netwright resume runs/digits-1") == 1
    assert "Traceback" not in said
    assert "next: netwright resume runs/digits-1" not in said
    shown = subprocess.run(
        [sys.executable, "-m", "netwright", "runs"],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONPATH": SOURCE},
    ).stdout
    assert "digits-1  interrupted" in shown
