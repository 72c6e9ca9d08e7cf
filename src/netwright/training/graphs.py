"""Forward, loss and backward of a step as one CUDA graph.

A GPU that is given a small network's kernels one by one waits for the processor: a step of mnist-cnn, 64 images and
20,000 parameters, took 1.9 ms on an H100. Where that is so, a graph is recorded once for each shape of a batch and
launched whole, on buffers of its own. It holds the same kernels in the same order as the plain way; dropout draws from
the seed that was set before each launch."""

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from netwright.config.models import CustomModel
from netwright.config.optimization import CustomCriterion
from netwright.config.recipe import Recipe
from netwright.data.batches import Batch
from netwright.errors import RecipeError
from netwright.runtime.machine import Machine
from netwright.tasks.task import BatchLoss
from netwright.training.shortcut import Computed

WARM_UP_STEPS = 3  # cuDNN tries its kernels and cuBLAS takes its workspace in them, which is not to be recorded
MOST_SHAPES = 8  # each has memory of its own
BUSY = 1.5  # a GPU that takes so many times as long as the processor does not wait for it


def choose_graphs(recipe: Recipe, machine: Machine) -> bool:
    """Say whether steps will be recorded: `auto` is wherever they can be, but in exact runs.

    Raises RecipeError when it is asked for and can't be."""
    asked, possible = recipe.runtime.cuda_graphs, can_graph(recipe, machine)
    if asked is True and not possible:
        raise RecipeError(
            "`runtime.cuda_graphs` is true, and steps can be recorded only on CUDA, of a network and a criterion that "
            "are not your own, and without `training.accumulation_steps`; leave it out"
        )
    return possible and not machine.exact if asked == "auto" else asked


def can_graph(recipe: Recipe, machine: Machine) -> bool:
    """Say whether a run's steps can be recorded: on CUDA, with a network and a criterion that are not the user's.

    Python in those may do something else in every step, of which a graph would know nothing."""
    own = isinstance(recipe.model, CustomModel) or isinstance(recipe.criterion, CustomCriterion)
    return machine.device.type == "cuda" and not own and recipe.training.accumulation_steps == 1


@dataclass(frozen=True)
class _Recorded:
    graph: torch.cuda.CUDAGraph
    images: Tensor
    targets: Tensor
    computed: Computed
    gradients: list[tuple[nn.Parameter, Tensor]]


class _Stopwatch:
    """What the processor and the GPU take from now on, the GPU having nothing to do at the start."""

    def __init__(self, device: torch.device) -> None:
        torch.cuda.synchronize(device)
        self._event, self._begun = _event(), perf_counter()

    def gpu_waited(self) -> bool:
        """Say whether the GPU was done about when the last kernel was launched."""
        seconds = perf_counter() - self._begun
        end = _event()
        end.synchronize()
        return bool(self._event.elapsed_time(end) / 1000 < BUSY * seconds)


def _end_of_recording(device: torch.device) -> None:
    """Record something that succeeds: after a failure torch's generator holds that it is being recorded still, and
    would raise when something is drawn from it."""
    with torch.cuda.graph(torch.cuda.CUDAGraph(), capture_error_mode="thread_local"):
        torch.zeros(1, device=device)


def _event() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event


class Graphs:
    """The recorded steps of one network, by the shape of the batch and by what is trained."""

    whole_gradient: Tensor | None = None

    def __init__(self, model: nn.Module, batch_loss: BatchLoss, machine: Machine, batch_size: int) -> None:
        self._model, self._batch_loss, self._machine, self._batch_size = model, batch_loss, machine, batch_size
        self._seen: dict[object, int] = {}
        self._recorded: dict[object, _Recorded] = {}
        self._left_out: set[object] = set()  # shapes that keep the GPU busy
        self._stopwatch: _Stopwatch | None = None
        self._pool: Any = None
        self._trained: object = None
        self.failure = ""  # why nothing more is recorded

    def enter_epoch(self) -> None:
        """See `Shortcut`."""
        modes = tuple(module.training for module in self._model.modules())
        self._trained = (modes, tuple(parameter.requires_grad for parameter in self._model.parameters()))

    def compute(self, batch: Batch) -> Computed | None:
        """See `Shortcut`. The plain way: the first steps of each shape, smaller batches, what keeps the GPU busy, and
        all after a recording that failed."""
        if self.failure or len(batch.targets) != self._batch_size:
            return None
        key = (batch.images.shape, batch.images.stride(), batch.targets.shape, batch.targets.dtype, self._trained)
        recorded = self._recorded.get(key)
        if recorded is None:
            recorded = self._try_to_record(batch) if self._is_worth_it(key) else None
            if recorded is None:
                return None
            self._recorded[key] = recorded
        recorded.images.copy_(batch.images)
        recorded.targets.copy_(batch.targets)
        recorded.graph.replay()
        for parameter, gradient in recorded.gradients:
            parameter.grad = gradient
        found = recorded.computed
        weight = found.weight.clone() if isinstance(found.weight, Tensor) else found.weight
        return Computed(found.loss.clone(), weight, found.outputs.clone())

    def _is_worth_it(self, key: object) -> bool:
        """Say whether a step is to be recorded now: the GPU waited for the processor in the last one to warm up."""
        if key in self._left_out or len(self._recorded) == MOST_SHAPES:
            return False
        self._seen[key] = self._seen.get(key, 0) + 1
        if self._seen[key] == WARM_UP_STEPS:
            self._stopwatch = _Stopwatch(self._machine.device)
        if self._seen[key] <= WARM_UP_STEPS or self._stopwatch is None:
            return False
        if not self._stopwatch.gpu_waited():
            self._left_out.add(key)
        return key not in self._left_out

    def _try_to_record(self, batch: Batch) -> _Recorded | None:
        """Record a step on copies of the batch; nothing is computed yet. None, with `failure` set, where it fails."""
        free, total = torch.cuda.mem_get_info(self._machine.device)
        if torch.cuda.max_memory_allocated(self._machine.device) > free:  # a graph has memory of its own, for good
            self.failure = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB are free"
            return None
        stream = torch.cuda.current_stream(self._machine.device)
        try:
            return self._record(batch)
        except RuntimeError as error:  # what is not for graphs says so as it is recorded
            self.failure = str(error).partition("\n")[0]
            for parameter in self._model.parameters():
                parameter.grad = None
            torch.cuda.set_stream(stream)  # a failure leaves the one that was recorded from
            _end_of_recording(self._machine.device)
            return None

    def _record(self, batch: Batch) -> _Recorded:
        images, targets = batch.images.clone(), batch.targets.clone()
        parameters = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        for parameter in parameters:
            parameter.grad = None
        graph = torch.cuda.CUDAGraph()
        # thread_local: a checkpoint may be on its way to the host in another thread
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            with self._machine.autocast():
                outputs = self._model(self._machine.arrange(images))
            loss, weight = self._batch_loss(outputs, targets)
            loss.backward()  # type: ignore[no-untyped-call]
        self._pool = graph.pool()
        gradients = [(parameter, parameter.grad) for parameter in parameters if parameter.grad is not None]
        computed = Computed(loss.detach(), weight.detach() if isinstance(weight, Tensor) else weight, outputs.detach())
        return _Recorded(graph, images, targets, computed, gradients)
