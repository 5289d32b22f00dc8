"""
Connections that something comes before: a PROXY header, or a handshake (implicit TLS). They are accepted here; the loop
takes them over when it is known whom they speak for.

No transport reads before the header is over, because it would read on into what follows: a TLS client speaks first, so
balancers send its first words in one segment with the header, and those are the handshake's.

Rule: who has not shaken hands yet counts against the limits of connections like everybody else. The loop's own server tells
nobody of him, and would take as many as there are file descriptors.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable

from pymta._core import parse_proxy
from pymta.accept.doors import AnyDoor, AnyDriver, make_driver
from pymta.accept.hello import challenge_context
from pymta.listen.peers import counted_address
from pymta.observe.events import Refuse

__all__ = ["Acceptor"]

# A front that is trusted to send a PROXY header sends it at once.
HEADER_S_MAX = 10.0

# More than the longest header (rust/pymta-smtp/src/proxy.rs).
HEADER_OCTETS_LOOKED_AT = 1024

# Connections that are accepted in one turn of the loop.
ACCEPTED_PER_TURN_MAX = 64


class Acceptor:
    """Accepts at a bound socket; each connection gets a driver once it is known for whom it speaks."""

    def __init__(
        self,
        bound: socket.socket,
        door: Callable[[], AnyDoor],
        drivers: set[AnyDriver],
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

    async def resume(self) -> None:
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
                self.take_over(connection, door, context, address[:2], is_proxied=False)

    def forget(self, header: "_Header") -> None:
        """It is over, one way or the other."""
        self._waiting.discard(header)

    def take_over(
        self,
        connection: socket.socket,
        door: AnyDoor,
        context: ssl.SSLContext | None,
        client: tuple[str, int],
        *,
        is_proxied: bool,
    ) -> None:
        """From here it is a connection like any other; *client* is whom it is from, or whom the front speaks for."""
        handshake = None if context is None else _Handshake(door, client[0])
        if handshake is not None and not handshake.is_admitted:
            connection.close()  # whatever was said would not be TLS
            return
        task = self._loop.create_task(
            self._serve(connection, door, context, client if is_proxied else None, handshake)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(
        self,
        connection: socket.socket,
        door: AnyDoor,
        context: ssl.SSLContext | None,
        proxied: tuple[str, int] | None,
        handshake: "_Handshake | None",
    ) -> None:
        over = None if handshake is None else handshake.over
        try:
            proof = None if context is None else await self._proof(connection, door)
            if proof is not None:
                await self._prove(connection, proof, door)
                return
            await self._loop.connect_accepted_socket(
                lambda: make_driver(door, self._drivers, proxied=proxied, on_made=over),
                connection,
                ssl=context,
                ssl_handshake_timeout=door.limits.tls_handshake_s_max if context else None,
            )
        except (OSError, TimeoutError):
            if context is not None:
                door.metrics.tls_handshakes.add("failed")
            connection.close()
        finally:
            if over is not None:
                over()

    async def _proof(self, connection: socket.socket, door: AnyDoor) -> ssl.SSLContext | None:
        """What an authority that comes here to see whether a name is ours is shown; None for everybody else."""
        challenges = door.challenges
        if challenges is None or not challenges.are_expected:
            return None
        try:
            return await challenge_context(connection, challenges, door.limits.tls_handshake_s_max)
        except asyncio.CancelledError:
            connection.close()  # no transport has it yet
            raise

    async def _prove(self, connection: socket.socket, proof: ssl.SSLContext, door: AnyDoor) -> None:
        """The handshake is the whole answer, nothing is said after it (RFC 8737 §3)."""
        transport, _ = await self._loop.connect_accepted_socket(
            asyncio.Protocol, connection, ssl=proof, ssl_handshake_timeout=door.limits.tls_handshake_s_max
        )
        transport.close()


class _Handshake:
    """The place of a client that shakes hands among the counted connections."""

    __slots__ = ("_address", "_admission", "_is_over", "is_admitted")

    def __init__(self, door: AnyDoor, address: str) -> None:
        self._admission = door.admission
        self._address = counted_address(address)
        self._is_over = False
        refusal = door.admission.enter(self._address, door.limits, trusted=door.is_trusted(address))
        self.is_admitted = refusal is None
        if refusal is not None:
            self.over()
            door.metrics.connections_refused.add("limit")
            door.log.emit(Refuse(sid="", peer=address, stage="connect", reply="", cause="connection limit"))

    def over(self) -> None:
        """It has ended, or the connection's driver counts itself from now on. May be called again."""
        if not self._is_over:
            self._is_over = True
            self._admission.leave(self._address)


class _Header:
    """One connection, until its header is read."""

    def __init__(
        self,
        connection: socket.socket,
        peer: str,
        door: AnyDoor,
        context: ssl.SSLContext | None,
        acceptor: Acceptor,
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
            source = parsed[0]
            client = (self._peer, 0) if source is None else source
            self._acceptor.take_over(
                self._connection, self._door, self._context, client, is_proxied=source is not None
            )

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
