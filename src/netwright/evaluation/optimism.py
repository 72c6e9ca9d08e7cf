"""What looking at a test set several times does to the best number seen there."""

import math

import numpy as np


def best_of(number: int) -> float:
    """Return the expected maximum of `number` independent standard normal variables, by quadrature.

    Source: L. Tippett, Biometrika 17 (1925); 0 for 1, 1/√π for 2, 1.54 for 10."""
    from scipy.special import ndtr  # 0.2 s to load, which no training waits for before its first step

    places = np.linspace(-10, 10, 20_001)
    density = np.exp(-(places**2) / 2) / math.sqrt(2 * math.pi)
    return float(np.trapezoid(places * number * density * ndtr(places) ** (number - 1), places))


def expected_optimism(accuracy: float, num_samples: int, networks: int) -> float:
    """Return by how much the best of several accuracies on one test set of `num_samples` is too high by chance alone.

    Standard error √(p(1-p)/n) times the expected maximum of so many normals: as if the networks were equally good and
    erred independently. Networks of one kind err alike, so this is an upper bound."""
    if networks < 2 or not num_samples:
        return 0.0
    return math.sqrt(accuracy * (1 - accuracy) / num_samples) * best_of(networks)
