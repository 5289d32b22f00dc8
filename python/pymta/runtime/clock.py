"""
The clock, as a value that is passed: nothing else in the server asks the system what time it is.

Tests use `pymta.testing.FakeClock`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

__all__ = ["Clock", "Steps", "SystemClock"]

# What is less is a clock that is being put right, and makes no difference to what waits for minutes and days.
STEP_MS_MIN: Final = 60_000

# More of them are taken together.
STEPS_MAX: Final = 16


class Clock(Protocol):
    """Two kinds of now: the date, which may be set back, and one that only goes on."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC; for what is kept on disk or shown."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment, never going back; for waiting and measuring. The event loop's time."""
        ...

    def elapsed_ms(self) -> int:
        """Milliseconds since some moment, never going back, those included that the machine slept."""
        ...


class SystemClock:
    """The real one."""

    __slots__ = ()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    def elapsed_ms(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Steps:
    """
    Notices where the date was set, forward or back, so that what waited through it is not taken for older than it is.

    Not for what was wrong before this process began: nobody knows that.
    """

    def __init__(self, clock: Clock, on_step: Callable[[int], None]) -> None:
        """Call *on_step* with milliseconds, less than 0 where it was set back."""
        self._clock = clock
        self._on_step = on_step
        self._difference_ms = clock.now_ms() - clock.elapsed_ms()
        self._latest_ms = clock.now_ms()
        # Steps forward that still hold, oldest first: the latest date before it, and by how much. What bears a later date
        # came after it; what came after and bears an earlier one, because the date was set back too, is taken for younger
        # than it is, which does no harm.
        self._forward: list[tuple[int, int]] = []

    def look(self) -> None:
        """Look whether there was one since the last look."""
        now_ms = self._clock.now_ms()
        difference_ms = now_ms - self._clock.elapsed_ms()
        step_ms = difference_ms - self._difference_ms
        # Always: a clock that is slowly put right is no step.
        self._difference_ms = difference_ms
        if abs(step_ms) < STEP_MS_MIN:
            self._latest_ms = max(self._latest_ms, now_ms)
            return
        if step_ms > 0:
            self._forward.append((max(self._latest_ms, now_ms - step_ms), step_ms))
            if len(self._forward) > STEPS_MAX:
                (_, first_ms), (before_ms, second_ms), *rest = self._forward
                self._forward = [(before_ms, first_ms + second_ms), *rest]
        else:
            self._take_back(-step_ms)
        self._latest_ms = max(self._latest_ms, now_ms)
        self._on_step(step_ms)

    def moved(self, at_ms: int) -> int:
        """A date of the past as the clock would have shown it, had it always shown what it shows now."""
        self.look()
        return at_ms + sum(by_ms for before_ms, by_ms in self._forward if at_ms < before_ms + STEP_MS_MIN)

    def _take_back(self, by_ms: int) -> None:
        while self._forward and by_ms > 0:
            before_ms, forward_ms = self._forward.pop()
            left_ms = forward_ms - by_ms
            by_ms -= forward_ms
            if left_ms > 0:
                self._forward.append((before_ms, left_ms))
