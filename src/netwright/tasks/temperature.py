"""Temperature: one number, fitted on val, that makes probabilities as sure as the network is right."""

from typing import Any

import numpy as np
import numpy.typing as npt


def tempered(log_probabilities: npt.NDArray[np.floating[Any]], temperature: float | None) -> npt.NDArray[np.float64]:
    """Return log softmax(log_probabilities / T), (N, K) float64; as they are where `temperature` is None.

    Which class is likeliest never changes: in float64 no two float32 numbers become equal. The same as dividing the
    logits, of one output too. Source: C. Guo et al., "On calibration of modern neural networks", ICML 2017."""
    scores = np.asarray(log_probabilities, dtype=np.float64)
    if temperature is None or not len(scores):
        return scores
    scores = scores / temperature
    scores = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)))
