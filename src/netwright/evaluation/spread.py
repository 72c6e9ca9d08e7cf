"""Mean and spread of a number over several trainings."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import stdtrit


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return mean, standard deviation (of a sample, n - 1), `interval` of the mean, least, greatest and how many.

    The interval is Student's at 95 % ("The probable error of a mean", Biometrika 6, 1908); it needs two values."""
    numbers = np.asarray(values, dtype=np.float64)
    many = len(numbers) > 1
    mean = float(numbers.mean())
    deviation = float(numbers.std(ddof=1)) if many else None
    wide = float(stdtrit(len(numbers) - 1, 0.975)) * (deviation or 0.0) / math.sqrt(len(numbers)) if many else None
    return {
        "mean": mean,
        "standard_deviation": deviation,
        "interval": None if wide is None else [mean - wide, mean + wide],
        "least": float(numbers.min()),
        "greatest": float(numbers.max()),
        "num_runs": len(numbers),
    }
