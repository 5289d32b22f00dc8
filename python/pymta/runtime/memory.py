"""
Memory, set for a server that runs for months: Python's collector, and the C library's allocator.
"""

from __future__ import annotations

import ctypes
import gc
from typing import Final

__all__ = ["let_go", "settle"]

# Sessions and events hold no cycles, so there is little for the collector to find; the usual 700 would make it look
# several times a message, and the oldest generation grows with every open connection. What little there is (a hook that
# failed, a client of the control socket) must not wait for hours either: it may hold a session's buffers.
_THRESHOLDS: Final = (5_000, 10, 10)

# Blocks of this size and more are the system's own and go back to it when they are freed. The GNU C library begins with half
# that size, but raises it to that of the largest block that was freed; then large and small ones lie beside each other, and
# the holes between what lives long add up to as much as is used (docs/performance.md). It is more than the 256 KiB that uvloop
# asks for at each read under TLS: a block of the system's own for each of them costs a fifth of the rate.
_OWN_BLOCK_OCTETS_MIN: Final = 320 << 10
# What is free at the end of the rest goes back from this size on: with less, one busy moment after the other would ask for it
# again.
_SPARE_OCTETS_MAX: Final = 4 << 20
# Their names in malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


def settle() -> None:
    """
    After start, before the first connection.

    The collector: collect once, set aside what is left (it lives for ever), look less often. The allocator: large blocks
    stay apart from small ones.
    """
    # Another C library has no such function, and none of these ways.
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_MMAP_THRESHOLD, _OWN_BLOCK_OCTETS_MIN)
        mallopt(_M_TRIM_THRESHOLD, _SPARE_OCTETS_MAX)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


def let_go() -> None:
    """
    After a reload: what it replaced (policy, doors, routes) refers to itself and would wait for the oldest generation's turn.

    Sessions in progress keep theirs, and go with the next reload or that turn.
    """
    gc.collect()
