"""
One connection of the load generator: a socket around `ClientSession`, and four instants.

The common path has no task, future or timer: octets come in, an outcome is counted, the next message goes out in the same
call. Rule: at most one message is in hand, so that each of the times measured is that of one message alone.
"""

import asyncio
import os
import ssl
from time import monotonic_ns
from typing import Protocol, cast

from pymta._core import (
    ClientSession,
    ClientSettings,
    ClosedEvent,
    Envelope,
    OutcomeEvent,
    ReadyEvent,
    TlsEvent,
)
from pymta.load.tally import Tally

__all__ = ["LoadConnection", "LoadOwner"]


class LoadOwner(Protocol):
    """The generator, as its connections see it. Calls come from the loop."""

    tally: Tally
    context: ssl.SSLContext | None
    host: str
    chunking: bool
    messages_per_connection: int
    wait_s_max: float
    answered_ns: int
    """When the last message was answered."""

    def take(self, now_ns: int) -> tuple[int, Envelope, bytes] | None:
        """The next message: when it was due, and what it is. None where none is due now."""

    def is_ready(self, connection: "LoadConnection") -> None:
        """Mail may flow on the connection; it has its first message already, where one was due."""

    def is_idle(self, connection: "LoadConnection") -> bool:
        """The connection has nothing to do; True where it is to stay, False where it may leave."""

    def is_over(self, connection: "LoadConnection", *, failed: bool) -> None:
        """The last call: the connection is gone."""


class LoadConnection(asyncio.Protocol):
    """A connection to the server."""

    __slots__ = (
        "_awaits_354",
        "_began_ns",
        "_due_ns",
        "_failed",
        "_handshake",
        "_in_hand_octets",
        "_is_over",
        "_lost",
        "_mail_ns",
        "_owner",
        "_sent",
        "_session",
        "_transport",
        "_uses_data",
        "_writing_paused",
        "_written_ns",
        "heard_ns",
    )

    def __init__(self, owner: LoadOwner, settings: ClientSettings, *, secure: bool) -> None:
        self._owner = owner
        self._session = ClientSession(settings, secure=secure)
        self._transport: asyncio.Transport | None = None
        self._handshake: asyncio.Task[None] | None = None
        self._began_ns = self.heard_ns = monotonic_ns()
        self._sent = 0
        self._in_hand_octets = -1
        """Of the message in hand; -1 where there is none."""
        self._due_ns = self._mail_ns = self._written_ns = 0
        self._uses_data = True
        self._awaits_354 = False
        self._writing_paused = False
        self._is_over = False
        self._failed = False
        self._lost: str | None = None

    # ---- what the generator calls

    def send_next(self, now_ns: int) -> bool:
        """Send a message if one is due; whether there was one."""
        if not self._begin(now_ns):
            return False
        self._advance(now_ns)
        return True

    def leave(self) -> None:
        """Nothing is left to be sent: QUIT."""
        self._session.quit()
        self._advance(monotonic_ns())

    def fail_to_connect(self, error: BaseException) -> None:
        """There is no connection, and will be none."""
        self._end(_reason_of(error))

    def abort(self, reason: str) -> None:
        """Drop the connection; a message in hand is lost."""
        self._end(reason)
        if self._transport is not None:
            self._transport.abort()

    def sweep(self, now_ns: int) -> None:
        """Look at the time limit; called a few times a second."""
        waiting_for = self._session.waiting_for
        if waiting_for != "nothing" and now_ns - self.heard_ns > self._owner.wait_s_max * 1e9:
            self.abort(f"no reply within {self._owner.wait_s_max:g} s while waiting for {waiting_for}")

    @property
    def is_busy(self) -> bool:
        """Whether a message is in hand."""
        return self._in_hand_octets >= 0

    # ---- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.heard_ns = monotonic_ns()
        if self._is_over:  # given up while it was being made
            self._transport.abort()

    def data_received(self, chunk: bytes) -> None:
        self.heard_ns = now_ns = monotonic_ns()
        self._session.receive(chunk)
        self._advance(now_ns)

    def eof_received(self) -> None:
        self._end("connection closed by the server")

    def connection_lost(self, error: Exception | None) -> None:
        self._end(_reason_of(error) if error is not None else "connection closed")

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self.heard_ns = monotonic_ns()  # the server reads: progress while a large message goes out
        self._flush()

    # ---- events

    def _begin(self, now_ns: int) -> bool:
        taken = self._owner.take(now_ns)
        if taken is None:
            return False
        self._due_ns, envelope, content = taken
        self._in_hand_octets = len(content)
        self._mail_ns = self.heard_ns = now_ns
        self._awaits_354 = self._uses_data
        self._sent += 1
        self._session.deliver_content(envelope, content)
        return True

    def _advance(self, now_ns: int) -> None:
        session = self._session
        while (event := session.next_event()) is not None:
            kind = type(event)
            if kind is OutcomeEvent:
                self._outcome(cast(OutcomeEvent, event), now_ns)
            elif kind is ReadyEvent:
                self._ready(cast(ReadyEvent, event), now_ns)
            elif kind is TlsEvent:
                self._start_tls()
            else:
                self._closed(cast(ClosedEvent, event))
                return
        if not self._writing_paused:
            self._flush()
        if self._awaits_354 and session.waiting_for in ("content", "final"):
            # Content goes out only after 354, which is what came last.
            self._awaits_354 = False
            self._owner.tally.data.record_ns(now_ns - self._mail_ns)

    def _ready(self, event: ReadyEvent, now_ns: int) -> None:
        owner = self._owner
        owner.tally.connections += 1
        owner.tally.connect.record_ns(now_ns - self._began_ns)
        # With BDAT there is no 354.
        self._uses_data = not (owner.chunking and "CHUNKING" in map(str.upper, event.capabilities))
        self._next(now_ns)
        owner.is_ready(self)

    def _flush(self) -> None:
        transport, session = self._transport, self._session
        if transport is None:
            return
        while (octets := session.output()) and not transport.is_closing():
            transport.write(octets)
            # Whatever goes out last before a message is answered is the end of its content.
            self._written_ns = monotonic_ns()
            if self._writing_paused:
                return

    def _outcome(self, event: OutcomeEvent, now_ns: int) -> None:
        tally = self._owner.tally
        octets, self._in_hand_octets = self._in_hand_octets, -1
        self._awaits_354 = False
        if self._lost is not None:
            tally.lost += 1
            return
        tally.outcome(event.outcomes, octets)
        self._owner.answered_ns = now_ns
        if event.content_sent:
            tally.final.record_ns(now_ns - self._written_ns)
            tally.whole.record_ns(now_ns - self._due_ns)
        self._next(now_ns)

    def _next(self, now_ns: int) -> None:
        if self._sent >= self._owner.messages_per_connection or not self._session.room:
            # All that this connection is for; or, with messages still allowed, the server's own MAILMAX (RFC 9422).
            if not self._session.closed:
                self._session.quit()
        elif not self._begin(now_ns) and not self._owner.is_idle(self):
            self._session.quit()

    def _closed(self, event: ClosedEvent) -> None:
        self._flush()
        if self._transport is not None:
            self._transport.close()
        if event.reply is not None and self._lost is None:
            # 421, a refused greeting, a broken protocol: the server ended it, in words.
            reply = event.reply
            self._failed = True
            self._owner.tally.error(f"{event.stage}: {reply.code} {reply.enhanced or ''} {reply.text}")
        self._over()

    def _end(self, reason: str) -> None:
        """The connection is gone, or is given up."""
        if self._is_over:
            return
        session = self._session
        if not session.closed:
            if session.waiting_for != "quit":
                self._failed = True
                self._lost = reason
                self._owner.tally.error(reason)
            session.end_of_stream(reason)
        self._advance(monotonic_ns())
        self._over()

    def _over(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._handshake is not None:
            self._handshake.cancel()
        if self._failed:
            self._owner.tally.connections_failed += 1
        self._owner.is_over(self, failed=self._failed)

    # ---- TLS

    def _start_tls(self) -> None:
        transport, context = self._transport, self._owner.context
        assert transport is not None, "a session without a transport has no events"
        assert context is not None, "STARTTLS is asked for only with a context"
        self._handshake = asyncio.get_running_loop().create_task(self._shake_hands(transport, context))

    async def _shake_hands(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        loop, owner = asyncio.get_running_loop(), self._owner
        try:
            secured = await loop.start_tls(
                transport, self, context, server_hostname=owner.host, ssl_handshake_timeout=owner.wait_s_max
            )
        except (OSError, TimeoutError) as error:
            self._handshake = None
            self._end(f"TLS handshake: {_reason_of(error)}")
            return
        self._handshake = None
        if secured is None or self._is_over:
            self._end("connection lost during the TLS handshake")
            return
        self._transport = secured
        self._session.tls_started()
        self._advance(monotonic_ns())


def _reason_of(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS error").lower().replace("_", " ")
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(
            error.errno
        ).lower()  # the loop's own text names the port, which is the same each time
    return str(error) or type(error).__name__
