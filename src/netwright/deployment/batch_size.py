"""How many images to predict at once: as given, or what is quickest of some sizes that memory has room for."""

import sys
from collections.abc import Callable

from netwright.deployment.predictor import Predictor
from netwright.runtime.memory import available_bytes

_FIRST_BYTES = 2 * 2**20  # of float32 input in the smallest batch that is tried
_ROOM = 4  # a batch twice as large is tried where there is this many times what the last one took


class BatchSize:
    """The size of the next batch: as given, or what was quickest of some that were tried on the way."""

    def __init__(
        self, predictor: Predictor, given: int | None, free: Callable[[], int | None] = available_bytes
    ) -> None:
        channels, (height, width) = predictor.bundle.in_channels, predictor.bundle.image_size
        fitting = _FIRST_BYTES // (4 * channels * height * width)
        self._first = min(512, max(8, 1 << max(0, fitting.bit_length() - 1)))
        self._given, self._free = given, free
        self._peak_before = _peak_bytes()
        self._untried: list[int] = []
        self._seconds: dict[int, float] = {}
        self.begin()

    def begin(self) -> None:
        """Try the sizes (again, as for another engine)."""
        first = self._first
        # the first twice: what a first call sets up is not its cost
        self._untried = [self._given or first, *([] if self._given else [first, 2 * first, 4 * first])]
        self._seconds = {}

    @property
    def size(self) -> int:
        if self._untried:
            return self._untried[0]
        return min(self._seconds, key=self._seconds.__getitem__)

    def took(self, seconds: float, num_images: int) -> None:
        """Note what a batch took; a smaller one, as at the end, says nothing."""
        if not self._untried or num_images != self._untried[0]:
            return
        self._seconds[self._untried.pop(0)] = seconds / num_images
        grown, free = _peak_bytes() - self._peak_before, self._free()
        if free is not None and free < _ROOM * grown:
            self._untried = [size for size in self._untried if size <= num_images]


def _peak_bytes() -> int:
    """Return the most memory that this process had resident so far; 0 where the system does not say."""
    try:
        import resource  # not on Windows
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
