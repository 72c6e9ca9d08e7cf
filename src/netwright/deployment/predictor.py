"""The predictor: a bundle in memory, from picture to label. Evaluation and prediction both go through it."""

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from netwright.data.custom import apply_custom, custom_input
from netwright.data.items import ready_item
from netwright.data.labelled import Array
from netwright.data.transform import EvalTransform, categories_of
from netwright.data.views import with_views
from netwright.deployment.bundle import Bundle, load_bundle
from netwright.deployment.prediction import ANSWERING, Answer
from netwright.errors import InputError, WeightsError
from netwright.models import build_model
from netwright.models.fitting import with_versions
from netwright.runtime.machine import Machine


class Predictor:
    """The network of a bundle in eval mode, with its evaluation transform and its classes."""

    def __init__(self, bundle: Bundle, network: nn.Module, machine: Machine, own_transform: Any = None) -> None:
        self.bundle = bundle
        self.machine = machine
        self.network = network.to(machine.device).to(memory_format=machine.memory_format).eval()
        self.own_transform: Callable[[Tensor], Tensor] | None = own_transform
        self.forward: Callable[[Tensor], Tensor] = self._plain  # an engine's, where one was chosen

    @property
    def transform(self) -> EvalTransform:
        return self.bundle.transform

    def rows(self, images: Tensor) -> Array:
        """Run the network on transformed images (B, C, H, W) -> what each prediction is made of: probabilities (B, K),
        calibrated where they can be, or numbers (B,)."""
        return ANSWERING[self.bundle.task.name].rows(self.answers(images), self.bundle.temperature)

    def prediction(self, source: str, row: Any = None, error: str | None = None) -> Answer:
        """Return the answer for an image by its row of `rows`, or with the reason why there is none."""
        task = self.bundle.task
        return ANSWERING[task.name].answer(source, task.class_names, row, error)

    def answers(self, images: Tensor) -> Tensor:
        """Run the network on transformed images (B, C, H, W) -> the task's answers, float32 on the CPU:
        log-probabilities (B, K) or numbers (B,)."""
        with torch.inference_mode():
            outputs = with_views(self.forward, self.transform.views)(images.to(self.machine.device))
        return self.bundle.task.answers(outputs).cpu()

    def _plain(self, images: Tensor) -> Tensor:
        """Run the network as it is, in the machine's precision and memory format -> its outputs, on the machine."""
        with self.machine.autocast():
            outputs: Tensor = self.network(self.machine.arrange(images))
        return outputs

    def fingerprint(self) -> str:
        """Return a SHA-256 of all that decides an answer besides the image: weights, transform, temperature."""
        digest = hashlib.sha256(json.dumps(self.bundle.to_mapping(), sort_keys=True).encode())
        for name, value in sorted(self.network.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    def pixels(self, source: Any) -> Array:
        """Return one image as `finish` takes it, (H, W, C); ready tensors, given as (H, W, C) too, as they are.

        Raises DataError for what can't be read."""
        if self.transform.kind == "ready" and isinstance(source, np.ndarray) and source.ndim >= 2:
            ready = torch.from_numpy(np.array(source, dtype=np.float32))
            return ready_item(ready if ready.ndim == 2 else ready.permute(2, 0, 1), self._ready_shape, 0).numpy()
        return self.transform.view(self.transform.decode(source))

    def takes_whole(self, images: Array) -> bool:
        """Say whether an array (N, H, W) or (N, H, W, C) of images needs no decoding: uint8, of the store's size."""
        transform = self.transform
        return (
            transform.kind != "ready"
            and not transform.whole
            and images.dtype == np.uint8
            and transform.value_range in (None, (0, 255))
            and images.shape[1:3] == transform.store_size
            and images.shape[3:] in ((), (1,), (3,))
        )

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
            categories=categories_of(bundle.transform),
        )
    )
    try:
        network.load_state_dict(with_versions(network, weights), strict=True)
    except RuntimeError as error:
        first = str(error).split("\n", 2)[1].strip() if "\n" in str(error) else str(error)
        raise WeightsError(f"the weights of {folder} do not fit the network: {first}") from None
    return Predictor(bundle, network, machine, transform)
