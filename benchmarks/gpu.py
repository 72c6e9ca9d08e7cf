"""An epoch on a CUDA GPU: netwright beside the classic loop and two loops written by hand, in turns, as ratios.

python -m benchmarks.gpu --data DIR [--works mnist-mlp mnist-cnn cifar10-cnn] [--pairs 5]

The classic loop has a DataLoader with 8 workers and pinned memory, PIL images, fp32. The hand-written loops have the
bytes on the device, whole batches, fused Adam, bf16, channels_last and sums on tensors; one launches kernel by kernel,
the other has the whole step in a CUDA graph. Every side trains two epochs and the second is timed, so that cuDNN has
chosen its kernels by then."""

import argparse
import statistics
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

import netwright as nw
from benchmarks.datasets import prepare_npz
from benchmarks.sides.classic import train_epoch
from benchmarks.sides.networks import build_network
from benchmarks.sides.pictures import Pictures, build_transform
from benchmarks.works import LEARNING_RATE, Work, works
from netwright.config.library import read_recipe_file, shipped_recipes
from netwright.config.recipe import build_recipe

CUDA = torch.device("cuda")
WORKERS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--works", nargs="+", default=["mnist-mlp-64", "mnist-cnn", "cifar10-cnn"])
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}; seconds of the second epoch, medians")
    for name in arguments.works:
        work = works(hardware_bf16=True)[name]
        with tempfile.TemporaryDirectory() as folder:
            npz = prepare_npz(work.data, arguments.data, Path(folder), None)
            compare(work, npz, Path(folder), arguments.pairs)


def compare(work: Work, npz: Path, folder: Path, pairs: int) -> None:
    """Time all sides in turns and print medians and ratios to ours."""
    with np.load(npz) as archive:
        pixels, targets = archive["x_train"], archive["y_train"]
    seconds: dict[str, list[float]] = {}
    for turn in range(pairs):
        sides = {
            "netwright": lambda: ours(work, npz, folder / str(turn), graphs=True),  # noqa: B023
            "netwright, no graphs": lambda: ours(work, npz, folder / f"{turn}-eager", graphs=False),  # noqa: B023
            "by hand": lambda: by_hand(work, pixels, targets, graphed=False),
            "by hand, CUDA graph": lambda: by_hand(work, pixels, targets, graphed=True),
        }
        if turn < 3:  # it takes ten times as long as all the others
            sides["classic"] = lambda: classic(work, pixels, targets)
        for name, side in sides.items():
            seconds.setdefault(name, []).append(side())
        now = ", ".join(f"{name} {measured[-1]:.4f} s" for name, measured in seconds.items())
        print(f"{work.name}, turn {turn + 1}: {now}", flush=True)
    print(f"{work.name}, batch {work.batch_size}, {len(targets):,} images")
    for name, measured in seconds.items():
        ratios = [other / ours for other, ours in zip(measured, seconds["netwright"], strict=False)]
        middle, ratio = statistics.median(measured), statistics.median(ratios)
        print(f"  {name:22} {middle:7.3f} s   {ratio:6.2f} × ours   ({min(measured):.3f} to {max(measured):.3f})")


def ours(work: Work, npz: Path, out: Path, *, graphs: bool) -> float:
    recipe = read_recipe_file(shipped_recipes()[work.recipe]) | {"data": {"source": str(npz)}, "split": {}}
    runtime = {"device": "cuda", "cuda_graphs": "auto" if graphs else False}
    run = nw.train(
        build_recipe(recipe), epochs=2, batch_size=work.batch_size, runtime=runtime, out=out, quiet=True,
    )  # fmt: skip
    return float(run.history[-1]["train_seconds"])


def classic(work: Work, pixels: np.ndarray, targets: np.ndarray) -> float:
    dataset = Pictures(pixels, targets, build_transform(work, training=True))
    loader = DataLoader(dataset, work.batch_size, shuffle=True, num_workers=WORKERS, pin_memory=True)
    model = build_network(work.recipe).to(CUDA)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    for _ in range(2):
        begun = perf_counter()
        train_epoch(model, optimizer, loader)
        seconds = perf_counter() - begun
    return seconds


def by_hand(work: Work, pixels: np.ndarray, targets: np.ndarray, *, graphed: bool) -> float:
    everything = torch.from_numpy(pixels if pixels.ndim == 4 else pixels[..., None]).to(CUDA)
    labels = torch.from_numpy(targets).to(CUDA)
    mean, std = work.mean_std
    model = build_network(work.recipe).to(CUDA, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True, capturable=graphed)
    loss_sum, correct = torch.zeros((), device=CUDA), torch.zeros((), dtype=torch.int64, device=CUDA)
    torch.backends.cudnn.benchmark = True

    def step(rows: Tensor) -> None:
        images = everything[rows].permute(0, 3, 1, 2).float().mul_(1 / (255 * std)).sub_(mean / std)
        with torch.autocast("cuda", torch.bfloat16):
            logits = model(images)
        chosen = labels[rows]
        loss = functional.cross_entropy(logits.float(), chosen)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        loss_sum.add_(loss.detach() * len(rows))
        correct.add_((logits.argmax(1) == chosen).sum())

    rows = torch.zeros(work.batch_size, dtype=torch.int64, device=CUDA)
    side_stream = torch.cuda.Stream()
    with torch.cuda.stream(side_stream):
        for _ in range(3):
            step(rows)
    torch.cuda.current_stream().wait_stream(side_stream)
    graph = torch.cuda.CUDAGraph()
    if graphed:
        with torch.cuda.graph(graph):
            step(rows)
    for _ in range(2):
        torch.cuda.synchronize()
        begun = perf_counter()
        for part in torch.randperm(len(labels), device=CUDA).split(work.batch_size):
            if graphed and len(part) == work.batch_size:
                rows.copy_(part)
                graph.replay()
            else:
                step(part)
        loss_sum.item()
        seconds = perf_counter() - begun
    return seconds


if __name__ == "__main__":
    main()
