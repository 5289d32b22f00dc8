"""
Clients that send as fast as they can until they are cut off, and remember exactly what they got a 250 for.

Not a load generator (pymta.load): nothing is sent twice, so whatever arrives twice was delivered twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

__all__ = ["Key", "Sent", "Swarm", "UnexpectedReply"]

LIMIT_OCTETS = 1 << 16
COME_BACK_S = 0.05
SIZES_OCTETS = (200, 1_000, 4_000, 4_000, 8_000, 30_000, 300_000)
"""The last is larger than what the spool keeps in memory, and drawn seldom."""

Key = tuple[str, str]
"""Message-ID and forward-path: what has to arrive."""


class UnexpectedReply(Exception):
    """Neither a 250 nor a 4yz: the server refused what it was sent for good."""


@dataclass
class Sent:
    """What a swarm did."""

    accepted: set[Key] = field(default_factory=set)
    """Got their 250."""
    unanswered: set[Key] = field(default_factory=set)
    """The content was on its way when the connection broke: may arrive or not."""
    refused: set[Key] = field(default_factory=set)
    """Got a 4yz at the end of their content: the client would come back, so they shall not arrive."""
    deferred_count: int = 0
    """4yz replies to any stage."""
    replies: Counter[str] = field(default_factory=Counter)
    """Those 4yz replies."""
    messages_accepted: int = 0


class Swarm:
    """
    Some clients at one server; `run` returns after *stop*, or when all connections are broken and nobody *comes_back*.
    """

    def __init__(
        self, port: int, name: str, sent: Sent, random: Random, *, clients: int = 8, comes_back: bool = False
    ) -> None:
        self._port = port
        self._name = name
        self._sent = sent
        self._random = random
        self._clients = clients
        self._comes_back = comes_back
        self._stopping = False
        self.first_accepted = asyncio.Event()

    async def run(self) -> None:
        """Send until cut off."""
        await asyncio.gather(*(self._client(number) for number in range(self._clients)))

    def stop(self) -> None:
        """Let each client finish its message."""
        self._stopping = True

    async def _client(self, number: int) -> None:
        names = (f"{self._name}.{number}.{count}" for count in itertools.count(1))
        await self._session(names)
        while self._comes_back and not self._stopping:
            await asyncio.sleep(COME_BACK_S)
            await self._session(names)

    async def _session(self, names: Iterator[str]) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=LIMIT_OCTETS)
        except OSError:
            return
        try:
            await _reply(reader)
            writer.write(b"EHLO swarm.example.test\r\n")
            await _reply(reader)
            while not self._stopping:
                await self._message(reader, writer, next(names))
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    async def _message(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
        random, sent = self._random, self._sent
        size_octets = random.choices(SIZES_OCTETS, (20, 20, 20, 20, 10, 9, 1))[0]
        body = random.randbytes(size_octets * 3 // 8).hex("\n", 36).encode().replace(b"\n", b"\r\n") + b"\r\n"
        digest = hashlib.sha256(body).hexdigest()
        message_id = f"{name}@swarm.example.test"
        paths = [f"r{n}@d{n}.example" for n in range(3 if random.random() < 0.2 else 1)]
        commands = ["MAIL FROM:<>", *(f"RCPT TO:<{path}>" for path in paths), "DATA", ""]
        writer.write("\r\n".join(commands).encode())
        replies = [await _reply(reader) for _ in range(len(paths) + 2)]
        if not replies[-1].startswith("354"):
            # Where MAIL was put off, or every RCPT, the rest is out of order.
            self._deferred(next((reply for reply in replies if not reply.startswith("2")), replies[0]))
            writer.write(b"RSET\r\n")
            await _reply(reader)
            await asyncio.sleep(COME_BACK_S)
            return
        keys = {
            (message_id, path)
            for path, reply in zip(paths, replies[1:-1], strict=True)
            if reply.startswith("250")
        }
        sent.unanswered |= keys
        writer.write(f"Message-ID: <{message_id}>\r\nX-Digest: {digest}\r\n\r\n".encode() + body + b".\r\n")
        reply = await _reply(reader)
        sent.unanswered -= keys
        if reply.startswith("250"):
            sent.accepted |= keys
            sent.messages_accepted += 1
            self.first_accepted.set()
        else:
            sent.refused |= keys
            self._deferred(reply)

    def _deferred(self, reply: str) -> None:
        if not reply.startswith("4"):
            raise UnexpectedReply(reply)
        self._sent.deferred_count += 1
        self._sent.replies[reply] += 1


async def _reply(reader: asyncio.StreamReader) -> str:
    """The last line of the next reply; EOFError where the connection ends instead."""
    while True:
        line = await reader.readuntil(b"\r\n")
        if line[3:4] != b"-":
            return line.decode().rstrip()
