"""What was asked of the machine, made definite: device, precision, memory format, threads."""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Literal

import msgspec
import torch

from netwright.config.sections import Runtime
from netwright.errors import MachineError
from netwright.runtime.allocator import keep_large_blocks


@dataclass(frozen=True)
class Machine:
    """Where and how the network computes, with nothing left to choose."""

    device: torch.device
    precision: str  # fp32 or bf16
    memory_format: torch.memory_format
    threads: int
    exact: bool

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which the forward pass runs."""
        if self.precision != "bf16":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def arrange(self, images: torch.Tensor) -> torch.Tensor:
        """Lay a batch out in this machine's memory format; no copy when it is so already."""
        return images.contiguous(memory_format=self.memory_format) if images.dim() == 4 else images

    def synchronize(self) -> None:
        """Wait until the device has done what it was given, so that a clock can be read."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def describe(self) -> str:
        """Return one phrase for people: "CPU, 2 threads, fp32, channels_last"."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type.upper()
        threads = f", {self.threads} thread{'s' if self.threads > 1 else ''}" if self.device.type == "cpu" else ""
        return f"{name}{threads}, {self.precision}, {memory_format_name(self.memory_format)}"


def choose_machine(runtime: Runtime) -> Machine:
    """Resolve the recipe's `runtime`. Raises MachineError when the device asked for is not there."""
    device = _choose_device(runtime.device)
    exact = runtime.exact
    precision = runtime.precision
    if precision == "auto":
        precision = "bf16" if not exact and hardware_bf16(device) else "fp32"
    layout = runtime.memory_format
    if layout == "auto":
        layout = "contiguous" if exact else "channels_last"
    threads = runtime.threads if isinstance(runtime.threads, int) else usual_threads()
    return Machine(device, precision, _MEMORY_FORMATS[layout], threads, exact)


def machine_for_predictions(runtime: Runtime) -> Machine:
    """Resolve the `runtime` of a run's recipe where its network is used and not trained, perhaps on another machine.

    It computes as it was trained, as far as this machine can: another device where there is no such one, fp32 where
    bf16 would be emulated, no more threads than cores (8 to 50 times slower)."""
    try:
        machine = choose_machine(runtime)
    except MachineError:
        machine = choose_machine(msgspec.structs.replace(runtime, device="auto"))
    if machine.precision == "bf16" and not hardware_bf16(machine.device):
        machine = replace(machine, precision="fp32")
    return replace(machine, threads=min(machine.threads, available_cores()))


def resolved(machine: Machine, runtime: Runtime) -> Runtime:
    """Return the recipe's `runtime` with the machine's choices written out, as the run saves it."""
    return msgspec.structs.replace(
        runtime,
        device=str(machine.device),
        precision="bf16" if machine.precision == "bf16" else "fp32",
        threads=machine.threads,
        memory_format=memory_format_name(machine.memory_format),
    )


def in_memory_format(machine: Machine, name: str) -> Machine:
    """Return the machine with another memory format, `contiguous` or `channels_last`."""
    return replace(machine, memory_format=_MEMORY_FORMATS[name])


_MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def memory_format_name(memory_format: torch.memory_format) -> Literal["contiguous", "channels_last"]:
    """Return the recipe's word for a memory format."""
    return "channels_last" if memory_format is torch.channels_last else "contiguous"


def _choose_device(asked: str) -> torch.device:
    if asked == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(asked)
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[device.type]:
        raise MachineError(f"`runtime.device` is {asked!r} and torch finds no such device here; use cpu, or auto")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise MachineError(f"`runtime.device` is {asked!r} and there are {torch.cuda.device_count()} GPUs, from cuda:0")
    return device


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usual_threads() -> int:
    """Return how many threads compute unless someone says: one a core, no more than OMP_NUM_THREADS, as in torch."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(available_cores(), int(asked)) if asked.isdecimal() and int(asked) else available_cores()


def hardware_bf16(device: torch.device) -> bool:
    """Say whether the hardware computes in bf16.

    On a CPU the flags mislead, so a product must also show it: in hardware bf16 takes about a third of fp32's time,
    emulated 12 times and more, so the factor of 2 between them is safe from the clock's noise."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or not _kernels_have_bf16():
        return False
    square = torch.ones(512, 512)
    half = square.bfloat16()
    return _seconds_of(half) < 2 * _seconds_of(square)


def _kernels_have_bf16() -> bool:
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):
        return False


def _seconds_of(square: torch.Tensor, repeats: int = 5) -> float:
    square @ square
    times = []
    for _ in range(repeats):
        start = perf_counter()
        square @ square
        times.append(perf_counter() - start)
    return min(times)


def _set_deterministic(mode: int) -> None:
    """Set torch's mode: 0 off, 1 warns, 2 raises where there is no deterministic kernel.

    `use_deterministic_algorithms` also tells torch's compiler, for which it loads it (2.8 s)."""
    if torch.get_deterministic_debug_mode() == mode:
        return
    if "torch._dynamo" in sys.modules:
        torch.use_deterministic_algorithms(mode > 0, warn_only=mode == 1)
    else:
        torch.set_deterministic_debug_mode(mode)


@contextmanager
def applied(machine: Machine) -> Iterator[None]:
    """Apply threads and determinism, and put them and torch's random state back at the end.

    Big blocks stay with the process from here on, see `keep_large_blocks`: it helps also after torch was loaded.
    Deterministic torch also fills new tensors with NaN before they are computed, which costs time and changes nothing
    where all of a tensor is computed: left out."""
    keep_large_blocks()
    deterministic: Any = torch.utils.deterministic
    old_threads, old_mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    old_fill = deterministic.fill_uninitialized_memory
    torch.set_num_threads(machine.threads)
    _set_deterministic(2 if machine.exact else 0)
    deterministic.fill_uninitialized_memory = False
    on_cuda = machine.device.type == "cuda"
    try:
        with (
            _cuda_settings(machine.exact) if on_cuda else nullcontext(),
            torch.random.fork_rng(devices=[machine.device] if on_cuda else []),
        ):
            yield
    finally:
        torch.set_num_threads(old_threads)
        _set_deterministic(old_mode)
        deterministic.fill_uninitialized_memory = old_fill


_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"


@contextmanager
def _cuda_settings(exact: bool) -> Iterator[None]:
    """Let cuDNN choose and TF32 round unless the bits are to be the same, and put the settings back."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    old = cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32
    cudnn.benchmark = cudnn.allow_tf32 = matmul.allow_tf32 = not exact
    given = os.environ.get(_CUBLAS)
    if exact and given is None:
        os.environ[_CUBLAS] = ":4096:8"  # cuBLAS is not deterministic without it
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = old
        if given is None:
            os.environ.pop(_CUBLAS, None)
