"""
The clock, as a value that is passed: nothing else in the server asks the system what time it is.

Tests use `pymta.testing.FakeClock`.
"""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Two kinds of now: the date, which may be set back, and one that only goes on."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC; for what is kept on disk or shown."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment, never going back; for waiting and measuring. The event loop's time."""
        ...


class SystemClock:
    """The real one."""

    __slots__ = ()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()
