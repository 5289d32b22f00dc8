"""
Waiting for a condition, with a limit; the only sleeps in the tests are here.

Not for things that can be asked to say when they are done: join them, or await them.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PAUSE_S = 0.01


def wait_until(condition: Callable[[], T | None], what: str, *, limit_s: float = 15) -> T:
    """
    Ask *condition* again and again until it gives something true, and return that.

    Args:
        condition: Quick and without effect. What it raises is not caught.
        what: The condition in words, for the failure's message.
        limit_s: After so many seconds it is an AssertionError.
    """
    deadline = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"still not true after {limit_s:g} s: {what}")
        time.sleep(PAUSE_S)


async def wait_until_async(condition: Callable[[], T | None], what: str, *, limit_s: float = 15) -> T:
    """The same without blocking the event loop, for tests whose server runs in it."""
    deadline = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"still not true after {limit_s:g} s: {what}")
        await asyncio.sleep(PAUSE_S)
