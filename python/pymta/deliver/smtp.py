"""
One outgoing SMTP or LMTP connection: a socket around `ClientSession`.

What to say and what a reply means is decided in Rust (pymta-smtp); what this file adds is the socket, flow control,
TLS and time. It is not a pool and knows nothing of sites: its owner hears of everything through `ConnectionOwner`.

The common path has no task, future or timer of its own: octets come in, outcomes go to the owner, octets go out. Time
limits are looked at by the owner's sweep (`overdue`).
"""

import asyncio
import ssl
from typing import Protocol, cast

from pymta._core import ClientSession, ClosedEvent, OutcomeEvent, QueuedMessage, ReadyEvent, Reply, TlsEvent
from pymta.config.settings.delivery import DeliverySettings
from pymta.mail.route import Hop

__all__ = ["ConnectionOwner", "SmtpConnection", "wait_limits_s"]


def wait_limits_s(settings: DeliverySettings) -> dict[str, float]:
    """How long the peer may owe us something, by `ClientSession.waiting_for` (RFC 5321 §4.5.3.2)."""
    command_s = float(settings.command_s_max)
    return {
        "greeting": float(settings.greeting_s_max),
        "hello": command_s,
        "starttls": command_s,
        "auth": command_s,
        "mail": command_s,
        "data": float(settings.data_s_max),
        "content": float(settings.content_s_max),
        "final": float(settings.final_s_max),
        "quit": float(settings.quit_s_max),
        "nothing": float("inf"),
    }


# What is put out in one piece. A larger message goes as the socket takes it.
PIECE_OCTETS_MAX = 262_144


class ConnectionOwner(Protocol):
    """Who opened a connection and hears what becomes of it. Calls come from the loop, in the order of events."""

    def connection_ready(self, connection: "SmtpConnection") -> None:
        """The greeting, hello, TLS and login are over: `deliver` may be called."""

    def delivery_over(
        self,
        connection: "SmtpConnection",
        message: QueuedMessage,
        outcomes: list[tuple[int, Reply]],
        dsn_passed: bool,
    ) -> None:
        """A reply for each recipient of one `deliver`. The connection may have room again."""

    def connection_closed(
        self, connection: "SmtpConnection", reply: Reply | None, *, before_ready: bool
    ) -> None:
        """The last call: the connection is gone, all its deliveries have been answered. *reply* says why."""


class SmtpConnection(asyncio.Protocol):
    """A connection to one host of a site."""

    __slots__ = (
        "_advancing",
        "_closed_reported",
        "_context",
        "_handshake_s_max",
        "_heard_at_s",
        "_loop",
        "_messages_left",
        "_owner",
        "_session",
        "_tls_task",
        "_transport",
        "_wait_s_max",
        "_writing_paused",
        "closed_stage",
        "delivered_count",
        "hop",
        "is_ready",
        "is_retiring",
        "tls_failed",
    )

    def __init__(
        self,
        owner: ConnectionOwner,
        session: ClientSession,
        hop: Hop,
        *,
        context: ssl.SSLContext | None,
        wait_s_max: dict[str, float],
        handshake_s_max: float,
        messages_max: int,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._owner = owner
        self._session = session
        self._context = context
        self._tls_task: asyncio.Task[None] | None = None
        self._writing_paused = False
        self._closed_reported = False
        self._advancing = False
        self._heard_at_s = self._loop.time()
        self._wait_s_max = wait_s_max
        self._handshake_s_max = handshake_s_max
        self._messages_left = messages_max
        self.hop = hop
        self.tls_failed = False
        self.delivered_count = 0
        self.is_ready = False
        self.closed_stage = ""
        """What the peer owed us when the session ended; empty before."""
        self.is_retiring = False
        """Set by the pool: it finishes what it has and takes nothing more."""

    # ---- what the owner calls

    @property
    def room(self) -> int:
        """How many more messages `deliver` takes now."""
        if not self.is_ready or self.is_retiring:
            return 0
        return min(self._session.room, self._messages_left)

    @property
    def is_idle(self) -> bool:
        """Ready, and nothing is owed to us."""
        return self.is_ready and self._session.waiting_for == "nothing"

    @property
    def heard_at_s(self) -> float:
        """Loop time of the last sign of life, for the idle limit."""
        return self._heard_at_s

    def deliver(self, message: QueuedMessage, recipients: list[int]) -> None:
        """Hand over the recipients (indexes) of one message; `room` must not be 0."""
        self._messages_left -= 1
        self._session.deliver(message, recipients)
        # A message that the peer cannot take has its outcome at once. Within a round of events that round goes on.
        if not self._advancing:
            self._advance()

    @property
    def is_usable(self) -> bool:
        """Neither gone nor taking leave."""
        return self.is_ready and not self.is_retiring

    def quit(self) -> None:
        """Take leave with QUIT; `connection_closed` follows."""
        self.is_retiring = True
        self._session.quit()
        self._flush()

    def abort(self, reason: str) -> None:
        """Drop the connection; open deliveries get outcomes that give *reason*."""
        self._session.end_of_stream(reason)
        self._advance()
        if self._transport is not None:
            self._transport.abort()

    def overdue(self, now_s: float) -> str | None:
        """What the peer has owed us for too long (RFC 5321 §4.5.3.2), or None."""
        waiting_for = self._session.waiting_for
        limit_s = self._wait_s_max[waiting_for]
        return waiting_for if now_s - self._heard_at_s > limit_s else None

    # ---- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._heard_at_s = self._loop.time()

    def data_received(self, chunk: bytes) -> None:
        self._heard_at_s = self._loop.time()
        self._session.receive(chunk)
        self._advance()

    def eof_received(self) -> None:
        self._session.end_of_stream("connection closed by peer")
        self._advance()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._closed_reported:
            self._session.end_of_stream(str(error) if error else "connection lost")
            self._advance()

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._heard_at_s = self._loop.time()  # the peer reads: progress while a large message goes out
        self._flush()

    # ---- events

    def _advance(self) -> None:
        session = self._session
        self._advancing = True
        try:
            while (event := session.next_event()) is not None:
                kind = type(event)
                if kind is OutcomeEvent:
                    self._outcome(event)  # type: ignore[arg-type]  # by the line above; `cast` is a call
                elif kind is ReadyEvent:
                    self.is_ready = True
                    self._owner.connection_ready(self)
                elif kind is TlsEvent:
                    self._start_tls()
                else:
                    self._closed(cast(ClosedEvent, event))
                    return
        finally:
            self._advancing = False
        if not self._writing_paused:
            self._flush()

    def _outcome(self, event: OutcomeEvent) -> None:
        self.delivered_count += 1
        message = event.message
        assert message is not None, "a queue's connection delivers spooled messages only"
        self._owner.delivery_over(self, message, event.outcomes, event.dsn_passed)

    def _closed(self, event: ClosedEvent) -> None:
        self._flush()
        self.is_ready = False
        self.closed_stage = event.stage
        if self._transport is not None:
            self._transport.close()
        if not self._closed_reported:
            self._closed_reported = True
            self._owner.connection_closed(self, event.reply, before_ready=event.before_ready)

    def _flush(self) -> None:
        transport = self._transport
        if transport is None:
            return
        session = self._session
        # Large messages come in pieces: stop when the socket is full, `resume_writing` goes on.
        while (octets := session.output(PIECE_OCTETS_MAX)) and not transport.is_closing():
            transport.write(octets)
            if self._writing_paused:
                return
            if len(octets) < PIECE_OCTETS_MAX:
                break  # a piece that is not full was all there is to say now
        if session.has_event and not self._advancing:
            self._advance()  # the stored content could not be read: the session is over

    # ---- TLS

    def _start_tls(self) -> None:
        transport, context = self._transport, self._context
        assert transport is not None, "a session without a transport has no events"
        assert context is not None, "STARTTLS is asked for only with a context"
        transport.pause_reading()  # what the peer sends before the handshake must not reach the plaintext session
        self._tls_task = self._loop.create_task(self._shake_hands(transport, context))

    async def _shake_hands(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        try:
            secured = await self._loop.start_tls(
                transport,
                self,
                context,
                server_hostname=self.hop.host,
                ssl_handshake_timeout=self._handshake_s_max,
            )
        except (OSError, ssl.SSLError, TimeoutError) as error:
            self.tls_failed = True
            self._session.end_of_stream(f"TLS handshake failed: {error}")
            self._advance()
            return
        if self._closed_reported:  # dropped by the owner meanwhile
            return
        if secured is None or secured.is_closing():  # the connection went away during the handshake
            self._session.end_of_stream("connection lost during the TLS handshake")
            self._advance()
            return
        self._transport = secured
        self._heard_at_s = self._loop.time()
        self._session.tls_started()
        self._advance()
