"""
How long a part of the bench may take, so that none of them hangs and the whole has an end.

Not a stopwatch of what is measured. Rule: between two measurements a part asks whether there is time for more; what is under
way then is broken off some seconds later, and whatever was left out is told in the table.
"""

import signal
import sys
import time
from types import FrameType, TracebackType
from typing import Self

__all__ = ["GRACE_S", "Limit", "TimeUp"]

#: What is under way when the time is up may take so much longer.
GRACE_S = 30.0


class TimeUp(Exception):
    """Broken off: neither a failure of who was measured, nor a figure."""


class Limit:
    """So many seconds for all that is done inside of it; with it, a SIGTERM ends what was started in good order."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end_s = time.monotonic() + seconds

    def __enter__(self) -> Self:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        signal.signal(signal.SIGALRM, self._break_off)
        signal.setitimer(signal.ITIMER_REAL, max(self.left_s, 0) + GRACE_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)

    @property
    def left_s(self) -> float:
        """Seconds until it is over, below zero afterwards."""
        return self._end_s - time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be begun."""
        return self.left_s <= 0

    def _break_off(self, number: int, frame: FrameType | None) -> None:
        raise TimeUp(f"broken off, {GRACE_S:g} s after its {self.seconds:g} s")
