"""
Which messages share a sync: those that end within a turn of the loop, and within the turns after it that bring more.

Else the first of them would start a sync of its own, and more syncs cost much of a message's processor time. Waiting for
more would cost time where there is none: so it ends with the first turn that brings nothing, which takes microseconds.
Rule: nothing here says that anything is durable; see `intake`.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

__all__ = ["Gathering"]

# A sync takes about as long on a good disk: what waits no longer, waits no longer than for the sync before its own.
GATHER_S_MAX: Final = 0.001


class Gathers(Protocol):
    """The spool, as far as needed here."""

    def gather(self) -> None:
        """Commits wait from now on."""

    def write_gathered(self) -> None:
        """Write them."""


class Gathering:
    """One instance a spool."""

    __slots__ = ("_has_more", "_is_begun", "_loop", "_now_s", "_spool", "_until_s")

    def __init__(self, spool: Gathers, *, now_s: Callable[[], float] = monotonic) -> None:
        self._spool = spool
        self._now_s = now_s
        self._loop = asyncio.get_running_loop()
        self._is_begun = False
        self._has_more = False
        self._until_s = 0.0

    def expect(self) -> None:
        """A message is about to be committed."""
        self._has_more = True
        if not self._is_begun:
            self._is_begun = True
            self._until_s = self._now_s() + GATHER_S_MAX
            self._spool.gather()
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        if self._has_more and self._now_s() < self._until_s:
            self._has_more = False
            self._loop.call_soon(self._look)
        else:
            self._is_begun = False
            self._spool.write_gathered()
