"""
Connections of fronts that send a PROXY header: reads it off the socket, then lets the loop take the connection over.

No transport reads before the header is over, because it would read on into what follows: a TLS client speaks first, so
balancers send its first words in one segment with the header, and those are the handshake's.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable

from pymta._core import parse_proxy
from pymta.accept.door import Door
from pymta.accept.driver import SmtpDriver
from pymta.observe.events import Refuse

__all__ = ["ProxyAcceptor"]

# A front that is trusted to send a PROXY header sends it at once.
HEADER_S_MAX = 10.0

# More than the longest header (rust/pymta-smtp/src/proxy.rs).
HEADER_OCTETS_LOOKED_AT = 1024

# Connections that are accepted in one turn of the loop.
ACCEPTED_PER_TURN_MAX = 64


class ProxyAcceptor:
    """Accepts at a bound socket; each connection gets a driver once it is known for whom it speaks."""

    def __init__(
        self,
        bound: socket.socket,
        door: Callable[[], Door],
        drivers: set[SmtpDriver],
        context: Callable[[], ssl.SSLContext | None],
    ) -> None:
        self._bound = bound
        self._door = door
        self._drivers = drivers
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._waiting: set[_Header] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_accepting = False
        bound.listen(door().settings.backlog_max)

    def resume(self) -> None:
        """Accept (again)."""
        if not self._is_accepting:
            self._is_accepting = True
            self._loop.add_reader(self._bound.fileno(), self._accept)

    def pause(self) -> None:
        """Accept nobody; who is here goes on."""
        if self._is_accepting:
            self._is_accepting = False
            self._loop.remove_reader(self._bound.fileno())

    def close(self) -> None:
        """Accept no more; who has not said whom it speaks for is cut. The socket is its owner's to close."""
        self.pause()
        for header in tuple(self._waiting):
            header.end()
        for task in self._tasks:
            task.cancel()

    def _accept(self) -> None:
        door, context = self._door(), self._context()
        for _ in range(ACCEPTED_PER_TURN_MAX):
            if not self._is_accepting:
                return
            try:
                connection, address = self._bound.accept()
            except BlockingIOError:
                return
            except OSError:
                return  # gone before it was looked at; or there are no descriptors left, see `descriptors`
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            door.descriptors.numbered(connection.fileno())
            if door.speaks_proxy(address[0]):
                self._waiting.add(_Header(connection, address[0], door, context, self))
            else:
                # Not one of the fronts: whatever it sends, it is its own address that counts.
                self.take_over(connection, door, context, None)

    def forget(self, header: "_Header") -> None:
        """It is over, one way or the other."""
        self._waiting.discard(header)

    def take_over(
        self,
        connection: socket.socket,
        door: Door,
        context: ssl.SSLContext | None,
        source: tuple[str, int] | None,
    ) -> None:
        """From here it is a connection like any other; *source* is whom the front speaks for."""
        task = self._loop.create_task(self._serve(connection, door, context, source))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(
        self,
        connection: socket.socket,
        door: Door,
        context: ssl.SSLContext | None,
        source: tuple[str, int] | None,
    ) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: SmtpDriver(door, self._drivers, proxied=source),
                connection,
                ssl=context,
                ssl_handshake_timeout=door.limits.tls_handshake_s_max if context else None,
            )
        except (OSError, TimeoutError):
            if context is not None:
                door.metrics.tls_handshakes.add("failed")
            connection.close()


class _Header:
    """One connection, until its header is read."""

    def __init__(
        self,
        connection: socket.socket,
        peer: str,
        door: Door,
        context: ssl.SSLContext | None,
        acceptor: ProxyAcceptor,
    ) -> None:
        self._connection = connection
        self._peer = peer
        self._door = door
        self._context = context
        self._acceptor = acceptor
        self._read = b""
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(HEADER_S_MAX, self._give_up, "no PROXY header in time")
        self._loop.add_reader(connection.fileno(), self._readable)

    def _readable(self) -> None:
        """Bounded: the parser knows after a few hundred octets at most whether it is a header."""
        try:
            waiting = self._connection.recv(HEADER_OCTETS_LOOKED_AT, socket.MSG_PEEK)
            if not waiting:
                self._give_up("closed before the PROXY header was there")
                return
            parsed = parse_proxy(self._read + waiting)
            # What is not a whole header yet has nothing behind it.
            octets = len(waiting) if parsed is None else parsed[1] - len(self._read)
            self._read += self._connection.recv(octets)
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:
            self._give_up(str(error))
            return
        if parsed is not None:
            self._stop_reading()
            self._acceptor.take_over(self._connection, self._door, self._context, parsed[0])

    def _stop_reading(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._connection.fileno())
        self._acceptor.forget(self)

    def _give_up(self, cause: str) -> None:
        self._door.metrics.connections_refused.add("proxy")
        self._door.log.emit(Refuse(sid="", peer=self._peer, stage="connect", reply="", cause=cause))
        self.end()

    def end(self) -> None:
        """Cut it."""
        self._stop_reading()
        self._connection.close()
