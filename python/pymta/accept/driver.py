"""
One incoming connection: the only asyncio.Protocol of this package.

It moves octets between a socket and a `ServerSession`, keeps time, does TLS, and stops reading when input piles up.
What an event means is decided in `smtp.Conversation`. On the common path there is no task, no future and no timer:
time limits are looked at by the listener's sweep.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from pymta._core import Reply, ServerSession
from pymta.accept.door import Door
from pymta.accept.smtp import HANDLERS, Conversation
from pymta.auth.sasl import Channel
from pymta.listen.ending import CLOSE_S_MAX, End
from pymta.listen.peers import counted_address, unmapped
from pymta.listen.protection import channel_of, shake_hands, tls_facts
from pymta.observe.events import Connect
from pymta.policy.session import Session
from pymta.runtime.gone import GONE

__all__ = ["SmtpDriver"]

T = TypeVar("T")

# Unprocessed input of one session above which reading stops. A pipelined group of a hundred commands is below it.
BUFFERED_OCTETS_MAX = 128 * 1024

# Content of one session that may wait to be written; then reading stops. Twenty such sessions hold 20 MiB.
PENDING_OCTETS_MAX = 1024 * 1024

# How long until the disk is looked at again; short against a client's patience, long against a look.
DISK_LOOK_S = 0.005

_TIMED_OUT = Reply(421, "4.4.2", "timed out, closing connection")
_SESSION_TOO_LONG = Reply(421, "4.4.2", "session has lasted too long")
_STOPPING = Reply(421, "4.3.2", "service shutting down, try again later")
_TROUBLE = Reply(421, "4.3.0", "local trouble, closing connection")

# Bits of `ServerSession.standing`; none of them is the usual case, a session that waits for a command.
READING, CLOSING, WAITING = 0, 1, 2


class SmtpDriver(asyncio.Protocol):
    """See the module. Made by the listener, one a connection."""

    __slots__ = (
        "_began_s",
        "_command_at_s",
        "_commands_seen",
        "_conversation",
        "_counted_address",
        "_door",
        "_drivers",
        "_early",
        "_end",
        "_heard_at_s",
        "_loop",
        "_on_made",
        "_proxied",
        "_reading_paused",
        "_saw_eof",
        "_session",
        "_task",
        "_transport",
        "_view",
        "_writing_paused_at_s",
    )

    def __init__(
        self,
        door: Door,
        drivers: "set[SmtpDriver]",
        *,
        proxied: tuple[str, int] | None = None,
        on_made: Callable[[], None] | None = None,
    ) -> None:
        """
        Args:
            door: What the listener's sessions share.
            drivers: Where this one is listed while it is connected, for the sweep and for stopping.
            proxied: Address and port of the client that a trusted proxy speaks for.
            on_made: Called when the connection is made, which is after the handshake where TLS comes first.
        """
        self._door = door
        self._drivers = drivers
        self._proxied = proxied
        self._on_made = on_made
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._session: ServerSession = cast(ServerSession, None)
        self._view: Session = cast(Session, None)
        self._conversation: Conversation = cast(Conversation, None)
        self._task: asyncio.Task[None] | None = None
        self._early: list[bytes] | None = None
        self._reading_paused = False
        self._saw_eof = False
        self._writing_paused_at_s: float | None = None
        self._counted_address = ""
        self._end: End = "closed"
        self._began_s = self._heard_at_s = self._command_at_s = self._loop.time()
        self._commands_seen = 0

    # ---- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        door = self._door
        self._drivers.add(self)
        door.descriptors.opened(transport)
        # A client may be gone before it is looked at; then it has no address.
        peer = self._proxied or (transport.get_extra_info("peername") or ("", 0))[:2]
        address, port = unmapped(peer[0]), peer[1]
        tls = tls_facts(transport)
        self._session = ServerSession(door.server_settings(address), secure=tls is not None)
        self._view = Session(
            id=door.next_sid(),
            peer_address=address,
            peer_port=port,
            listener=door.listener,
            clock=door.now_ms,
            protocol=self._session,
            trusted=door.is_trusted(address),
            tls=tls,
        )
        self._conversation = Conversation(self, door, self._session, self._view)
        door.metrics.connections_accepted += 1
        door.metrics.connections_open += 1
        self._counted_address = counted_address(address)
        if self._on_made is not None:
            self._on_made()
        refusal = door.admission.enter(self._counted_address, door.limits, trusted=self._view.trusted)
        if refusal is not None:
            door.metrics.connections_refused.add("limit")
            self._conversation.refuse(refusal, stage="connect", cause="connection limit")
            self._end = "refused"
        else:
            self._conversation.connected()
        self.advance()
        self._hear_early()

    def data_received(self, chunk: bytes) -> None:
        self._heard_at_s = self._loop.time()
        if self._early is not None:
            self._early.append(chunk)
            return
        try:
            self._session.receive(chunk)
        except BaseException as error:
            self.fail(error)
            return
        self.advance()

    def eof_received(self) -> bool:
        # Some clients say all they have to say and half-close: what was asked is still answered.
        self._saw_eof = True
        return self._early is None and self._session.waiting_for_decision

    def connection_lost(self, error: Exception | None) -> None:
        if self not in self._drivers:
            return  # the loop's and our own word for it, after a handshake that failed: one of them counts
        self._drivers.discard(self)
        # Not kept: a task that was cancelled holds the frames it was in, and they hold this.
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        self._conversation.gone()
        self._door.admission.leave(self._counted_address)
        self._door.metrics.connections_open -= 1
        self._log_session()
        # Else each would refer to the other until the collector comes by, which is seldom, and the transport is large where
        # there was TLS.
        self._transport = GONE
        self._conversation = cast(Conversation, None)

    def pause_writing(self) -> None:
        # Who does not read our replies does not get to send more commands.
        self._writing_paused_at_s = self._loop.time()
        self._pause_reading()

    def resume_writing(self) -> None:
        self._writing_paused_at_s = None
        self._resume_reading()

    # ---- the machine

    def advance(self) -> None:
        """Handle all events that can be handled now, then send what is to be sent in one write."""
        session, conversation = self._session, self._conversation
        try:
            while (event := session.next_event()) is not None:
                HANDLERS[type(event)](conversation, event)
            octets = session.output()
        except BaseException as error:  # a bug of ours, also a panic in Rust, ends this session and no other
            self.fail(error)
            return
        transport = self._transport
        if octets and not transport.is_closing():
            transport.write(octets)
        standing = session.standing
        if standing == READING:
            if self._reading_paused or self._saw_eof:
                self._go_on_reading()
        elif standing & CLOSING:
            self._close()
        elif standing & WAITING:
            if session.buffered_octets > BUFFERED_OCTETS_MAX:
                self._pause_reading()
        elif session.pending_octets > PENDING_OCTETS_MAX:
            self._wait_for_disk()
        else:
            self._go_on_reading()

    def _go_on_reading(self) -> None:
        if self._saw_eof:
            self._close()
        else:
            self._resume_reading()

    def _wait_for_disk(self) -> None:
        """Content arrives faster than it can be written: read no more until the spool has caught up."""
        self._pause_reading()
        self._loop.call_later(DISK_LOOK_S, self._look_at_disk)

    def _look_at_disk(self) -> None:
        if not self._transport.is_closing():
            self.advance()

    def wait_for(self, answer: Awaitable[T], then: Callable[[T], None]) -> None:
        """A hook needs time: go on with *then* when its answer is there. Input is kept meanwhile, and bounded."""
        self._task = self._loop.create_task(self._await(answer, then))

    async def _await(self, answer: Awaitable[T], then: Callable[[T], None]) -> None:
        try:
            given = await answer
            self._task = None
            then(given)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.fail(error)
            return
        if self._transport is not GONE:
            self.advance()

    # ---- TLS

    def channel(self) -> Channel:
        """What the connection vouches for, for a login."""
        return channel_of(self._transport)

    def _handshake_begins(self) -> None:
        self._reading_paused = False
        self._early = []

    def _hear_early(self) -> None:
        early, self._early = self._early, None
        for chunk in early or ():
            self.data_received(chunk)

    def start_tls(self) -> None:
        """After 220 to STARTTLS has been put out: shake hands."""
        context = self._door.tls_context
        assert context is not None, "STARTTLS is announced only with a certificate"
        self._pause_reading()
        self._task = self._loop.create_task(self._shake_hands(context()))

    async def _shake_hands(self, context: ssl.SSLContext) -> None:
        transport = self._transport
        secured = await shake_hands(
            transport,
            self,
            context,
            s_max=self._door.limits.tls_handshake_s_max,
            begins=self._handshake_begins,
        )
        self._task = None
        if secured is None:
            self._door.metrics.tls_handshakes.add("failed")
            if self._end == "closed":
                self._end = "tls_failed"
            transport.abort()
            # The loop tells nobody of a connection that is reset within its handshake; it would be counted for ever.
            self.connection_lost(None)
            return
        self._door.metrics.tls_handshakes.add("ok")
        self._transport = secured
        self._heard_at_s = self._loop.time()
        self._view.tls = tls_facts(secured)
        self._view.hello_name = ""
        self._session.tls_started()
        self.advance()
        self._hear_early()

    # ---- time

    def sweep(self, now_s: float) -> None:
        """Look at the time limits; called about once a second by the listener."""
        limits = self._door.limits
        if self._writing_paused_at_s is not None:
            if now_s - self._writing_paused_at_s > limits.output_wait_s_max:
                self._door.metrics.sessions_timed_out += 1
                self._end = "timed_out"
                self._transport.abort()
            return
        if self._transport.is_closing() or self._session.closing:
            if now_s - self._heard_at_s > limits.command_wait_s_max + CLOSE_S_MAX:
                self._transport.abort()
            return
        if self._session.waiting_for_decision:
            self._command_at_s = now_s
            self._conversation.sweep()
            return  # a hook has its own limit
        if self._is_silent(now_s):
            self._door.metrics.sessions_timed_out += 1
            self._shut_down(_TIMED_OUT, "timed_out")
        elif now_s - self._began_s > limits.session_s_max:
            self._shut_down(_SESSION_TOO_LONG, "timed_out")

    def _is_silent(self, now_s: float) -> bool:
        """Whether there was no content, or no whole command, for too long: single octets of one are no sign of life."""
        session, limits = self._session, self._door.limits
        if session.receiving_content:
            self._command_at_s = now_s
            return now_s - self._heard_at_s > limits.content_wait_s_max
        if session.command_count != self._commands_seen:
            self._commands_seen = session.command_count
            self._command_at_s = self._heard_at_s
        return now_s - self._command_at_s > limits.command_wait_s_max

    @property
    def is_busy(self) -> bool:
        """In the middle of a message, or waiting for an answer of ours: worth finishing before the server stops."""
        return self._session.receiving_content or self._session.waiting_for_decision

    def stop(self) -> None:
        """The server stops: say so as soon as the protocol allows it."""
        self._shut_down(_STOPPING, "stopping")

    def abort(self) -> None:
        """The grace is over."""
        self._end = "stopping"
        self._transport.abort()

    # ---- ending

    def _shut_down(self, reply: Reply, end: End) -> None:
        self._end = end
        self._session.shut_down(reply)
        self.advance()

    def fail(self, error: BaseException) -> None:
        """A bug of ours met this session: say so, and end it."""
        if isinstance(error, KeyboardInterrupt | SystemExit | asyncio.CancelledError):
            raise error
        self._door.log.trouble("session", error, sid=self._view.id)
        self._end = "trouble"
        try:
            # A session that waits for an answer says nothing else before it has one.
            if self._session.waiting_for_decision:
                self._session.refuse(_TROUBLE)
            else:
                self._session.shut_down(_TROUBLE)
            octets = self._session.output()
            if octets and not self._transport.is_closing():
                self._transport.write(octets)
        finally:
            self._transport.close()

    def _close(self) -> None:
        if self._end == "closed":
            self._end = self._conversation.end
        self._transport.close()

    def _pause_reading(self) -> None:
        if not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and self._writing_paused_at_s is None and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    def _log_session(self) -> None:
        session, view, conversation = self._session, self._view, self._conversation
        self._door.log.emit(
            Connect(
                sid=view.id,
                listener=view.listener.name,
                peer=f"{view.peer_address}:{view.peer_port}",
                hello=view.hello_name,
                tls="" if view.tls is None else f"{view.tls.version} {view.tls.cipher}",
                account=view.account or "",
                accepted=conversation.accepted_count,
                refused=conversation.refused_count,
                violations=session.violation_count,
                commands=session.command_count,
                end=self._end,
                took_s=round(self._loop.time() - self._began_s, 3),
            )
        )
