"""
When a process that ended is started again: soon at first, then later and later, at last not at all.

No clock and no process: what happened comes as arguments.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Restarts"]

WAIT_S_MIN: Final = 0.5
WAIT_S_MAX: Final = 30.0

STEADY_S: Final = 60.0
"""Who ran this long starts with a clean slate."""

FAILURES_MAX: Final = 8
"""So many ends in a row, none after `STEADY_S`: about two minutes of trying."""


class Restarts:
    """How one process has fared."""

    __slots__ = ("_failures", "count")

    def __init__(self) -> None:
        self._failures = 0
        self.count = 0
        """Times that it was to be started again."""

    def wait_s(self, ran_s: float) -> float | None:
        """
        It ended after *ran_s*.

        Returns:
            How long to wait before it is started again; None: it has failed too often.
        """
        if ran_s >= STEADY_S:
            self._failures = 0
        self._failures += 1
        if self._failures > FAILURES_MAX:
            return None
        self.count += 1
        return float(min(WAIT_S_MIN * 2 ** (self._failures - 1), WAIT_S_MAX))
