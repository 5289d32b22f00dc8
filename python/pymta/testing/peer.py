r"""
A peer that says exactly what a transcript says, over a real socket: an SMTP server or client that may misbehave.

    # comment
    S: 220 mx.example.net
    C: EHLO .*
    S: 250-mx.example.net
    S: 250 PIPELINING
    C: MAIL FROM:<(.*)>
    S: 451 4.3.0 not now
    C: QUIT
    S: <close>

What our side says is sent as written, CRLF added; with an escape that ends lines (`\r` or `\n`) in it, exactly as
written and nothing added. `\r \n \t \0 \xNN \\` are the escapes. What the other side must say is a regular expression:
for a client's line, all of it (case-insensitive); for a server's reply, its beginning, the lines of a reply joined by
`\n`. Lines in angle brackets are not text:

    C: <content>   the octets up to CRLF.CRLF, dots removed; they are kept in `contents`
    S: <close>     close the connection        C: <close>   (whose line it is decides who closes)
    C: <end>       the other side has closed   S: <end>
    S: <tls>       the TLS handshake; stands in both roles' transcripts after the 220 to STARTTLS

Not for load and not for realism: a real server is better wherever one can be made to do what is needed.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["DialogueMismatch", "ScriptedPeer"]

Side = Literal["C", "S"]
LINE_OCTETS_MAX = 1024 * 1024
CONTENT_OCTETS_MAX = 64 * 1024 * 1024

_LINE = re.compile(r"([CS]): ?(.*)")
_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|.)")
_ESCAPES = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}


class DialogueMismatch(AssertionError):
    """The other side did not say what the transcript expects."""


@dataclass(slots=True)
class ScriptedPeer:
    """What a scripted peer saw. Made by `listening` (a server) and by `connect` (a client)."""

    address: str = ""
    port: int = 0
    heard: list[str] = field(default_factory=list)
    """All lines and replies of the other side, in order."""
    contents: list[bytes] = field(default_factory=list)
    """What came for each `C: <content>`."""
    connections: int = 0
    _problems: list[DialogueMismatch] = field(default_factory=list)
    _unplayed: int = 0

    @classmethod
    @asynccontextmanager
    async def listening(
        cls, *transcripts: str, tls: ssl.SSLContext | None = None, wait_s_max: float = 10.0
    ) -> AsyncIterator["ScriptedPeer"]:
        """
        A server on a loopback port; each connection plays the next transcript, one more is closed at once.

        Leaving the block waits for the connections to end.

        Raises:
            DialogueMismatch: at the end, where a client said something else or a transcript was not played.
        """
        peer = cls(_unplayed=len(transcripts))
        steps = [_parse(transcript) for transcript in transcripts]
        players: set[asyncio.Task[None]] = set()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            number = peer.connections
            peer.connections += 1
            if number >= len(steps):
                writer.close()
                return
            task = asyncio.create_task(peer._play_one(steps[number], "S", reader, writer, tls, wait_s_max))
            players.add(task)
            task.add_done_callback(players.discard)

        server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=LINE_OCTETS_MAX)
        peer.address, peer.port = server.sockets[0].getsockname()[:2]
        try:
            yield peer
            while players:
                await asyncio.wait(players)
        finally:
            server.close()
            for task in players:
                task.cancel()
            await asyncio.gather(*players, return_exceptions=True)
        if peer._problems:
            raise peer._problems[0]
        if peer._unplayed:
            raise DialogueMismatch(f"{peer._unplayed} transcripts were not played to their end")

    @classmethod
    async def connect(
        cls,
        address: str,
        port: int,
        transcript: str,
        *,
        tls: ssl.SSLContext | None = None,
        wait_s_max: float = 10.0,
    ) -> "ScriptedPeer":
        """
        A client that plays *transcript* against a server and hangs up.

        Raises:
            DialogueMismatch: the server said something else, or nothing for *wait_s_max* seconds.
        """
        peer = cls(address=address, port=port, connections=1, _unplayed=1)
        reader, writer = await asyncio.open_connection(address, port, limit=LINE_OCTETS_MAX)
        await peer._play_one(_parse(transcript), "C", reader, writer, tls, wait_s_max)
        if peer._problems:
            raise peer._problems[0]
        return peer

    async def _play_one(
        self,
        steps: "Sequence[_Step]",
        own: Side,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        tls: ssl.SSLContext | None,
        wait_s_max: float,
    ) -> None:
        player = _Player(self, own, reader, writer, tls)
        step = None
        try:
            for step in steps:
                async with asyncio.timeout(wait_s_max):
                    await player.play(step)
            self._unplayed -= 1
        except DialogueMismatch as problem:
            self._problems.append(problem)
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            line = step.number if step is not None else 0
            self._problems.append(
                DialogueMismatch(f"line {line}: {type(error).__name__}: {error}".rstrip(": "))
            )
        finally:
            writer.close()
            try:
                await writer.wait_closed()
            except (OSError, ssl.SSLError):
                pass  # the other side was quicker


@dataclass(frozen=True, slots=True)
class _Step:
    number: int
    side: Side
    text: str


def _parse(transcript: str) -> list[_Step]:
    steps: list[_Step] = []
    for number, line in enumerate(transcript.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"line {number} of the transcript begins with neither C: nor S:")
        side: Side = "C" if match[1] == "C" else "S"
        steps.append(_Step(number, side, match[2]))
    return steps


class _Player:
    """One connection and one transcript."""

    def __init__(
        self,
        peer: ScriptedPeer,
        own: Side,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._peer = peer
        self._own = own
        self._reader = reader
        self._writer = writer
        self._tls = tls

    async def play(self, step: _Step) -> None:
        if step.text == "<tls>":
            if self._tls is None:
                raise DialogueMismatch(f"line {step.number}: no TLS context was given")
            await self._writer.start_tls(self._tls, server_hostname=self._peer.address or "127.0.0.1")
        elif step.side == self._own:
            await self._say(step)
        else:
            await self._hear(step)

    async def _say(self, step: _Step) -> None:
        if step.text == "<close>":
            self._writer.close()
            return
        octets = _unescaped(step.text)
        self._writer.write(octets if b"\r" in octets or b"\n" in octets else octets + b"\r\n")
        await self._writer.drain()

    async def _hear(self, step: _Step) -> None:
        if step.text in ("<end>", "<close>"):
            rest = await self._reader.read(200)
            if rest:
                raise DialogueMismatch(
                    f"line {step.number}: expected the end of the connection, heard {rest!r}"
                )
        elif step.text == "<content>":
            self._peer.contents.append(await self._content())
        elif step.side == "S":
            reply = await self._reply()
            self._peer.heard.append(reply)
            if re.match(step.text, reply, re.DOTALL) is None:
                raise DialogueMismatch(f"line {step.number}: expected {step.text!r}, heard {reply!r}")
        else:
            line = await self._line()
            self._peer.heard.append(line)
            if re.fullmatch(step.text, line, re.IGNORECASE) is None:
                raise DialogueMismatch(f"line {step.number}: expected {step.text!r}, heard {line!r}")

    async def _line(self) -> str:
        octets = await self._reader.readuntil(b"\r\n")
        return octets[:-2].decode("utf-8", "backslashreplace")

    async def _reply(self) -> str:
        lines = [await self._line()]
        while lines[-1][3:4] == "-":
            lines.append(await self._line())
        return "\n".join(lines)

    async def _content(self) -> bytes:
        content = bytearray()
        while (line := await self._reader.readuntil(b"\r\n")) != b".\r\n":
            content += line.removeprefix(b".")
            if len(content) > CONTENT_OCTETS_MAX:
                raise DialogueMismatch("the content does not end")
        return bytes(content)


def _unescaped(text: str) -> bytes:
    def octets(match: re.Match[bytes]) -> bytes:
        code = match[1]
        if code.startswith(b"x") and len(code) == 3:
            return bytes([int(code[1:], 16)])
        try:
            return _ESCAPES[code]
        except KeyError:
            raise ValueError(f"unknown escape \\{code.decode()}") from None

    return _ESCAPE.sub(octets, text.encode())
