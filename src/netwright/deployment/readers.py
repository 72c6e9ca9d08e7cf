"""How many threads read pictures: all of them, or one, whichever was quicker on the first batches."""


class Readers:
    """The number of threads for the next batch; `most`, until others are `timed`.

    Small pictures are read quicker by one: two threads that wait for each other's Python took 0.27 ms for a PNG of
    32 × 32 pixels, one 0.17."""

    def __init__(self, most: int, *, timed: bool) -> None:
        self._most = most
        self._untried = [most, 1, most, 1] if timed and most > 1 else []  # each twice: the first time is no measure
        self._seconds: dict[int, float] = {}

    @property
    def number(self) -> int:
        if self._untried:
            return self._untried[0]
        return min(self._seconds, key=self._seconds.__getitem__) if self._seconds else self._most

    def took(self, seconds: float, num_images: int) -> None:
        """Note what reading a batch took."""
        if self._untried:
            number = self._untried.pop(0)
            self._seconds[number] = min(seconds / num_images, self._seconds.get(number, float("inf")))
