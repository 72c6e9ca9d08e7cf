"""Photographs and a frozen network, whole processes from cold caches: netwright, the classic loop, fastai, Lightning.

    python -m benchmarks.pretrained --weights FILE --data-root DIR [--pairs 5] [--epochs 20] [--peers PYTHON]

DIR has hymenoptera/{train,val} (or --folder names another such folder), FILE is a state dict of torchvision's
squeezenet1_1. All sides train a linear head on the mean over places for 20 epochs (Adam 1e-3, batch 32, no
augmentation) and validate after every epoch. The others run the frozen network in each epoch over each photograph,
loaded by two workers; ours decodes and runs it once. Reported are whole processes, start to saved model, medians over
the pairs, and medians of the pairs' ratios; accuracies are the best epoch's. `--solver` adds ours with the head's
optimum in place of 20 epochs. Goals: 8 × the classic loop's speed, 5 × the peers', epochs under 0.1 s, 90 % on val."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median

from benchmarks.measure import Measured, SideFailed, measure

SIDES = {
    "netwright": ("benchmarks.sides.frozen_ours", ()),
    "netwright, solver": ("benchmarks.sides.frozen_ours", ("--solver",)),
    "classic loop": ("benchmarks.sides.frozen_classic", ()),
    "fastai": ("benchmarks.peers.frozen_fastai", ()),
    "Lightning": ("benchmarks.peers.frozen_lightning", ()),
}
PEERS = ("fastai", "Lightning")
GOALS = {"classic loop": 8.0, "fastai": 5.0, "Lightning": 5.0}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data-root", type=Path, default=Path("."), metavar="DIR")
    parser.add_argument("--folder", type=Path, help="[hymenoptera in DIR]")
    parser.add_argument("--pairs", type=int, default=5, help="runs of each side [5]")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", default="", metavar="PYTHON", help="the Python with fastai and Lightning")
    parser.add_argument("--solver", action="store_true", help="ours with the head's optimum too")
    options = parser.parse_args(arguments)
    folder = (options.folder or options.data_root / "hymenoptera").resolve()
    if not (folder / "train").is_dir() or not options.weights.is_file():
        print(f"left out: needs {folder / 'train'} and {options.weights}")
        return 0
    runs = run_sides(options, folder)
    print(table(runs, options))
    return 0


def run_sides(options: argparse.Namespace, folder: Path) -> dict[str, list[Measured]]:
    """Run the sides in turn, A B C, C B A, …; a side that fails once is left out."""
    names = [name for name in SIDES if name not in PEERS or options.peers]
    names = [name for name in names if name != "netwright, solver" or options.solver]
    runs: dict[str, list[Measured]] = {}
    for pair in range(options.pairs):
        for name in reversed(names) if pair % 2 else list(names):
            module, more = SIDES[name]
            python = options.peers if name in PEERS else sys.executable
            command = [python, "-m", module, "--folder", str(folder), "--weights", str(options.weights.resolve())]
            command += ["--epochs", str(options.epochs), "--threads", str(options.threads), "--seed", str(pair), *more]
            try:
                found = measure(pair, name, command, options.threads)
            except SideFailed as failure:
                print(f"{name} did not run: {failure}", file=sys.stderr)
                names = [other for other in names if other != name]
                continue
            runs.setdefault(name, []).append(found)
            print(f"  {pair + 1}  {name:20} {found.process_seconds:7.1f} s  {found.accuracy:.2%}", file=sys.stderr)
    return runs


def table(runs: dict[str, list[Measured]], options: argparse.Namespace) -> str:
    """Return the medians and ratios for people."""
    lines = [
        f"SqueezeNet 1.1 frozen, {options.epochs} epochs of the head, {options.threads} threads, {options.pairs} runs "
        "of each side, in turn",
        f"{'whole process':20}{'seconds':>9}{'an epoch':>11}{'memory':>11}{'accuracy':>11}{'÷ netwright':>13}  range",
    ]
    ours = runs.get("netwright", [])
    for name, found in runs.items():
        epochs = [run.detail.get("longest_epoch", run.detail.get("epoch_seconds")) for run in found]
        epoch = f"{max(epochs):.3f} s" if None not in epochs else "–"
        memory = max(run.peak_anon_bytes for run in found) / 2**30
        line = f"{name:20}{median(run.process_seconds for run in found):9.1f}{epoch:>11}{memory:7.2f} GiB"
        line += f"{mean(run.accuracy for run in found):11.2%}"
        ratios = ratios_of(found, ours)
        if name not in ("netwright",) and ratios:
            goal = f", to reach {GOALS[name]:g}" if name in GOALS else ""
            line += f"{median(ratios):13.2f}  {ratios[0]:.2f} – {ratios[-1]:.2f}{goal}"
        lines.append(line)
    return "\n".join(lines)


def ratios_of(slower: Sequence[Measured], ours: Sequence[Measured]) -> list[float]:
    """Return the ratios of the pairs' whole processes, sorted."""
    seconds = {run.pair: run.process_seconds for run in ours}
    return sorted(run.process_seconds / seconds[run.pair] for run in slower if run.pair in seconds)


if __name__ == "__main__":
    sys.exit(main())
