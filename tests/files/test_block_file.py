"""Writing into a file's values past its mapping: the same numbers as by plain assignment, wherever they lie."""

from pathlib import Path

import numpy as np
import pytest

from netwright.files.block_file import allocate, map_for_writing, map_private, write_at

PARTS = [(0, (3, 5)), (4000, (70, 90)), (15, (1, 1)), (9_990, (2, 5))]  # where each begins, and its shape


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("place", ["open file", "closed file", "memory"])
def test_parts_are_written_as_by_assignment(tmp_path: Path, dtype: str, place: str) -> None:
    size, draw = 20_000, np.random.default_rng(0)
    expected = np.zeros(size, dtype)
    values = np.zeros(size, dtype)
    with (tmp_path / "block").open("w+b") as file:
        if place != "memory":
            allocate(file, expected.nbytes)
            values = map_for_writing(file, size, np.dtype(dtype))
        if place == "closed file":
            file.close()
        for start, shape in PARTS:
            made = draw.integers(0, 256, (*shape, 2)).astype(dtype)[..., 0]  # not contiguous
            write_at(values, start, made)
            expected[start : start + made.size] = made.reshape(-1)
        assert np.array_equal(values, expected)  # a mapping sees what is written past it
        if place == "open file":
            assert np.array_equal(map_private(file, size, np.dtype(dtype)), expected)
    if place != "memory":
        assert (tmp_path / "block").read_bytes() == expected.tobytes()
