"""The predictor: a bundle in memory, from picture to label. Evaluation and prediction both go through it."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from netwright.data.custom import apply_custom, custom_input
from netwright.data.items import ready_item
from netwright.data.transform import EvalTransform
from netwright.data.views import with_views
from netwright.deployment.bundle import Bundle, load_bundle
from netwright.errors import InputError, NetwrightError, WeightsError
from netwright.models import build_model
from netwright.runtime.machine import Machine
from netwright.tasks.temperature import tempered


@dataclass(frozen=True)
class Prediction:
    """The answer for one image: probabilities (K,), or why there is none."""

    source: str
    class_names: tuple[str, ...]
    probabilities: np.ndarray | None = None
    error: str | None = None

    @property
    def label(self) -> str | None:
        """The likeliest class's name."""
        return None if self.probabilities is None else self.class_names[int(self.probabilities.argmax())]

    def to_mapping(self, top: int | None = None) -> dict[str, Any]:
        """Return the contract's JSON object, with the `top` likeliest probabilities (all when null)."""
        if self.probabilities is None:
            return {"source": self.source, "error": {"code": "unreadable", "message": self.error}}
        order = np.argsort(-self.probabilities, kind="stable")[:top]
        return {
            "source": self.source,
            "label": self.label,
            "probability": float(self.probabilities.max()),
            "probabilities": {self.class_names[k]: float(self.probabilities[k]) for k in order},
        }


class Predictor:
    """The network of a bundle in eval mode, with its evaluation transform and its classes."""

    def __init__(self, bundle: Bundle, network: nn.Module, machine: Machine, own_transform: Any = None) -> None:
        self.bundle = bundle
        self.machine = machine
        self.network = network.to(machine.device).to(memory_format=machine.memory_format).eval()
        self.own_transform: Callable[[Tensor], Tensor] | None = own_transform

    @property
    def transform(self) -> EvalTransform:
        return self.bundle.transform

    def probabilities(self, images: Tensor) -> npt.NDArray[np.float64]:
        """Run the network on transformed images (B, C, H, W) -> probabilities (B, K), calibrated where they can be."""
        return np.exp(tempered(self.log_probabilities(images).numpy(), self.bundle.temperature))

    def log_probabilities(self, images: Tensor) -> Tensor:
        """Run the network on transformed images (B, C, H, W) -> its own log-probabilities (B, K) float32 on the CPU."""
        with torch.inference_mode(), self.machine.autocast():
            outputs = with_views(self.network, self.transform.views)(
                self.machine.arrange(images.to(self.machine.device))
            )
        return self.bundle.task.log_probabilities(outputs).cpu()

    def predict(self, sources: Sequence[Any], names: Sequence[str], batch_size: int = 64) -> Iterator[Prediction]:
        """Answer for files, PIL images or arrays, batch by batch; what can't be read gets an error as its answer."""
        for start in range(0, len(sources), batch_size):
            answers: dict[int, Prediction] = {}
            pixels, places = [], []
            for place in range(start, min(start + batch_size, len(sources))):
                try:
                    pixels.append(self._pixels(sources[place]))
                    places.append(place)
                except NetwrightError as error:
                    answers[place] = Prediction(names[place], self.bundle.task.class_names, error=str(error))
            if pixels:
                probabilities = self.probabilities(self.finish(torch.stack(pixels)))
                for place, row in zip(places, probabilities, strict=True):
                    answers[place] = Prediction(names[place], self.bundle.task.class_names, row)
            yield from (answers[place] for place in sorted(answers))

    def _pixels(self, source: Any) -> Tensor:
        """Return one image as `finish` takes it, (H, W, C); ready tensors, given as (H, W, C) too, as they are."""
        if self.transform.kind == "ready" and isinstance(source, np.ndarray) and source.ndim >= 2:
            ready = torch.from_numpy(np.array(source, dtype=np.float32))
            return ready_item(ready if ready.ndim == 2 else ready.permute(2, 0, 1), self._ready_shape, 0)
        return torch.from_numpy(np.array(self.transform.view(self.transform.decode(source))))

    @property
    def _ready_shape(self) -> tuple[int, int, int]:
        return (self.bundle.in_channels, *self.bundle.image_size)

    def finish(self, pixels: Tensor) -> Tensor:
        """Turn decoded pixels (B, H, W, C) into what the network takes, (B, C, H, W) float32."""
        if self.own_transform is not None:
            cut = custom_input(self.transform, pixels)
            return apply_custom(self.own_transform, cut, 0, 0, torch.arange(len(cut)))
        return self.transform.finish(pixels)


def own_copy(model: nn.Module) -> nn.Module:
    """Copy the user's network; one that can't be copied (it holds handles or tensors with a history) is used itself."""
    try:
        return copy.deepcopy(model)
    except (RuntimeError, TypeError):
        return model


def load_predictor(
    folder: Path, machine: Machine, *, model: nn.Module | None = None, transform: Any = None
) -> Predictor:
    """Load a bundle for a machine; `model` and `transform` are needed again when they were the user's own objects.

    Raises WeightsError when the weights do not fit, InputError when an own object is missing."""
    bundle, weights = load_bundle(folder)
    if bundle.model.name == "custom" and model is None:
        kind = getattr(bundle.model, "type", "")
        raise InputError(f"the network of {folder} is your own {kind}; give it again: nw.load(path, model={kind}())")
    if bundle.transform.kind == "custom" and transform is None:
        raise InputError(f"the transform of {folder} is your own; give it again: nw.load(path, transform=…)")
    network = (
        own_copy(model)
        if model is not None
        else build_model(
            bundle.model,
            in_channels=bundle.in_channels,
            image_size=bundle.image_size,
            num_outputs=bundle.task.num_outputs,
            output=bundle.task.output,
        )
    )
    try:
        network.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        first = str(error).split("\n", 2)[1].strip() if "\n" in str(error) else str(error)
        raise WeightsError(f"the weights of {folder} do not fit the network: {first}") from None
    return Predictor(bundle, network, machine, transform)
