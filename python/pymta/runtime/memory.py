"""
The garbage collector, set for a server: what was made at start lives for ever and need not be looked at again.
"""

from __future__ import annotations

import gc
from typing import Final

__all__ = ["let_go", "settle"]

# Sessions and events hold no cycles, so there is little for the collector to find; the usual 700 would make it look
# several times a message, and the oldest generation grows with every open connection. What little there is (a hook that
# failed, a client of the control socket) must not wait for hours either: it may hold a session's buffers.
_THRESHOLDS: Final = (5_000, 10, 10)


def settle() -> None:
    """After start, before the first connection: collect once, set aside what is left, look less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


def let_go() -> None:
    """
    After a reload: what it replaced (policy, doors, routes) refers to itself and would wait for the oldest generation's turn.

    Sessions in progress keep theirs, and go with the next reload or that turn.
    """
    gc.collect()
