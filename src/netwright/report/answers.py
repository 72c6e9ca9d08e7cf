"""Which single answers are worth looking at: the most confident mistakes, also of each class, and the least sure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from netwright.runs.outputs import StoredOutputs

MOST_MISTAKES, MOST_UNSURE = 12, 12
MOST_CLASSES, MOST_OF_A_CLASS = 20, 3
_CHUNK = 4096  # rows: of 1,000 classes 32 MB in float64

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """One image: its row, its name, its label, what the network said, and how probable it found the two."""

    row: int
    name: str
    target: int
    prediction: int
    probability: float
    target_probability: float


@dataclass(frozen=True)
class Answers:
    """The answers of a split that are looked at. `of_classes`: (class, number of mistakes, the most confident ones)."""

    num_mistakes: int
    mistakes: list[Answer]
    unsure: list[Answer]
    of_classes: list[tuple[int, int, list[Answer]]]

    @property
    def rows(self) -> list[int]:
        """The rows of all of them, each once."""
        every = [*self.mistakes, *self.unsure, *(one for _, _, some in self.of_classes for one in some)]
        return sorted({answer.row for answer in every})


def notable_answers(outputs: StoredOutputs, names: Sequence[str], temperature: float | None) -> Answers:
    """Choose from N answers; `names` (N,) are the images'. Probabilities are under the temperature, where there is one.

    A mistake is confident by the probability of its wrong answer; least sure is where the likeliest class has the
    lowest probability. Of equal ones the first comes first."""
    said, of_target = _probabilities(outputs, temperature)
    wrong = np.flatnonzero(outputs.predictions != outputs.targets)
    wrong = wrong[np.argsort(-said[wrong], kind="stable")]

    def answers(places: npt.NDArray[Any]) -> list[Answer]:
        return [
            Answer(
                int(outputs.rows[place]),
                names[place],
                int(outputs.targets[place]),
                int(outputs.predictions[place]),
                float(said[place]),
                float(of_target[place]),
            )
            for place in places.tolist()
        ]

    counts = np.bincount(outputs.targets[wrong], minlength=1)
    classes = [int(place) for place in np.argsort(-counts, kind="stable")[:MOST_CLASSES] if counts[place]]
    return Answers(
        num_mistakes=len(wrong),
        mistakes=answers(wrong[:MOST_MISTAKES]),
        unsure=answers(np.argsort(said, kind="stable")[:MOST_UNSURE]),
        of_classes=[
            (place, int(counts[place]), answers(wrong[outputs.targets[wrong] == place][:MOST_OF_A_CLASS]))
            for place in classes
        ],
    )


def sample_names(outputs: StoredOutputs, listed: Sequence[Any]) -> list[str]:
    """Return the images' names: file names as split.json lists them in the order of the rows, else row numbers."""
    if len(listed) == len(outputs.rows) and all(isinstance(name, str) for name in listed):
        names = np.empty(len(listed), dtype=object)
        names[np.argsort(outputs.rows, kind="stable")] = list(listed)
        return [str(name) for name in names]
    return [f"row {row}" for row in outputs.rows.tolist()]


def _probabilities(outputs: StoredOutputs, temperature: float | None) -> tuple[Floats, Floats]:
    """Return the probabilities (N,) of the answers and of the labels: softmax(log-probabilities / T), in parts."""
    said, of_target = np.empty(len(outputs.rows)), np.empty(len(outputs.rows))
    for start in range(0, len(outputs.rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        scores = outputs.answers[part].astype(np.float64) / (temperature or 1.0)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares = weights / weights.sum(axis=1, keepdims=True)
        place = np.arange(len(shares))
        said[part] = shares[place, outputs.predictions[part]]
        of_target[part] = shares[place, outputs.targets[part]]
    return said, of_target
