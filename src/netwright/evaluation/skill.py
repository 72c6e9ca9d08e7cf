"""Whether a network says more of rows than always the same answer does."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def shows_skill(losses: Floats, always: Floats, weights: Floats | None = None) -> bool:
    """Say whether losses (N,) are below those of always the same answer (N,) by more than one standard error.

    The standard error is of the paired difference's mean, each sample with its weight (N,). Of two models between
    which the data hardly decide the simpler one is taken: the rule of one standard error (Breiman, Friedman, Olshen &
    Stone, "Classification and Regression Trees", 1984). The best of many epochs is too good by chance besides."""
    gains = np.asarray(always, dtype=np.float64) - np.asarray(losses, dtype=np.float64)
    if len(gains) < 2:
        return True  # one sample says nothing
    shares = np.ones(len(gains)) if weights is None else np.asarray(weights, dtype=np.float64)
    shares = shares / shares.sum()
    mean = float(shares @ gains)
    error = float(np.sqrt((shares**2 * (gains - mean) ** 2).sum() * len(gains) / (len(gains) - 1)))
    return mean > error


def squared_errors(said: Any, truth: Any) -> Floats:
    """Return (said - truth)² (N,) float64."""
    return np.asarray((np.asarray(said, dtype=np.float64) - np.asarray(truth, dtype=np.float64)) ** 2)
