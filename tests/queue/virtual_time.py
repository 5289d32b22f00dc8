"""
A loop whose clock jumps to the next timer: hours of a site's life in milliseconds, the same each time.

Only for what waits for nothing but timers and turns of the loop: where nothing is left to wait for, it says so.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now_s


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, wait_s: float | None = None) -> Any:
        assert wait_s is not None, "nothing is left to wait for"
        self._loop.now_s += max(wait_s, 0.0)
        return super().select(0)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run *work* on a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)
