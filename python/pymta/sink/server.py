"""
The sink's server: listens, counts what its connections took, keeps it where that is wanted.

No policy, no spool. Rule: it says 250 to what it counted, so that the figures of both sides of a test can be compared.
"""

import asyncio
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pymta._core import Envelope, ServerSettings
from pymta.sink.behaviour import Behaviour, Behaviours
from pymta.sink.connection import SinkConnection
from pymta.sink.folder import SinkFolder
from pymta.sink.options import Counts, SinkOptions

__all__ = ["Behaviours", "Counts", "Sink", "SinkOptions"]

SWEEP_S: Final = 1.0
BACKLOG_MAX: Final = 1024
# Within so many turns of the loop a connection that was accepted gets its protocol.
ACCEPTING_TURNS: Final = 5

OnMessage = Callable[[Path | None, Envelope, int], None]
"""(where it is kept or None, its envelope, its octets)."""


class Sink:
    """
    A listening sink.

    Args:
        options: What it is to be.
        tls: Its certificate; STARTTLS is offered with it, or used at once (`SinkOptions.implicit_tls`).
        on_message: Told of each message taken.
    """

    def __init__(
        self, options: SinkOptions, *, tls: ssl.SSLContext | None = None, on_message: OnMessage | None = None
    ) -> None:
        self.options = options
        self.counts = Counts()
        self.tls = tls
        self.behaviour = Behaviour(options.behaviours)
        self.keeps = options.folder is not None
        self.connections: set[SinkConnection] = set()
        self.connections_max = options.connections_max
        self.is_stopping = False
        self._on_message = on_message
        self._folder: SinkFolder | None = None
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self.settings = ServerSettings(
            hostname=options.hostname,
            lmtp=options.lmtp,
            starttls=tls is not None and not options.implicit_tls,
            # A bare CR or LF is a fault of who sends, and a sink that took it would hide it.
            line_endings="refuse",
            # Limits are for doors that strangers knock at. What stays is the memory that one connection may cost.
            limits={
                "message_octets_max": options.octets_max,
                "text_line_octets_max": 1 << 20,
                "recipients_max": 100_000,
                "commands_max": 2**62,
                "transactions_max": 2**62,
                "refusals_max": 2**32 - 1,
                "idle_commands_max": 2**32 - 1,
            },
        )

    async def start(self) -> int:
        """
        Listen; returns the port.

        Raises:
            OSError: The address is in use or not ours, or the folder cannot be made.
        """
        options = self.options
        if options.folder is not None:
            self._folder = SinkFolder(options.folder, options.messages_max)
        loop = asyncio.get_running_loop()
        implicit = self.tls if options.implicit_tls else None
        try:
            self._server = await loop.create_server(
                lambda: SinkConnection(self, loop, secure=implicit is not None),
                options.host,
                options.port,
                ssl=implicit,
                backlog=BACKLOG_MAX,
            )
        except OSError as error:  # the loop's own words are of Python, not of ports
            if error.errno is None or error.errno <= 0:
                raise  # a name that does not resolve, which has words of its own
            where = f"{options.host}:{options.port}"
            raise OSError(error.errno, os.strerror(error.errno), where) from None
        self._sweeper = loop.call_later(SWEEP_S, self._sweep, loop)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Listen no more, and hang up on who is still there."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        self.is_stopping = True
        if self._server is not None:
            # Who was accepted just now gets a protocol, which hangs up: asyncio leaves open what it accepted for a server
            # that is closed before that.
            await _turns()
            self._server.close()
            await _turns()
        for connection in tuple(self.connections):
            connection.stop()

    def took(self, envelope: Envelope, octets: int, content: bytearray | None) -> Path | None:
        """
        Count a message, and keep it where that is wanted.

        Raises:
            OSError: It cannot be kept; then it is not counted.
        """
        path = None
        if content is not None:
            assert self._folder is not None, "content is asked for only with a folder"
            path = self._folder.keep(envelope, content)
        counts = self.counts
        counts.messages += 1
        counts.recipients += envelope.recipient_count
        counts.octets += octets
        if self._on_message is not None:
            self._on_message(path, envelope, octets)
        return path

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = loop.time()
        for connection in tuple(self.connections):
            connection.sweep(now_s, self.options.idle_s_max)
        self._sweeper = loop.call_later(SWEEP_S, self._sweep, loop)


async def _turns() -> None:
    for _ in range(ACCEPTING_TURNS):
        await asyncio.sleep(0)
