"""
Accepting pauses before the file descriptors of the process run out, and goes on when there are enough again.

Whoever has none left cannot deliver, cannot begin a segment, and resets each client that connects (uvloop) or spins
(other loops). Clients that wait to be accepted lose nothing but time. Rule: the system gives out the lowest free
number, so the number of a new connection tells how many are in use, without counting.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from pymta.observe.events import Admin, Trouble
from pymta.observe.log import Log

__all__ = ["Descriptors", "Pausing"]

LOOK_AGAIN_S = 1.0

# What is kept for all that is not a session: segments, deliveries, the resolver, scripts, whoever operates the server.
RESERVED_MAX: Final = 256
RESERVED_SHARE: Final = 8


class Pausing(Protocol):
    """A listener."""

    def pause(self) -> None:
        """Leave clients to the system's backlog."""

    async def resume(self) -> None:
        """Accept again."""


class Descriptors:
    """One instance a process, shared by its listeners."""

    def __init__(self, open_files_max: int, *, in_use: Callable[[], int], log: Log) -> None:
        """
        Args:
            open_files_max: How many the process may have.
            in_use: How many it has; asked once a second while accepting pauses.
            log: Told when a pause begins and ends.
        """
        self._reserved = min(RESERVED_MAX, open_files_max // RESERVED_SHARE)
        self._scarce_from = open_files_max - self._reserved
        self._in_use = in_use
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self.listeners: list[Pausing] = []
        self.are_scarce = False

    def opened(self, transport: asyncio.BaseTransport) -> None:
        """A connection was accepted: pause where it got one of the last numbers."""
        connection = transport.get_extra_info("socket")
        if connection is not None:
            self.numbered(connection.fileno())

    def numbered(self, number: int) -> None:
        """The same for a connection that has no transport yet."""
        if number < self._scarce_from or self.are_scarce:
            return
        self.are_scarce = True
        for listener in self.listeners:
            listener.pause()
        self._log.emit(
            Trouble(
                what="accepting pauses",
                error=f"{self._scarce_from} file descriptors are in use; {self._reserved} are kept for deliveries "
                "and the disk (server.open_files_max)",
                where="accept",
            )
        )
        self._timer = self._loop.call_later(LOOK_AGAIN_S, self._look)

    def close(self) -> None:
        """The server stops."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _look(self) -> None:
        # Not as soon as there is one: a pause shall end for longer than a moment.
        if self._in_use() > self._scarce_from - self._reserved:
            self._timer = self._loop.call_later(LOOK_AGAIN_S, self._look)
        else:
            self._task = self._loop.create_task(self._resume())

    async def _resume(self) -> None:
        self.are_scarce = False
        for listener in self.listeners:
            await listener.resume()
        self._log.emit(Admin(action="accepting", detail="there are enough file descriptors again"))
