"""
Sockets: where connections come from, and what may come before SMTP (PROXY, implicit TLS).

One `Listener` an address. It also sweeps its connections once a second for time limits, which is what keeps the
drivers free of timers.
"""

import asyncio
import os
import socket
import ssl
from typing import cast

from pymta._core import parse_proxy
from pymta.accept.door import Door
from pymta.accept.driver import SmtpDriver
from pymta.config.settings.listener import ListenerSettings
from pymta.config.values import Endpoint
from pymta.observe.events import Refuse

__all__ = ["Listener"]

SWEEP_S = 1.0

# A front that is trusted to send a PROXY header sends it at once.
PROXY_HEADER_S_MAX = 10.0


class Listener:
    """Accepts connections at one address and hands each to a driver."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._drivers: set[SmtpDriver] = set()
        self._bound: socket.socket | None = None
        self._address = ("", 0)
        self._server: asyncio.Server | None = None
        self._loop = asyncio.get_running_loop()
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def connection_count(self) -> int:
        """Sessions in progress."""
        return len(self._drivers)

    @property
    def address(self) -> tuple[str, int]:
        """Where it really listens: the port is chosen by the system where the configuration says 0."""
        return self._address

    @property
    def where(self) -> str:
        """`address` as people write it: `127.0.0.1:2525`."""
        return str(Endpoint(*self.address))

    def use_door(self, door: Door) -> None:
        """After a reload: new sessions come through *door*."""
        self._door = door

    @property
    def settings(self) -> ListenerSettings:
        """What it was told."""
        return self._door.settings

    @staticmethod
    def bind(settings: ListenerSettings) -> socket.socket:
        """
        The listening socket, so that a port below 1024 can be had before privileges are dropped.

        Raises:
            OSError: The address is in use or not ours.
        """
        endpoint = settings.address
        family = socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind((endpoint.address, endpoint.port))
            bound.setblocking(False)
        except OSError as error:
            bound.close()
            raise OSError(error.errno, os.strerror(error.errno or 0), str(endpoint)) from None
        return bound

    async def start(self, bound: socket.socket) -> None:
        """Begin to accept."""
        self._bound = bound
        self._address = bound.getsockname()[:2]
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
        self._door.descriptors.listeners.append(self)
        await self.resume()

    def pause(self) -> None:
        """Leave clients to the system's backlog: file descriptors are running out."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def resume(self) -> None:
        """Accept (again)."""
        if self._bound is None or self._server is not None:
            return
        context = self._implicit_tls()
        speaks_proxy = bool(self._door.settings.proxy_networks)
        # With a PROXY header before it, TLS begins later, by hand.
        self._server = await self._loop.create_server(
            self._make_proxy if speaks_proxy else self._make_driver,
            # The loop closes what it is given; ours goes on listening through a pause.
            sock=self._bound.dup(),
            backlog=self._door.settings.backlog_max,
            ssl=None if speaks_proxy else context,
            ssl_handshake_timeout=self._door.limits.tls_handshake_s_max
            if context and not speaks_proxy
            else None,
        )

    async def stop(self, grace_s: float) -> None:
        """Accept no more; let messages in progress finish within *grace_s*, tell everybody else to come back."""
        self.pause()
        if self._bound is not None:
            self._bound.close()
            self._bound = None
        if self._sweeper is not None:
            self._sweeper.cancel()
        for driver in tuple(self._drivers):
            driver.stop()
        end_s = self._loop.time() + grace_s
        while self._drivers and self._loop.time() < end_s:  # noqa: ASYNC110 - once in a server's life
            await asyncio.sleep(0.02)
        for driver in tuple(self._drivers):
            driver.abort()

    def _implicit_tls(self) -> ssl.SSLContext | None:
        door = self._door
        if door.settings.tls != "implicit":
            return None
        assert door.tls_context is not None, "checked with the configuration"
        return door.tls_context()

    def _make_driver(self) -> SmtpDriver:
        return SmtpDriver(self._door, self._drivers)

    def _make_proxy(self) -> asyncio.Protocol:
        return _ProxyHeader(self._door, self._drivers, self._implicit_tls())

    def _sweep(self) -> None:
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
        now_s = self._loop.time()
        for driver in tuple(self._drivers):
            driver.sweep(now_s)


class _ProxyHeader(asyncio.Protocol):
    """Reads the PROXY header of a connection, then makes room for the driver."""

    def __init__(self, door: Door, drivers: set[SmtpDriver], context: ssl.SSLContext | None) -> None:
        self._door = door
        self._drivers = drivers
        self._context = context
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._door.descriptors.opened(transport)
        self._transport = cast(asyncio.Transport, transport)
        peer = (transport.get_extra_info("peername") or ("", 0))[0]
        if not self._door.speaks_proxy(peer):
            # Not one of the fronts: whatever it sends, it is its own address that counts.
            self._hand_over(None, b"")
            return
        self._timer = asyncio.get_running_loop().call_later(
            PROXY_HEADER_S_MAX, self._give_up, "no PROXY header in time"
        )

    def data_received(self, chunk: bytes) -> None:
        # Bounded: the parser knows after a few hundred octets at most whether it is a header.
        self._buffer += chunk
        try:
            parsed = parse_proxy(self._buffer)
        except ValueError as error:
            self._give_up(str(error))
            return
        if parsed is not None:
            source, consumed = parsed
            self._hand_over(source, self._buffer[consumed:])

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _give_up(self, cause: str) -> None:
        peer = (self._transport.get_extra_info("peername") or ("", 0))[0]
        self._door.metrics.connections_refused.add("proxy")
        self._door.log.emit(Refuse(sid="", peer=str(peer), stage="connect", reply="", cause=cause))
        self._transport.abort()

    def _hand_over(self, source: tuple[str, int] | None, early: bytes) -> None:
        if self._timer is not None:
            self._timer.cancel()
        driver = SmtpDriver(self._door, self._drivers, proxied=source)
        if self._context is None:
            self._transport.set_protocol(driver)
            driver.connection_made(self._transport)
            if early:
                driver.data_received(early)
            return
        if early:
            self._give_up("octets between the PROXY header and the handshake were read already")
            return
        self._transport.pause_reading()
        self._task = asyncio.get_running_loop().create_task(self._shake_hands(driver))

    async def _shake_hands(self, driver: SmtpDriver) -> None:
        assert self._context is not None
        limit_s = self._door.limits.tls_handshake_s_max
        driver.expect_handshake()
        try:
            secured = await asyncio.get_running_loop().start_tls(
                self._transport, driver, self._context, server_side=True, ssl_handshake_timeout=limit_s
            )
        except (OSError, TimeoutError):
            secured = None
        if secured is None or secured.is_closing():
            self._door.metrics.tls_handshakes.add("failed")
            self._transport.abort()
            return
        driver.connection_made(secured)
