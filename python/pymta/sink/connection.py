"""
One connection to a sink: a socket around the same `ServerSession` as the real door's.

Not the real door's driver (accept/driver.py): there is no policy, no spool and no log here. Rule: what a client can make
us hold is bounded: who does not read replies, or sends on while a slow reply waits, is not read from.
"""

import asyncio
import ssl
from pathlib import Path
from typing import Final, Protocol, cast

from pymta._core import (
    DataEvent,
    Envelope,
    HelloEvent,
    MailEvent,
    MessageEvent,
    RcptEvent,
    Reply,
    ServerSession,
    ServerSettings,
    StartTlsEvent,
    ViolationEvent,
)
from pymta.sink.behaviour import Behaviour
from pymta.sink.options import Counts

__all__ = ["SinkConnection", "SinkOwner"]

BUFFERED_OCTETS_MAX: Final = 256 * 1024
TLS_HANDSHAKE_S_MAX: Final = 30.0

_NOT_HERE: Final = Reply(502, "5.5.1", "not implemented by the sink")
_TOO_MANY: Final = Reply(421, "4.3.2", "sink: too many connections")
_IDLE: Final = Reply(421, "4.4.2", "sink: silent for too long")
_STOPPING: Final = Reply(421, "4.3.2", "sink: stopping")
_UNWRITABLE: Final = Reply(452, "4.3.1", "sink: the message cannot be kept")


class SinkOwner(Protocol):
    """The sink that a connection belongs to."""

    counts: Counts
    behaviour: Behaviour
    settings: ServerSettings
    tls: ssl.SSLContext | None
    keeps: bool
    connections: "set[SinkConnection]"
    connections_max: int
    is_stopping: bool

    def took(self, envelope: Envelope, octets: int, content: bytearray | None) -> Path | None:
        """Count a message and keep it where that is wanted; OSError where that fails."""


class SinkConnection(asyncio.Protocol):
    """One connection."""

    __slots__ = (
        "_early",
        "_handshake",
        "_is_reading",
        "_is_slow",
        "_is_told",
        "_loop",
        "_session",
        "_sink",
        "_transport",
        "_writing_paused",
        "heard_at_s",
    )

    def __init__(self, sink: SinkOwner, loop: asyncio.AbstractEventLoop, *, secure: bool) -> None:
        self._sink = sink
        self._loop = loop
        self._session = ServerSession(sink.settings, secure=secure)
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._handshake: asyncio.Task[None] | None = None
        self._early: list[bytes] = []
        """What came within the round of the loop in which the handshake ended; one reading at most."""
        self._is_reading = True
        self._is_slow = False
        self._is_told = False
        """That it was silent for too long: the next sweep hangs up, where the reply did not end it."""
        self._writing_paused = False
        self.heard_at_s = loop.time()

    # ---- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        sink = self._sink
        sink.connections.add(self)
        sink.counts.connections += 1
        sink.counts.connections_open += 1
        if sink.is_stopping:
            self.stop()
            return
        if len(sink.connections) > sink.connections_max:
            self._session.refuse(_TOO_MANY)
        elif (refusal := sink.behaviour.refusal("connect")) is not None:
            self._refuse(refusal)
        else:
            self._session.greet()
        self._advance()

    def connection_lost(self, error: Exception | None) -> None:
        if self._handshake is not None:
            self._handshake.cancel()
        self._gone()

    def _gone(self) -> None:
        if self in self._sink.connections:
            self._sink.connections.discard(self)
            self._sink.counts.connections_open -= 1

    def data_received(self, chunk: bytes) -> None:
        self.heard_at_s = self._loop.time()
        if self._handshake is not None:
            # Already under TLS, while `_shake_hands` has not heard that it is: TLS 1.3 clients send on at once.
            self._early.append(chunk)
            return
        self._session.receive(chunk)
        self._advance()

    def pause_writing(self) -> None:
        self._writing_paused = True
        self._read(False)

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._read(True)

    # ---- what the sink calls

    def sweep(self, now_s: float, idle_s_max: float) -> None:
        """Look at the time limit; called about once a second."""
        if self._is_slow or now_s - self.heard_at_s <= idle_s_max:
            return  # within the time, or it is us who are silent
        if self._writing_paused or self._is_told:
            self._transport.abort()
            return
        self._is_told = True
        self._session.shut_down(_IDLE)
        self._advance()

    def stop(self) -> None:
        """The sink stops: say so where the protocol allows it, and hang up."""
        self._session.shut_down(_STOPPING)
        octets = self._session.output()
        if octets and not self._transport.is_closing():
            self._transport.write(octets)
        self._transport.close()

    # ---- events

    def _advance(self) -> None:
        session, sink = self._session, self._sink
        while (event := session.next_event()) is not None:
            kind = type(event)
            if kind is RcptEvent:
                self._answer(sink.behaviour.refusal("rcpt"))
            elif kind is MailEvent:
                self._answer(sink.behaviour.refusal("mail"))
            elif kind is MessageEvent:
                self._message(cast(MessageEvent, event))
            elif kind is DataEvent:
                session.accept_content(bytearray() if sink.keeps else None)
            elif kind is HelloEvent:
                session.accept()
            elif kind is StartTlsEvent:
                self._start_tls()
            elif kind is ViolationEvent:
                sink.counts.violations += 1
            elif session.waiting_for_decision:
                session.refuse(_NOT_HERE)
        octets = session.output()
        if octets and not self._transport.is_closing():
            self._transport.write(octets)
        if session.closing:
            self._transport.close()
        elif session.waiting_for_decision:
            if session.buffered_octets > BUFFERED_OCTETS_MAX:
                self._read(False)
        elif not self._is_reading and not self._writing_paused and self._handshake is None:
            self._read(True)

    def _answer(self, refusal: Reply | None) -> None:
        if refusal is None:
            self._session.accept()
        else:
            self._refuse(refusal)

    def _refuse(self, refusal: Reply) -> None:
        if refusal.is_temporary:
            self._sink.counts.deferred += 1
        else:
            self._sink.counts.refused += 1
        self._session.refuse(refusal)

    def _message(self, event: MessageEvent) -> None:
        behaviour = self._sink.behaviour
        if not behaviour.is_plain:
            refusal = behaviour.refusal("content")
            if refusal is not None:
                self._refuse(refusal)
                return
            delay_s = behaviour.delay_s()
            if delay_s:
                self._sink.counts.slow += 1
                self._is_slow = True
                self._loop.call_later(delay_s, self._take_late, event)
                return
        self._take(event)

    def _take(self, event: MessageEvent) -> None:
        writer = event.writer
        content = writer if isinstance(writer, bytearray) else None
        try:
            self._sink.took(event.envelope, event.size_octets, content)
        except OSError:
            self._session.refuse(_UNWRITABLE)
        else:
            self._session.accept_message("ok: taken by the sink")

    def _take_late(self, event: MessageEvent) -> None:
        # Who did not wait for the reply does not get the message counted: it will be sent again.
        if not self._transport.is_closing():
            self._is_slow = False
            self.heard_at_s = self._loop.time()
            self._take(event)
            self._advance()

    def _read(self, on: bool) -> None:
        if self._is_reading != on and not self._transport.is_closing():
            self._is_reading = on
            if on:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    # ---- TLS

    def _start_tls(self) -> None:
        context = self._sink.tls
        assert context is not None, "STARTTLS is announced only with a context"
        self._session.accept()
        self._read(False)  # what is sent before the handshake must not reach the session
        self._handshake = self._loop.create_task(self._shake_hands(context))

    async def _shake_hands(self, context: ssl.SSLContext) -> None:
        transport = self._transport
        try:
            async with asyncio.timeout(TLS_HANDSHAKE_S_MAX):
                # The 220 has to be gone first: uvloop takes over no transport that still has octets to write.
                while transport.get_write_buffer_size():  # noqa: ASYNC110 - there is no event for "all is written"
                    await asyncio.sleep(0.001)
                self._read(True)
                secured = await self._loop.start_tls(transport, self, context, server_side=True)
        except (OSError, TimeoutError):
            secured = None
        self._handshake = None
        if secured is None:
            transport.abort()
            self._gone()  # the loop tells nobody of a connection that ends within its handshake
            return
        self._transport = secured
        self._session.tls_started()
        early, self._early = self._early, []
        for chunk in early:
            self._session.receive(chunk)
        self._advance()
