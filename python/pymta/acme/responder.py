"""
What answers at `acme.addresses`: challenges, and nothing else.

For http-01 it is HTTP (h11) with one path, for tls-alpn-01 a handshake after which nothing is said. It faces everybody, so
a connection has few octets, few seconds and one answer; where there are too many the oldest is cut, which has had its time.

Rule: who has not shaken hands yet is counted like everybody else. The loop's own server tells nobody of him, so connections
for a handshake are accepted here.
"""

import asyncio
import os
import re
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

import h11

from pymta.config.values import Endpoint
from pymta.tls.challenge import PROTOCOL, TlsChallenges

__all__ = ["Responder", "bind"]

CONNECTIONS_MAX: Final = 200
CONNECTION_S_MAX: Final = 10.0
HEAD_OCTETS_MAX: Final = 8 * 1024
BACKLOG: Final = 128
ACCEPTED_PER_TURN_MAX: Final = 64
PAUSE_S: Final = 1.0
_PATH: Final = "/.well-known/acme-challenge/"  # RFC 8555 §8.3
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
_NOTHING: Final = b"nothing is here but ACME challenges\n"


def bind(addresses: Sequence[Endpoint]) -> list[socket.socket]:
    """
    The sockets, so that port 80 can be had before privileges are dropped.

    Raises:
        OSError: An address is in use or not ours.
    """
    bound: list[socket.socket] = []
    for endpoint in addresses:
        family = socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET
        try:
            bound.append(
                socket.create_server((endpoint.address, endpoint.port), family=family, backlog=BACKLOG)
            )
        except OSError as error:
            for one in bound:
                one.close()
            raise OSError(error.errno, os.strerror(error.errno or 0), str(endpoint)) from None
    return bound


class Responder:
    """Answers on bound sockets, which it closes in the end."""

    def __init__(self, sockets: Sequence[socket.socket], *, http_folder: Path, tls: TlsChallenges) -> None:
        """
        Args:
            sockets: From `bind`.
            http_folder: The answers of http-01, files named as the token.
            tls: Those of tls-alpn-01.
        """
        self._sockets = sockets
        self._http_folder = http_folder
        self._tls = tls
        self._servers: list[asyncio.Server] = []
        self._shaking_hands: list[socket.socket] = []
        self._open: dict[_Connection | _Handshake, None] = {}  # in order of arrival
        self._is_tls = False

    async def use(self, challenge: str) -> None:
        """Answer *challenge*, "http-01" or "tls-alpn-01"; what was answered before no more."""
        if (self._servers or self._shaking_hands) and self._is_tls == (challenge == "tls-alpn-01"):
            return
        self._stop_accepting()
        self._is_tls = challenge == "tls-alpn-01"
        loop = asyncio.get_running_loop()
        for listening in self._sockets:
            own = listening.dup()  # the loop closes what it is given
            if self._is_tls:
                own.setblocking(False)
                self._shaking_hands.append(own)
                loop.add_reader(own.fileno(), self._accept, own, self._context())
            else:
                self._servers.append(await loop.create_server(self._connection, sock=own, backlog=BACKLOG))

    def close(self) -> None:
        """Answer no more."""
        self._stop_accepting()
        for listening in self._sockets:
            listening.close()
        for connection in tuple(self._open):
            connection.cut()

    def _stop_accepting(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        for listening in self._shaking_hands:
            asyncio.get_running_loop().remove_reader(listening.fileno())
            listening.close()
        self._shaking_hands.clear()

    def _connection(self) -> "_Connection":
        return _Connection(self._open, self._http_folder)

    def _accept(self, listening: socket.socket, context: ssl.SSLContext) -> None:
        for _ in range(ACCEPTED_PER_TURN_MAX):
            try:
                connection, _address = listening.accept()
            except (BlockingIOError, ConnectionError):
                return  # nobody any more, or gone before it was looked at
            except (
                OSError
            ):  # such as no descriptors left: he would be seen again and again, as fast as we can look
                loop = asyncio.get_running_loop()
                loop.remove_reader(listening.fileno())
                loop.call_later(PAUSE_S, self._accept_again, listening, context)
                return
            connection.setblocking(False)
            _Handshake(self._open, connection, context)

    def _accept_again(self, listening: socket.socket, context: ssl.SSLContext) -> None:
        if listening in self._shaking_hands:
            asyncio.get_running_loop().add_reader(listening.fileno(), self._accept, listening, context)

    def _context(self) -> ssl.SSLContext:
        """Of a handshake that is nobody's until a name is asked for that there is an answer for."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols([PROTOCOL])
        context.sni_callback = self._choose
        return context

    def _choose(self, tls: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        context = None if name is None else self._tls.context_of(name)
        if context is None:
            return int(ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME)
        tls.context = context
        return None


class _Connection(asyncio.Protocol):
    """One connection: one answer, then closed."""

    def __init__(self, others: "dict[_Connection | _Handshake, None]", folder: Path) -> None:
        self._others = others
        self._folder = folder
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_OCTETS_MAX)
        self._transport = cast(asyncio.Transport, None)
        self._timer = asyncio.get_running_loop().call_later(CONNECTION_S_MAX, self.cut)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._others[self] = None
        if len(self._others) > CONNECTIONS_MAX:
            next(iter(self._others)).cut()

    def data_received(self, chunk: bytes) -> None:
        if self._transport.is_closing():
            return
        try:
            self._http.receive_data(chunk)
            event = self._http.next_event()
        except h11.RemoteProtocolError:
            self.cut()
            return
        if isinstance(event, h11.Request):
            self._answer(event)

    def connection_lost(self, error: Exception | None) -> None:
        self._timer.cancel()
        self._others.pop(self, None)

    def cut(self) -> None:
        """End it at once; from now on it does not count."""
        self._others.pop(self, None)
        if self._transport is not None:
            self._transport.abort()

    def _answer(self, request: h11.Request) -> None:
        found = self._found(request)
        body = _NOTHING if found is None else found
        kind = b"text/plain" if found is None else b"application/octet-stream"  # RFC 8555 §8.3
        status = 404 if found is None else 200
        fields = [
            (b"content-type", kind),
            (b"content-length", str(len(body)).encode("ascii")),
            (b"connection", b"close"),
        ]
        for event in (
            h11.Response(status_code=status, headers=fields),
            h11.Data(data=b"" if request.method == b"HEAD" else body),
            h11.EndOfMessage(),
        ):
            self._transport.write(self._http.send(event) or b"")
        self._transport.close()

    def _found(self, request: h11.Request) -> bytes | None:
        token = request.target.decode("latin-1").removeprefix(_PATH)
        if request.method not in (b"GET", b"HEAD") or not _TOKEN.fullmatch(token):
            return None
        try:
            return (self._folder / token).read_bytes()
        except OSError:
            return None


class _Handshake(asyncio.Protocol):
    """One connection whose handshake is the answer: nothing is said after it (RFC 8737 §3)."""

    def __init__(
        self,
        others: "dict[_Connection | _Handshake, None]",
        connection: socket.socket,
        context: ssl.SSLContext,
    ) -> None:
        self._others = others
        self._connection = connection
        self._gone = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        others[self] = None
        if len(others) > CONNECTIONS_MAX:
            next(iter(others)).cut()
        self._task = asyncio.get_running_loop().create_task(self._shake_hands(context))
        self._task.add_done_callback(self._over)

    async def _shake_hands(self, context: ssl.SSLContext) -> None:
        with suppress(
            OSError
        ):  # ssl.SSLError and TimeoutError are some; who goes meanwhile is told to nobody
            async with asyncio.timeout(CONNECTION_S_MAX):
                transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: self, self._connection, ssl=context
                )
                self._transport = transport
                transport.close()
                await self._gone.wait()

    def connection_lost(self, error: Exception | None) -> None:
        self._gone.set()

    def cut(self) -> None:
        """End it at once; from now on it does not count."""
        self._others.pop(self, None)
        self._task.cancel()

    def _over(self, _: "asyncio.Task[None]") -> None:
        self._others.pop(self, None)
        if self._transport is not None:
            self._transport.abort()
        else:  # the loop had not taken it, or is done with it
            self._connection.close()
