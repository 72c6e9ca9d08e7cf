"""Ours on photographs: `netwright train FOLDER --weights FILE --freeze backbone`, from empty caches."""

import os
import tempfile

from benchmarks.sides.frozen_arguments import arguments_of
from benchmarks.sides.ours import run_command
from benchmarks.sides.report import report


def main() -> None:
    arguments = arguments_of(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
            os.environ[name] = f"{folder}/{name}"
        command = ["train", str(arguments.folder), "--model", "squeezenet1_1", "--weights", arguments.weights, "--json"]
        command += ["--freeze", "backbone", "--epochs", str(arguments.epochs), "--lr", str(arguments.lr)]
        command += ["--batch-size", str(arguments.batch_size), "--threads", str(arguments.threads)]
        command += ["--seed", str(arguments.seed), "--monitor", "val_accuracy", "--out", f"{folder}/run"]
        command += ["--head-solver", "lbfgs"] if arguments.solver else []
        result = run_command(command)
    epochs = [record["train_seconds"] + record["val_seconds"] for record in result["history"]]
    accuracy = max(record["val_accuracy"] for record in result["history"])
    report(sum(epochs), accuracy, ("torch", "netwright"), epoch_seconds=min(epochs), longest_epoch=max(epochs))


if __name__ == "__main__":
    main()
