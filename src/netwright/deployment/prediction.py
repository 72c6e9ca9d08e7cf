"""One answer as it leaves the house: what the contract's JSON says of an image, a class for each task."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from netwright.data.labelled import Array
from netwright.deployment.answer_tables import Columns, class_columns, mask_columns, number_columns
from netwright.tasks.temperature import tempered


class Answer(Protocol):
    """The answer for one image, or why there is none."""

    @property
    def source(self) -> str:
        """What the image is called."""

    @property
    def error(self) -> str | None:
        """Why there is no answer."""

    def to_mapping(self, top: int | None = None) -> dict[str, Any]:
        """Return the contract's JSON object; of classes the `top` likeliest (all when null)."""


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
            return _unreadable(self)
        order = np.argsort(-self.probabilities, kind="stable")[:top]
        return {
            "source": self.source,
            "label": self.label,
            "probability": float(self.probabilities.max()),
            "probabilities": {self.class_names[k]: float(self.probabilities[k]) for k in order},
        }


@dataclass(frozen=True)
class NumberPrediction:
    """The answer for one image: a number in the targets' unit, or why there is none."""

    source: str
    value: float | None = None
    error: str | None = None

    def to_mapping(self, top: int | None = None) -> dict[str, Any]:
        """Return the contract's JSON object: `source` and `value`."""
        return _unreadable(self) if self.value is None else {"source": self.source, "value": self.value}


@dataclass(frozen=True)
class MaskPrediction:
    """The answer for one image: the class of each pixel (H, W) uint8, or why there is none."""

    source: str
    class_names: tuple[str, ...]
    mask: Array | None = None
    error: str | None = None

    def to_mapping(self, top: int | None = None) -> dict[str, Any]:
        """Return `source` and `shares`, of the pixels, by class."""
        if self.mask is None:
            return _unreadable(self)
        counts = np.bincount(self.mask.ravel(), minlength=len(self.class_names))
        shares = {name: float(counts[place] / self.mask.size) for place, name in enumerate(self.class_names)}
        return {"source": self.source, "shares": shares}


def _unreadable(answer: Answer) -> dict[str, Any]:
    return {"source": answer.source, "error": {"code": "unreadable", "message": answer.error}}


@dataclass(frozen=True)
class Answering:
    """What a task's answers become: `rows` of a batch's answers (`Task.answers`) under a temperature, one an image, and
    the answer of a source by its row, or by the error that it has in its place.

    `columns` are those of a file of answers, by the names of the classes and how many of the likeliest are wanted.
    `beside_logits` is what an export gives beside its logits: (B, K), (B, 1) or, of `each_pixel`, (B, K, H, W)."""

    rows: Callable[[Tensor, float | None], Array]
    answer: Callable[[str, tuple[str, ...], Any, str | None], Answer]
    columns: Callable[[tuple[str, ...], int | None], Columns]
    beside_logits: Callable[[Tensor, float | None], Array]
    each_pixel: bool = False


def _probabilities(log_probabilities: Tensor, temperature: float | None) -> npt.NDArray[np.float64]:
    return np.exp(tempered(log_probabilities.numpy(), temperature))


def _masks(log_probabilities: Tensor, temperature: float | None) -> Array:
    return log_probabilities.argmax(dim=1).to(torch.uint8).numpy()


def _number(source: str, class_names: tuple[str, ...], row: Any, error: str | None) -> Answer:
    return NumberPrediction(source, None if row is None else float(row), error)


ANSWERING = {
    "classification": Answering(_probabilities, Prediction, class_columns, _probabilities),
    "segmentation": Answering(
        _masks, MaskPrediction, lambda names, top: mask_columns(names), _probabilities, each_pixel=True
    ),
    "regression": Answering(
        lambda numbers, temperature: numbers.numpy(),
        _number,
        lambda names, top: number_columns(),
        lambda numbers, temperature: numbers.numpy()[:, None],
    ),
}
