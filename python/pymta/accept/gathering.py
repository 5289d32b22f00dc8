"""
Which messages wait for others to share their sync: all, where mail is dense; hardly any, where it is not.

Where it is dense, the first of them would start a sync of its own, and more syncs cost much of a message's processor time. So
it waits for those that end within its turn of the loop and within the turns after it, up to the first that brings none. Where
it is not, it would wait for what those turns do else and for nothing: a message that is not gathered goes to the spool's writer
at once, which still shares its next sync among all that come during the one before. What gathering brought lately decides.
Rule: nothing here says that anything is durable; see `intake`.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

__all__ = ["Gathering"]

# A sync takes about as long on a good disk: what waits no longer, waits no longer than for the sync before its own.
GATHER_S_MAX: Final = 0.001

# How many messages beside the first must have come to a gathering lately, on average, for the next to be begun.
GAIN_MIN: Final = 1.0

# One message in so many begins one in any case, to learn whether mail has become dense: within a few milliseconds of it.
LOOK_EVERY: Final = 16

# How much of that average is the last one's.
LAST_SHARE: Final = 0.125


class Gathers(Protocol):
    """The spool, as far as needed here."""

    def gather(self) -> None:
        """Commits wait from now on."""

    def write_gathered(self) -> None:
        """Write them."""


class Gathering:
    """One instance a spool."""

    __slots__ = ("_count", "_gain", "_has_more", "_look_in", "_loop", "_now_s", "_spool", "_until_s")

    def __init__(self, spool: Gathers, *, now_s: Callable[[], float] = monotonic) -> None:
        self._spool = spool
        self._now_s = now_s
        self._loop = asyncio.get_running_loop()
        self._has_more = False
        self._until_s = 0.0
        self._count = 0
        """Messages of the gathering that goes on; 0 where none does."""
        self._gain = GAIN_MIN
        self._look_in = LOOK_EVERY

    def expect(self) -> None:
        """A message is about to be committed."""
        if self._count:
            self._count += 1
            self._has_more = True
            return
        if self._gain < GAIN_MIN:
            self._look_in -= 1
            if self._look_in:
                return
        self._look_in = LOOK_EVERY
        self._count = 1
        self._has_more = True
        self._until_s = self._now_s() + GATHER_S_MAX
        self._spool.gather()
        self._loop.call_soon(self._look)

    def _look(self) -> None:
        if self._has_more and self._now_s() < self._until_s:
            self._has_more = False
            self._loop.call_soon(self._look)
        else:
            self._gain += (self._count - 1 - self._gain) * LAST_SHARE
            self._count = 0
            self._spool.write_gathered()
