"""glibc's allocator, told to keep big blocks: no torch here, it should run before torch loads."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
TOP_PAD_BYTES = 2**28  # address space that the heap takes ahead each time it grows


def keep_large_blocks() -> None:
    """Keep freed memory in the process instead of giving it back to the system after every step.

    By default glibc maps and unmaps each big activation, up to 59,000 page faults a step: CNNs train 1.3 to 1.7 times
    slower. The resident size stays at its peak. Does nothing where there is no glibc (macOS, Windows, musl)."""
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, -1)
    mallopt(_M_TOP_PAD, TOP_PAD_BYTES)
