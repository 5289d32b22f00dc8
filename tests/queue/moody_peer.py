"""
A next hop with moods: a small SMTP server on loopback that refuses, defers, hangs up, is slow or falls silent at any
point, as a seeded random number wants it.

Not a test of the protocol (tests/dialogues, rust/pymta-smtp) and not the sink (pymta.sink), whose moods are shares of
replies: this one breaks off at the worst moments, which is what the bookkeeping of sites and connections has to outlive.
"""

import asyncio
from random import Random
from typing import cast

import msgspec

from tests.partners.waiting import wait_until_async

ACCEPTING_TURNS = 5
"""Turns of the loop (asyncio's or uvloop's) in which a connection that was accepted gets its protocol."""
CONTENT_END = b"\r\n.\r\n"


class Moods(msgspec.Struct, frozen=True, kw_only=True):
    """How often what happens, from 0 to 1, for each reply that is due (or each connection)."""

    unfriendly: float = 0.0
    """The connection is closed as soon as it is there."""
    refusing: float = 0.0
    """4yz or 5yz instead of what was hoped for."""
    leaving: float = 0.0
    """421 and the end."""
    hanging_up: float = 0.0
    """The end without a word."""
    silent: float = 0.0
    """Nothing any more: only a time limit ends it."""
    slow: float = 0.0
    """The reply comes a little later."""
    restless: float = 0.0
    """421 or the end while nothing was asked, a moment after a reply."""
    keywords: tuple[tuple[str, ...], ...] = (
        ("PIPELINING", "8BITMIME", "SMTPUTF8"),
        ("PIPELINING", "8BITMIME"),
        ("PIPELINING", "LIMITS MAILMAX=3"),
        (),
    )
    """What EHLO may be answered with."""


class MoodyPeer:
    """Listens; all connections draw from one random number."""

    def __init__(self, random: Random, moods: Moods) -> None:
        self.random = random
        self.moods = moods
        self.connections: set[MoodyConnection] = set()
        self.taken_count = 0
        self.connections_max = 0
        """The most at one time."""
        self.transactions_max = 0
        """The most that one connection was asked for."""
        self._server: asyncio.Server | None = None
        self.is_closing = False
        self.port = 0

    async def start(self, port: int = 0) -> None:
        """Listen; on the port of before where it is given."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: MoodyConnection(self, loop), "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more: who connects is refused. Connections stay."""
        assert self._server is not None
        self._server.close()

    async def close(self) -> None:
        """Listen no more, hang up, and return when no connection is left, which is before the loop may be closed."""
        self.is_closing = True
        for _ in range(ACCEPTING_TURNS):
            await asyncio.sleep(0)
        await self.stop()
        for _ in range(ACCEPTING_TURNS):
            await asyncio.sleep(0)
        self.hang_up()
        await wait_until_async(lambda: not self.connections, "the peer's connections are gone")

    def hang_up(self) -> None:
        """All connections at once."""
        for connection in tuple(self.connections):
            connection.transport.abort()


class MoodyConnection(asyncio.Protocol):
    """One connection. Replies go out in order, a slow one holds up those behind it."""

    def __init__(self, peer: MoodyPeer, loop: asyncio.AbstractEventLoop) -> None:
        self._peer = peer
        self._random = peer.random
        self._loop = loop
        self._buffer = b""
        self._waits = False
        self.is_silent = False
        self._in_content = False
        self._mail_taken = False
        self._accepted = 0
        self._transactions = 0
        self.transport = cast(asyncio.Transport, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._peer.connections.add(self)
        self._peer.connections_max = max(self._peer.connections_max, len(self._peer.connections))
        if self._peer.is_closing or self._draw(self._peer.moods.unfriendly):
            self.transport.abort()
        else:
            self._reply(
                b"220 moody.example.test\r\n", refusals=(b"421 4.7.0 not now\r\n", b"554 5.7.0 no\r\n")
            )

    def connection_lost(self, error: Exception | None) -> None:
        self._peer.connections.discard(self)

    def data_received(self, chunk: bytes) -> None:
        self._buffer += chunk
        self._go_on()

    # ---- commands

    def _go_on(self) -> None:
        while not (self._waits or self.is_silent or self.transport.is_closing()):
            if self._in_content:
                # An empty content's end follows DATA's own line end.
                end = 0 if self._buffer.startswith(b".\r\n") else self._buffer.find(CONTENT_END)
                if end < 0:
                    return
                self._buffer = self._buffer[end + (3 if end == 0 else len(CONTENT_END)) :]
                self._in_content = False
                if self._reply(b"250 2.0.0 taken\r\n"):
                    self._peer.taken_count += self._accepted
                continue
            line, found, rest = self._buffer.partition(b"\r\n")
            if not found:
                return
            self._buffer = rest
            self._command(line[:4].upper())

    def _command(self, verb: bytes) -> None:
        if verb == b"EHLO":
            keywords = self._random.choice(self._peer.moods.keywords)
            lines = ["moody.example.test", *keywords]
            text = [f"250{'-' if at < len(lines) - 1 else ' '}{line}\r\n" for at, line in enumerate(lines)]
            self._reply("".join(text).encode(), refusals=(b"451 4.3.0 later\r\n", b"502 5.5.1 no\r\n"))
        elif verb == b"MAIL":
            self._accepted = 0
            self._transactions += 1
            self._peer.transactions_max = max(self._peer.transactions_max, self._transactions)
            # A refused MAIL with pipelined RCPTs and DATA behind it: those are refused with 503.
            self._mail_taken = self._reply(b"250 2.1.0 ok\r\n")
        elif verb == b"RCPT":
            if not self._mail_taken:
                self._say(b"503 5.5.1 MAIL first\r\n")
            elif self._reply(
                b"250 2.1.5 ok\r\n",
                refusals=(b"452 4.5.3 too many\r\n", b"450 4.2.0 later\r\n", b"550 5.1.1 nobody\r\n"),
            ):
                self._accepted += 1
        elif verb == b"DATA":
            if not (self._mail_taken and self._accepted):
                self._say(b"503 5.5.1 RCPT first\r\n")
            else:
                self._in_content = self._reply(b"354 go on\r\n")
        elif verb == b"QUIT":
            if self._reply(b"221 2.0.0 bye\r\n", refusals=(b"221 2.0.0 bye\r\n",)) and not self.is_silent:
                self.transport.close()
        else:
            self._reply(b"250 2.0.0 ok\r\n", refusals=(b"250 2.0.0 ok\r\n",))

    # ---- replies

    def _draw(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    def _reply(
        self, hoped: bytes, *, refusals: tuple[bytes, ...] = (b"451 4.3.0 later\r\n", b"550 5.7.1 no\r\n")
    ) -> bool:
        """Say what is hoped for, or not; whether it was (and is taken so)."""
        moods = self._peer.moods
        if self._draw(moods.hanging_up):
            self.transport.abort() if self._random.random() < 0.5 else self.transport.close()
            return False
        if self._draw(moods.silent):
            self.is_silent = True
            return False
        if self._draw(moods.leaving):
            self.transport.write(b"421 4.3.2 leaving\r\n")
            self.transport.close()
            return False
        is_hoped = not self._draw(moods.refusing)
        octets = hoped if is_hoped else self._random.choice(refusals)
        if self._draw(moods.slow):
            self._waits = True
            self._loop.call_later(self._random.random() * 0.01, self._say_late, octets)
        else:
            self._say(octets)
        if self._draw(moods.restless):
            self._loop.call_later(self._random.random() * 0.005, self._leave)
        return is_hoped

    def _say(self, octets: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(octets)

    def _say_late(self, octets: bytes) -> None:
        self._waits = False
        self._say(octets)
        self._go_on()

    def _leave(self) -> None:
        if self.transport.is_closing() or self._waits:
            return
        if self._random.random() < 0.5:
            self._say(b"421 4.4.2 idle for too long\r\n")
        self.transport.close()
