"""Ours: `netwright train RECIPE`, with everything that it does for everyone: metrics, progress, bundle, history.

Seconds are `train_seconds` of the history, the mean over the epochs: the first step of an epoch to the last, its
progress and sums included."""

import io
import json
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout

from benchmarks.sides.report import Terminal, arguments_of, report, work_of

AUGMENTATION = "augmentation=[{name: random_crop, padding: 4}, {name: horizontal_flip}]"


def main() -> None:
    arguments = arguments_of(__doc__)
    work = work_of(arguments)
    command = ["train", work.recipe, "--epochs", str(work.epochs), "--set", f"data.source={arguments.npz}", "--json"]
    command += ["--set", "split.val=null"]  # the arrays come with their val split
    command += ["--threads", str(arguments.threads), "--seed", str(arguments.seed)]
    if not arguments.fast:  # which chooses the batch size itself
        command += ["--batch-size", str(work.batch_size)]
    command += ["--set", AUGMENTATION] if work.augment else []
    command += [f"--{name}" for name in ("exact", "fast") if getattr(arguments, name)]
    with tempfile.TemporaryDirectory() as folder:
        result = run_command([*command, "--out", f"{folder}/run"])
    last = result["history"][-1]
    seconds = sum(record["train_seconds"] for record in result["history"]) / work.epochs
    detail = {"steps": last["step"], "run_seconds": result["seconds"]}
    report(seconds, last["val_accuracy"], ("torch", "netwright"), **detail)


def run_command(command: list[str]) -> dict:
    """Run netwright in this process as the command line does, and return the JSON it prints."""
    from netwright.cli.main import main as netwright

    printed, terminal = io.StringIO(), Terminal()
    status: object = 0
    sys.argv = ["netwright", *command]
    with redirect_stdout(printed), redirect_stderr(terminal):  # type: ignore[type-var]
        try:
            status = netwright()
        except SystemExit as end:
            status = end.code
    if status:
        said = " ".join([*terminal.messages, printed.getvalue()]).split("\n")[-1]
        sys.exit(f"netwright ended with {status}: {said}")
    return json.loads(printed.getvalue())


if __name__ == "__main__":
    main()
