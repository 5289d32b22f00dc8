"""
The event loop: uvloop where it is, asyncio's own where it is not. One a process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["accepts_singly", "loop_factory", "run"]

T = TypeVar("T")


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the loop; None is asyncio's default. uvloop is not needed, only faster."""
    try:
        import uvloop  # a fallback is possible only at the import
    except ImportError:
        return None
    return uvloop.new_event_loop


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run *main* to its end on a loop of its own and return its result. Signals are left to `signals.py`."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(main)


def accepts_singly(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether a server of *loop* takes one connection a turn, however many wait (uvloop), or all of them (asyncio)."""
    return type(loop).__module__.partition(".")[0] == "uvloop"
