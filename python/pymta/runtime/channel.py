"""
Questions and answers between two processes of one server, over a socket pair.

A frame is four octets of length, then a pickled tuple. Nobody but the parent and its child has an end of the pair, so
what arrives is as trustworthy as our own memory; a frame that is too long or broken is a bug and ends the channel.
"""

from __future__ import annotations

import asyncio
import itertools
import pickle
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

__all__ = ["Channel", "ChannelLost", "Declined", "NoAnswer", "read_first", "write_first"]

FRAME_OCTETS_MAX: Final = 256 * 1024 * 1024
"""A list of all ids of a deep queue, with room to spare."""

_LENGTH_OCTETS: Final = 4

Handler = Callable[[str, tuple[Any, ...]], Awaitable[Any]]
"""(question, arguments) → the answer."""


class ChannelLost(Exception):
    """The other side is gone."""


class NoAnswer(ChannelLost):
    """It is there and did not answer in time."""


class Declined(Exception):
    """The other side could not do it; the text says why, `kind` is the name of what it raised."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def write_first(end: socket.socket, value: object) -> None:
    """Send *value* before there is a loop; it waits until the other side has read it."""
    end.sendall(_frame(value))


def read_first(end: socket.socket) -> Any:
    """What `write_first` sent; ChannelLost where the other side is gone."""
    head = _read_exactly(end, _LENGTH_OCTETS)
    return pickle.loads(_read_exactly(end, int.from_bytes(head, "big")))  # noqa: S301 - see the module


class Channel:
    """
    One end. Both may ask; each answers what the other asks with its handler.

    Args:
        end: The socket, ours from now on.
        handle: Answers questions, one task each.
        on_lost: Called once, when the other side is gone.
    """

    def __init__(self, end: socket.socket, *, handle: Handler, on_lost: Callable[[], None]) -> None:
        end.setblocking(False)
        self._end = end
        self._handle = handle
        self._on_lost = on_lost
        self._numbers = itertools.count()
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._end)
        self._reading = asyncio.get_running_loop().create_task(self._read(reader), name="channel")

    async def ask(self, question: str, *arguments: Any, wait_s_max: float) -> Any:
        """
        The other side's answer.

        Raises:
            Declined: It says no.
            ChannelLost: There is none; `NoAnswer` where it only is slow.
        """
        if self._writer is None or self._writer.is_closing():
            raise ChannelLost("there is no connection to it")
        number = next(self._numbers)
        self._writer.write(_frame(("ask", number, question, arguments)))
        answer = self._open[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(wait_s_max):
                return await answer
        except TimeoutError:
            raise NoAnswer(f"no answer within {wait_s_max:g} s") from None
        finally:
            self._open.pop(number, None)

    async def close(self) -> None:
        """Hang up; `on_lost` is not called."""
        if self._reading is not None:
            self._reading.cancel()
        for task in tuple(self._tasks):
            task.cancel()
        if self._writer is not None:
            self._writer.close()
        else:
            self._end.close()
        self._end_open("the channel was closed")

    # ---- inside ------------------------------------------------------------------------------------------------------

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                head = await reader.readexactly(_LENGTH_OCTETS)
                frame = await reader.readexactly(_bounded(int.from_bytes(head, "big")))
                self._got(pickle.loads(frame))  # noqa: S301 - see the module
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            if self._writer is not None:
                self._writer.close()
            self._end_open("it is gone")
        self._on_lost()

    def _got(self, frame: tuple[Any, ...]) -> None:
        match frame:
            case ("ask", number, question, arguments):
                task = asyncio.get_running_loop().create_task(self._answer(number, question, arguments))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case ("answer", number, value):
                if (waiting := self._open.get(number)) is not None and not waiting.done():
                    waiting.set_result(value)
            case ("declined", number, kind, text):
                if (waiting := self._open.get(number)) is not None and not waiting.done():
                    waiting.set_exception(Declined(kind, text))

    async def _answer(self, number: int, question: str, arguments: tuple[Any, ...]) -> None:
        frame: tuple[Any, ...]
        try:
            frame = ("answer", number, await self._handle(question, arguments))
        except Exception as error:
            frame = ("declined", number, type(error).__name__, str(error))
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(_frame(frame))

    def _end_open(self, text: str) -> None:
        for waiting in self._open.values():
            if not waiting.done():
                waiting.set_exception(ChannelLost(text))


def _frame(value: object) -> bytes:
    octets = pickle.dumps(value)
    return _bounded(len(octets)).to_bytes(_LENGTH_OCTETS, "big") + octets


def _bounded(octets: int) -> int:
    if octets > FRAME_OCTETS_MAX:
        raise OSError(f"a frame of {octets} octets")
    return octets


def _read_exactly(end: socket.socket, octets: int) -> bytes:
    read = bytearray()
    while len(read) < octets:
        chunk = end.recv(min(octets - len(read), 1 << 20))
        if not chunk:
            raise ChannelLost("it is gone")
        read += chunk
    return bytes(read)
