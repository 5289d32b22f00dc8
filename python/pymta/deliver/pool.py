"""
The connections to one site, kept for reuse: opens them, tries its hosts in order, closes them when idle.

How many there may be is the owner's decision (the queue's shaping); which host answers is found out here. A host
that refuses the connection, greets with 4yz or 5yz, or fails TLS is passed over for the next one (RFC 5321 §5.1);
only when no host is left does the owner hear `connect_failed`.
"""

import asyncio
from collections.abc import Iterator
from typing import Protocol, cast

from pymta._core import ClientSession, ClientSettings, QueuedMessage, Reply
from pymta.config.settings.delivery import DeliverySettings
from pymta.deliver.smtp import SmtpConnection, wait_limits_s
from pymta.deliver.tls_policy import ClientContexts, after_failed_handshake
from pymta.mail.route import Hop, Route, TlsMode

__all__ = ["ConnectionPool", "OpenCount", "PoolOwner"]

# Addresses that are tried for one connection. RFC 5321 §5.1 asks for at least two; Postfix' smtp_mx_address_limit is 5.
HOPS_MAX = 5

# Addresses of a site whose TLS failed and that are not asked for it again while the site is known.
HOPS_REMEMBERED_MAX = 64


class PoolOwner(Protocol):
    """The site that the pool works for."""

    def connection_free(self, connection: SmtpConnection) -> None:
        """It is ready or has room again: give it work or leave it idle."""

    def delivery_over(
        self,
        connection: SmtpConnection,
        message: QueuedMessage,
        outcomes: list[tuple[int, Reply]],
        dsn_passed: bool,
    ) -> None:
        """A reply for each recipient of one delivery."""

    def connect_failed(self, reply: Reply) -> None:
        """No host of the site could be used; *reply* is the last one's trouble, with a temporary code."""

    def connection_ended(self, reply: Reply | None) -> None:
        """An open connection is gone; *reply* says why, None after QUIT."""


class OpenCount:
    """How many connections several pools have together, open or being opened."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total = 0


class ConnectionPool:
    """Connections to the hops of one route from one egress source."""

    def __init__(
        self,
        owner: PoolOwner,
        route: Route,
        settings: DeliverySettings,
        *,
        hello_name: str,
        contexts: ClientContexts,
        count: OpenCount | None = None,
    ) -> None:
        self._owner = owner
        self._count = count or OpenCount()
        self._counted = 0
        self._route = route
        self._settings = settings
        self._hello_name = hello_name
        self._contexts = contexts
        self._wait_s_max = wait_limits_s(settings)
        self._connections: set[SmtpConnection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._awaiting: dict[SmtpConnection, asyncio.Future[Reply | None]] = {}
        self._no_tls: set[str] = set()

    @property
    def open_count(self) -> int:
        """Connections that are ready."""
        return len(self._connections)

    @property
    def usable_count(self) -> int:
        """Those of them that are not taking leave."""
        return sum(connection.is_usable for connection in self._connections)

    @property
    def opening_count(self) -> int:
        """Connections that are being opened."""
        return len(self._opening)

    @property
    def route(self) -> Route:
        """Where new connections go."""
        return self._route

    def use_route(self, route: Route) -> None:
        """Open new connections to *route*, a newer answer for the same site."""
        self._route = route

    def connections(self) -> Iterator[SmtpConnection]:
        """The ready connections."""
        return iter(tuple(self._connections))

    def open(self) -> None:
        """Begin to open one more; the owner hears of it through `connection_free` or `connect_failed`."""
        task = asyncio.get_running_loop().create_task(self._open())
        self._opening.add(task)
        self._recount()
        task.add_done_callback(self._opening_over)

    def _opening_over(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        self._recount()

    def _recount(self) -> None:
        """After each change of what is open or being opened."""
        now = len(self._connections) + len(self._opening)
        self._count.total += now - self._counted
        self._counted = now

    def sweep(self, now_s: float) -> None:
        """Drop what is overdue, take leave of what is idle for too long. Called about once a second."""
        for connection in (*self._connections, *self._awaiting):
            late = connection.overdue(now_s)
            if late is not None:
                connection.abort(f"timed out waiting for {late}")
            elif connection.is_idle and now_s - connection.heard_at_s > self._settings.idle_s_max:
                connection.quit()

    async def close(self) -> None:
        """Take leave of all connections; deliveries in flight are dropped and get 4yz outcomes."""
        opening = tuple(self._opening)
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        for connection in tuple(self._connections):
            if connection.is_idle:
                connection.quit()
            else:
                connection.abort("shutting down")

    # ---- what the connections say (ConnectionOwner)

    def connection_ready(self, connection: SmtpConnection) -> None:
        waiter = self._awaiting.pop(connection, None)
        self._connections.add(connection)
        self._recount()
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def delivery_over(
        self,
        connection: SmtpConnection,
        message: QueuedMessage,
        outcomes: list[tuple[int, Reply]],
        dsn_passed: bool,
    ) -> None:
        self._owner.delivery_over(connection, message, outcomes, dsn_passed)
        if connection not in self._connections:
            return
        if connection.delivered_count < self._settings.messages_per_connection_max:
            self._owner.connection_free(connection)
            return
        connection.is_retiring = True
        if connection.is_idle:
            connection.quit()

    def connection_closed(
        self, connection: SmtpConnection, reply: Reply | None, *, before_ready: bool
    ) -> None:
        waiter = self._awaiting.pop(connection, None)
        if waiter is not None:
            if not waiter.done():
                waiter.set_result(reply or Reply(421, "4.4.2", "connection closed by peer"))
            return
        if connection in self._connections:
            self._connections.discard(connection)
            self._recount()
            self._owner.connection_ended(reply)

    # ---- opening

    async def _open(self) -> None:
        try:
            connection, trouble = await self._open_any()
        except (
            Exception
        ) as error:  # such as a CA file that cannot be read any more: mail waits for the operator
            connection, trouble = None, Reply(451, "4.3.5", f"cannot connect: {error}")
        # It is over before the owner hears of it: who counts this one as still on its way would open no other.
        self._opening_over(cast("asyncio.Task[None]", asyncio.current_task()))
        if connection is not None:
            self._owner.connection_free(connection)
        else:
            self._owner.connect_failed(trouble)

    async def _open_any(self) -> tuple[SmtpConnection | None, Reply]:
        """A ready connection to the first hop that gives one, or why there is none."""
        trouble = Reply(421, "4.4.1", "no address of the next hop is known")
        for hop in self._route.hops[:HOPS_MAX]:
            connection, trouble = await self._open_to(hop)
            if connection is not None:
                return connection, trouble
        # A refusal at the door says nothing about the recipients: whatever its digit, they are tried again later.
        if not trouble.is_temporary:
            trouble = Reply(421, "4.3.2", str(trouble))
        return None, trouble

    async def _open_to(self, hop: Hop) -> tuple[SmtpConnection | None, Reply]:
        """A ready connection to *hop*, or why there is none."""
        plain = hop.address in self._no_tls
        connection, trouble = await self._try(hop, plain=plain)
        if connection is not None and connection.tls_failed:
            reply = after_failed_handshake(self._route.tls, trouble.text)
            if reply is not None:
                return None, reply
            if len(self._no_tls) < HOPS_REMEMBERED_MAX:
                self._no_tls.add(hop.address)
            plain = True
            connection, trouble = await self._try(hop, plain=True)
        if connection is not None and connection.closed_stage == "hello":
            # RFC 5321 §3.2: an old host may not know EHLO, and some hang up on it.
            connection, trouble = await self._try(hop, plain=plain, extended=False)
        return (connection if connection is not None and connection.is_ready else None), trouble

    async def _try(
        self, hop: Hop, *, plain: bool, extended: bool = True
    ) -> tuple[SmtpConnection | None, Reply]:
        """One attempt: the connection, ready or not, and what became of it."""
        loop = asyncio.get_running_loop()
        mode = TlsMode.NONE if plain else self._route.tls
        context = None if mode is TlsMode.NONE else self._contexts.for_mode(mode)
        source = self._source_for(hop)
        session = ClientSession(self._client_settings(mode, extended=extended))
        connection = SmtpConnection(
            self,
            session,
            hop,
            context=context,
            wait_s_max=self._wait_s_max,
            handshake_s_max=self._settings.tls_handshake_s_max,
            messages_max=self._settings.messages_per_connection_max,
        )
        # Registered before the connection is made, because it may be over before we look again.
        waiter: asyncio.Future[Reply | None] = loop.create_future()
        self._awaiting[connection] = waiter
        try:
            async with asyncio.timeout(self._settings.connect_s_max):
                await loop.create_connection(
                    lambda: connection,
                    hop.address,
                    hop.port,
                    local_addr=(source, 0) if source is not None else None,
                )
            # From here the time limits are those of the session's states, kept by `sweep`.
            return connection, await waiter or Reply(421, "4.4.2", "connection closed by peer")
        except (OSError, TimeoutError) as error:
            why = "timed out" if isinstance(error, TimeoutError) else (error.strerror or str(error))
            return None, Reply(421, "4.4.1", f"connect to {hop.host}[{hop.address}]:{hop.port}: {why}")
        except asyncio.CancelledError:
            connection.abort("shutting down")
            raise
        finally:
            self._awaiting.pop(connection, None)

    def _source_for(self, hop: Hop) -> str | None:
        """The egress address: the route's, or the configured one of the hop's family, or the system's choice."""
        if self._route.source is not None:
            return self._route.source
        is_ipv6 = ":" in hop.address
        for source in self._settings.source_addresses:
            if (":" in str(source)) == is_ipv6:
                return str(source)
        return None

    def _client_settings(self, mode: TlsMode, *, extended: bool) -> ClientSettings:
        starttls = {
            TlsMode.NONE: "never",
            TlsMode.OPPORTUNISTIC: "opportunistic",
            TlsMode.REQUIRED: "required",
            TlsMode.VERIFIED: "required",
        }[mode]
        return ClientSettings(
            hello_name=self._hello_name,
            lmtp=self._route.transport == "lmtp",
            extended=extended,
            starttls=starttls,  # type: ignore[arg-type]  # the values above are the literals
        )
