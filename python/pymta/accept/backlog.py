"""
Taking clients from the system's backlog: several in one turn of the loop.

uvloop (libuv since 1.45) takes one connection for each watcher of a listening socket and turn. With one watcher at most one
message a turn comes in where each has a connection of its own: the others wait in the backlog while the loop goes round for
little, and every sync is for one or two. So a socket gets several watchers. Those that find nobody cost a system call each,
at a new connection and at no other time. asyncio's own loop takes all that wait.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from pymta.runtime.loop import accepts_singly

__all__ = ["Backlog"]

# Measured with 100 clients that connect anew for each message: 1 to 4 are too few, 16 and more gain nothing.
WATCHERS: Final = 8


class Backlog:
    """The clients that wait at one bound socket, which stays its owner's: it goes on listening through a pause."""

    def __init__(
        self, bound: socket.socket, make_protocol: Callable[[], asyncio.Protocol], *, clients_max: int
    ) -> None:
        """
        Args:
            bound: Where they come.
            make_protocol: Gives each that is taken its protocol.
            clients_max: How many may wait.
        """
        self._bound = bound
        self._make_protocol = make_protocol
        self._clients_max = clients_max
        self._loop = asyncio.get_running_loop()
        self._servers: list[asyncio.Server] = []

    async def resume(self) -> None:
        """Take who waits and who comes, (again)."""
        if self._servers:
            return
        for _ in range(WATCHERS if accepts_singly(self._loop) else 1):
            server = await self._loop.create_server(
                self._make_protocol,
                sock=self._bound.dup(),  # the loop closes what it is given
                backlog=self._clients_max,
            )
            self._servers.append(server)

    def pause(self) -> None:
        """Let clients wait."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    def close(self) -> None:
        """Take nobody any more. The socket is its owner's to close."""
        self.pause()
