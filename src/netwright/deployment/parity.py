"""Does an export answer as the bundle does? Compared image by image before it is called done."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from netwright.errors import WorkFailed

Array = npt.NDArray[Any]
Answers = tuple[Array, Array]  # logits (B, num_outputs), probabilities (B, K) or numbers (B, 1); of masks (B, …, H, W)
Engine = Callable[[Array], Answers]  # of images (B, H, W, C)
TOLERANCE = 1e-4  # of the largest logit; docs/deployment.md has what was measured


@dataclass(frozen=True)
class Parity:
    """How two answers to the same images differ. `num_ties` images (of masks: pixels) have another likeliest class, by
    a difference within the tolerance."""

    num_images: int
    largest_difference: float
    largest_logit: float
    relative_difference: float
    tolerance: float
    num_ties: int

    def to_mapping(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Judge:
    """Compares answers with the bundle's. `read` gives what the bundle reads in logits; `who` is judged."""

    class_names: Sequence[str]
    read: Callable[[Array], Array]
    who: str = "the export"
    tolerance: float = TOLERANCE

    def compare(self, expected: Array, found: Answers, sources: Sequence[str]) -> Parity:
        """Compare answers with the bundle's logits (B, num_outputs[, H, W]) for the same images, by name `sources`.

        Logits may differ by `tolerance` of the largest one, probabilities by as much from what the bundle reads in the
        same logits; so the likeliest class differs only where two are that near. Raises WorkFailed that names the
        image, the class and the difference."""
        logits, probabilities = found
        own = self.read(expected)
        self._check_shape("logits", logits, expected)
        self._check_shape("probabilities", probabilities, own)
        finite = np.abs(expected[np.isfinite(expected)])
        largest = float(finite.max()) if finite.size else 0.0
        allowed = self.tolerance * largest
        difference = self._check("the logit", expected, logits, allowed, f"{self.tolerance:g} of the largest", sources)
        # of probabilities the tolerance itself; numbers may be of any size
        near = self.tolerance * max(1.0, float(np.abs(own).max(initial=0.0)))
        self._check("the answer", self.read(logits), probabilities, near, "", sources)
        ties = int((own.argmax(axis=1) != probabilities.argmax(axis=1)).sum())
        relative = difference / largest if largest else 0.0
        return Parity(len(expected), difference, largest, relative, self.tolerance, ties)

    def _check(
        self, what: str, expected: Array, found: Array, allowed: float, how: str, sources: Sequence[str]
    ) -> float:
        """Return the largest difference. Raises WorkFailed when it is more than is allowed."""
        with np.errstate(invalid="ignore"):  # infinity less infinity
            apart = np.abs(found.astype(np.float64) - expected)
        apart[np.isnan(apart)] = np.inf  # NaN is near to nothing
        apart[found == expected] = 0.0  # infinities too
        place = np.unravel_index(int(apart.argmax()), apart.shape)
        row, column, *pixel = map(int, place)
        worst = float(apart[place])
        if worst > allowed:
            of = f" of {self.class_names[column]!r}" if apart.shape[1] == len(self.class_names) else ""
            of += f" in row {pixel[0]}, column {pixel[1]}" if pixel else ""
            limit = f"{allowed:.3g}" + (f" ({how})" if how else "")
            raise WorkFailed(
                f"{self.who} does not answer as the bundle: for {sources[row]} {what}{of} is "
                f"{found[place]:.6g} and the bundle's {expected[place]:.6g}, {worst:.3g} apart where "
                f"{limit} is allowed; nothing was written"
            )
        return worst

    def _check_shape(self, what: str, found: Array, expected: Array) -> None:
        if found.shape != expected.shape:
            raise WorkFailed(
                f"{self.who} does not answer as the bundle: its {what} are {found.shape} and the bundle's "
                f"{expected.shape}; nothing was written"
            )
