"""What computes a prediction: plain eager PyTorch beside netwright's engines, on one thread.

    python benchmarks/engines.py [--networks resnet18,mobilenet_v2,mobilenet_v3_small] [--batches 1,32] [--rounds 7]

Plain eager is what courses write: the network in eval mode in the default memory format, `torch.inference_mode()`, in a
process of its own with the default allocator. The engines run in another one, built and compared as `netwright predict`
does. Both compute the same images (B, 3, 224, 224), in turn; `eager ÷` are medians of the rounds' ratios of processor
time, `difference` is the largest between outputs, as a part of the largest output.
"""

import argparse
import json
import multiprocessing
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision import models

from netwright.config.sections import Runtime
from netwright.deployment.engines import Forward, build_engine, onnx_content
from netwright.errors import MachineError
from netwright.runtime.allocator import keep_large_blocks
from netwright.runtime.machine import choose_machine, hardware_bf16

SIDE_PIXELS, SECONDS_A_ROUND = 224, 0.4
NAMES = ("torch", "onnx", "openvino")


def network_and_images(name: str, batch: int) -> tuple[nn.Module, Tensor]:
    """Return one of torchvision's networks, with batch norm's statistics of real passes, and images."""
    torch.manual_seed(0)
    network = models.get_model(name, weights=None).train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(16, 3, SIDE_PIXELS, SIDE_PIXELS))
    return network.eval(), torch.randn(batch, 3, SIDE_PIXELS, SIDE_PIXELS)


def eager(network: nn.Module, images: Tensor) -> dict[str, Forward]:
    def forward(given: Tensor) -> Tensor:
        with torch.inference_mode():
            answer: Tensor = network(given)
            return answer

    return {"eager": forward}


def engines(network: nn.Module, images: Tensor) -> dict[str, Forward]:
    """Return the engines that are installed, and bf16 ones where the hardware has it."""
    keep_large_blocks()
    content = onnx_content(network, images)
    made: dict[str, Forward] = {}
    bf16 = hardware_bf16(torch.device("cpu"))
    for precision in ("fp32", *(["bf16"] if bf16 else [])):
        machine = choose_machine(Runtime(device="cpu", threads=1, precision=precision))  # type: ignore[arg-type]
        for name in NAMES if precision == "fp32" else ("torch", "openvino"):
            try:
                engine = build_engine(name, network, machine, lambda: content)  # type: ignore[arg-type]
            except MachineError as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
                continue
            made[name + (" bf16" if precision == "bf16" else "")] = engine.forward
    return made


def side(messages: Connection, build: Callable[[nn.Module, Tensor], dict[str, Forward]], name: str, most: int) -> None:
    """Compute what the parent asks for: (engine, batch, 0) -> outputs; (engine, batch, repeats) -> seconds."""
    torch.set_num_threads(1)
    network, images = network_and_images(name, most)
    forwards = build(network, images)
    messages.send(list(forwards))
    while asked := messages.recv():
        forward, some, repeats = forwards[asked[0]], images[: asked[1]], asked[2]
        if not repeats:
            messages.send(forward(some).numpy())
            continue
        start = process_time()
        for _ in range(repeats):
            forward(some)
        messages.send((process_time() - start) / repeats)


class Side:
    """A process that computes."""

    def __init__(self, build: Callable[[nn.Module, Tensor], dict[str, Forward]], name: str, most: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._messages, theirs = context.Pipe()
        self._work = context.Process(target=side, args=(theirs, build, name, most))
        self._work.start()
        self.names: list[str] = self._messages.recv()

    def ask(self, name: str, batch: int, repeats: int = 0) -> Any:
        self._messages.send((name, batch, repeats))
        return self._messages.recv()

    def end(self) -> None:
        self._messages.send(None)
        self._work.join()


def compare(theirs: Side, ours: Side, batch: int, rounds: int) -> dict[str, object]:
    """Time both in turn; return the medians of the rounds' ratios, and how far the outputs are apart."""
    expected = theirs.ask("eager", batch)
    found = {engine: ours.ask(engine, batch) for engine in ours.names}
    repeats = max(1, round(SECONDS_A_ROUND / theirs.ask("eager", batch, 2)))
    seconds: dict[str, list[float]] = {"eager": [], **{engine: [] for engine in ours.names}}
    for number in range(rounds):
        order = ["eager", *ours.names] if number % 2 else [*ours.names, "eager"]
        for engine in order:
            seconds[engine].append((theirs if engine == "eager" else ours).ask(engine, batch, repeats))
    return {
        "batch": batch,
        "eager_ms_an_image": round(1000 * median(seconds["eager"]) / batch, 2),
        "eager ÷": {
            engine: round(median(a / b for a, b in zip(seconds["eager"], seconds[engine], strict=True)), 2)
            for engine in ours.names
        },
        "difference": {
            engine: float(np.abs(each - expected).max() / np.abs(expected).max()) for engine, each in found.items()
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default="resnet18,mobilenet_v2,mobilenet_v3_small")
    parser.add_argument("--batches", default="1,32")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    batches = [int(batch) for batch in options.batches.split(",")]
    for name in options.networks.split(","):
        theirs, ours = Side(eager, name, max(batches)), Side(engines, name, max(batches))
        for batch in batches:
            found = {"network": name} | compare(theirs, ours, batch, options.rounds)
            print(json.dumps(found, ensure_ascii=False), flush=True)
        theirs.end()
        ours.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
