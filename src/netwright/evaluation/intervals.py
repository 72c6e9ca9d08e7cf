"""Confidence intervals of fractions."""

import math
from statistics import NormalDist


def wilson(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval (low, high) of a fraction, both in [0, 1]; (0, 1) when `n` is 0.

    Both may be broken numbers, for an effective number of images.
    Unlike the textbook interval p ± 1.96·sqrt(p(1-p)/n) it holds its promise near 0 and 1, where good classifiers are.
    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).

    Raises:
        ValueError: unless 0 <= successes <= n and 0 < confidence < 1.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes is {successes} and n is {n}; expected 0 <= successes <= n")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; expected a fraction between 0 and 1, such as 0.95")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    fraction = successes / n
    shrink = 1 + z * z / n
    centre = (fraction + z * z / (2 * n)) / shrink
    half = z / shrink * math.sqrt(fraction * (1 - fraction) / n + z * z / (4 * n * n))
    # The formula gives exactly 0 and 1 at the ends; rounding would miss them by 1e-17.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high
