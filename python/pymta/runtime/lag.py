"""
How late the loop is: the one number that tells that something blocks it, or that there is too much to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

__all__ = ["watch"]

_EVERY_S: Final = 1.0


def watch(loop: asyncio.AbstractEventLoop, observe: Callable[[float], None]) -> Callable[[], None]:
    """
    Tell *observe* once a second how many seconds late a timer ran.

    Returns:
        What ends it.
    """
    handle: asyncio.TimerHandle
    due = loop.time() + _EVERY_S

    def tick() -> None:
        nonlocal handle, due
        now = loop.time()
        observe(max(now - due, 0.0))
        due = now + _EVERY_S
        handle = loop.call_at(due, tick)

    handle = loop.call_at(due, tick)
    return lambda: handle.cancel()
