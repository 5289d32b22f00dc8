"""
Sockets: where connections come from (for those that begin with a PROXY header or a handshake see `proxy`).

One `Listener` an address. It also sweeps its connections once a second for time limits, which is what keeps the
drivers free of timers.
"""

import asyncio
import os
import socket
import ssl

from pymta.accept.backlog import Backlog
from pymta.accept.doors import AnyDoor, AnyDriver, make_driver
from pymta.accept.proxy import Acceptor
from pymta.config.settings.listener import ListenerSettings
from pymta.config.values import Endpoint

__all__ = ["Listener"]

SWEEP_S = 1.0


class Listener:
    """Accepts connections at one address and hands each to a driver."""

    def __init__(self, door: AnyDoor) -> None:
        self._door = door
        self._drivers: set[AnyDriver] = set()
        self._bound: socket.socket | None = None
        self._address = ("", 0)
        self._clients: Backlog | Acceptor | None = None
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

    def use_door(self, door: AnyDoor) -> None:
        """After a reload: new sessions come through *door*."""
        self._door = door

    @property
    def settings(self) -> ListenerSettings:
        """What it was told."""
        return self._door.settings

    @staticmethod
    def bind(settings: ListenerSettings, *, shared_port: int | None = None) -> socket.socket:
        """
        The listening socket, so that a port below 1024 can be had before privileges are dropped.

        Args:
            settings: Whose address it is for.
            shared_port: A port that several processes listen at, each with a socket of its own; the kernel deals
                connections out to them.

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
            if shared_port is not None:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound.bind((endpoint.address, endpoint.port if shared_port is None else shared_port))
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
        settings = self._door.settings
        if settings.proxy_networks or settings.tls == "implicit":
            self._clients = Acceptor(bound, lambda: self._door, self._drivers, self._implicit_tls)
        else:
            self._clients = Backlog(bound, self._make_driver, clients_max=settings.backlog_max)
        await self._clients.resume()

    def pause(self) -> None:
        """Leave clients to the system's backlog: file descriptors are running out."""
        if self._clients is not None:
            self._clients.pause()

    async def resume(self) -> None:
        """Accept (again)."""
        if self._bound is not None and self._clients is not None:
            await self._clients.resume()

    async def stop(self, grace_s: float) -> None:
        """Accept no more; let messages in progress finish within *grace_s*, tell everybody else to come back."""
        if self._clients is not None:
            self._clients.close()
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

    def _make_driver(self) -> asyncio.Protocol:
        return make_driver(self._door, self._drivers)

    def _sweep(self) -> None:
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
        now_s = self._loop.time()
        for driver in tuple(self._drivers):
            try:
                driver.sweep(now_s)
            except Exception as error:
                driver.fail(error)  # the others have their limits all the same
