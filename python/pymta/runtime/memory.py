"""
The garbage collector, set for a server: what was made at start lives for ever and need not be looked at again.
"""

from __future__ import annotations

import gc
from typing import Final

__all__ = ["settle"]

# Sessions and events hold no cycles, so there is little for the collector to find; the usual 700 would make it look
# several times a message, and the oldest generation grows with every open connection.
_THRESHOLDS: Final = (50_000, 20, 50)


def settle() -> None:
    """After start, before the first connection: collect once, set aside what is left, look less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
