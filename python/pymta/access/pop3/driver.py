"""
One POP3 connection: moves octets between a socket and a `Pop3Session`, keeps time, does TLS, has messages read.

Whatever waits (a login, the disk) is a task of its own, one at a time; meanwhile the session reads nothing. Nothing is
handed to a connection whose buffer is full, so a client that reads slowly costs one piece of a message and no more.
"""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from pymta._core import (
    AuthEvent,
    AuthResponseEvent,
    Envelope,
    Maildrop,
    Pop3LoginEvent,
    Pop3RetrieveEvent,
    Pop3Session,
    Pop3UpdateEvent,
    Pop3ViolationEvent,
    QuitEvent,
    StartTlsEvent,
)
from pymta.accept.door import counted_address
from pymta.accept.driver import End, channel_of, tls_facts, unmapped
from pymta.access.pop3.login import Pop3Login, Refused
from pymta.auth.login import LoggedIn
from pymta.observe.events import Connect, Refuse
from pymta.policy.session import Session
from pymta.runtime.gone import GONE

if TYPE_CHECKING:
    from pymta.access.pop3.door import Pop3Door

__all__ = ["Pop3Driver"]

# Commands that wait to be read, above which the socket is not read.
BUFFERED_OCTETS_MAX: Final = 16 * 1024
# How long an orderly end may take before the connection is cut.
CLOSE_S_MAX: Final = 5.0


class _NoTransaction:
    """A reader sends nothing."""

    envelope = Envelope(None, ())


class Pop3Driver(asyncio.Protocol):
    """See the module. Made by the listener, one a connection."""

    def __init__(
        self,
        door: "Pop3Door",
        drivers: set[Any],
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
        self._session: Pop3Session = cast(Pop3Session, None)
        self._view: Session = cast(Session, None)
        self._login: Pop3Login | None = None
        self._maildrop: Maildrop | None = None
        self._task: asyncio.Task[None] | None = None
        self._early: list[bytes] | None = None
        self._reading_paused = False
        self._saw_eof = False
        self._writing_paused_at_s: float | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._counted_address = ""
        self._end: End = "closed"
        self._began_s = self._active_at_s = self._loop.time()
        self._commands_seen = 0
        self._refused_count = 0
        self._retrieved_count = 0
        self._deleted_count = 0

    # ---- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        door = self._door
        self._drivers.add(self)
        door.descriptors.opened(transport)
        peer = self._proxied or (transport.get_extra_info("peername") or ("", 0))[:2]
        address, port = unmapped(peer[0]), peer[1]
        tls = tls_facts(transport)
        self._session = Pop3Session(door.session_settings(address), secure=tls is not None)
        self._view = Session(
            id=door.next_sid(),
            peer_address=address,
            peer_port=port,
            listener=door.listener,
            clock=door.now_ms,
            protocol=_NoTransaction(),
            trusted=door.is_trusted(address),
            tls=tls,
        )
        door.metrics.connections_accepted += 1
        door.metrics.connections_open += 1
        self._counted_address = counted_address(address)
        if self._on_made is not None:
            self._on_made()
        refusal = door.admission.enter(self._counted_address, door.limits, trusted=self._view.trusted)
        if refusal is not None:
            door.metrics.connections_refused.add("limit")
            self._refuse("too many connections, try again later", "SYS/TEMP", cause="connection limit")
            self._end = "refused"
        else:
            self._session.greet()
        self.advance()
        self._hear_early()

    def data_received(self, chunk: bytes) -> None:
        if self._early is not None:
            self._early.append(chunk)
            return
        self._session.receive(chunk)
        self.advance()

    def eof_received(self) -> bool:
        # Some clients say all they have to say and half-close: what was asked is still answered.
        self._saw_eof = True
        return self._task is not None or self._writing_paused_at_s is not None

    def connection_lost(self, error: Exception | None) -> None:
        if self not in self._drivers:
            return
        self._drivers.discard(self)
        self._writable.set()
        # A removal that was begun is carried out: it gives the maildrop back, too.
        if self._task is not None:
            self._task.cancel()
        if self._login is not None:
            self._login.cancelled("connection lost")
        if self._maildrop is not None:
            self._maildrop.close()
            self._maildrop = None
        self._door.admission.leave(self._counted_address)
        self._door.metrics.connections_open -= 1
        self._log_session()
        self._transport = GONE

    def pause_writing(self) -> None:
        self._writing_paused_at_s = self._loop.time()
        self._writable.clear()
        self._pause_reading()

    def resume_writing(self) -> None:
        self._writing_paused_at_s = None
        self._writable.set()
        self.advance()

    # ---- the machine

    def advance(self) -> None:
        """Handle all that can be handled now; nothing while the client does not read what was said already."""
        session, transport = self._session, self._transport
        try:
            while True:
                while (event := session.next_event()) is not None:
                    self._handle(event)
                is_full = session.output_full
                octets = session.output()
                if octets and not transport.is_closing():
                    transport.write(octets)
                if not is_full or self._writing_paused_at_s is not None:
                    break
        except BaseException as error:  # a bug of ours ends this session and no other
            self.fail(error)
            return
        if session.command_count != self._commands_seen:
            self._commands_seen = session.command_count
            self._active_at_s = self._loop.time()
        if session.closing:
            self._transport.close()
        elif self._writing_paused_at_s is not None or session.waiting_for_decision:
            if self._writing_paused_at_s is not None or session.buffered_octets > BUFFERED_OCTETS_MAX:
                self._pause_reading()
        elif self._saw_eof:
            self._transport.close()
        else:
            self._resume_reading()

    def _handle(self, event: Any) -> None:
        match event:
            case Pop3RetrieveEvent():
                self._begin(self._retrieve(event))
            case Pop3LoginEvent():
                login = self._login = self._new_login("USER")
                self._begin(self._log_in(login.with_password(event.account, event.password)))
            case AuthEvent():
                login = self._login = self._new_login(event.mechanism)
                self._begin(self._log_in(login.start(event.initial_response)))
            case AuthResponseEvent(response=None):
                if self._login is not None:
                    self._login.cancelled()
                    self._login = None
            case AuthResponseEvent():
                assert self._login is not None, "a response follows a challenge of ours"
                self._begin(self._log_in(self._login.respond(cast(bytes, event.response))))
            case Pop3UpdateEvent():
                self._begin(self._update(event.deleted))
            case StartTlsEvent():
                self._session.accept()
                self._pause_reading()
                self._task = self._loop.create_task(self._shake_hands())
            case QuitEvent():
                self._end = "quit"
            case Pop3ViolationEvent():
                self._door.metrics.violations.add(event.kind)
                if event.ends_session:
                    self._end = "violations"

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = self._loop.create_task(self._work(work))

    async def _work(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._task = None
            self.fail(error)
            return
        self._task = None
        self._active_at_s = self._loop.time()
        self.advance()

    # ---- logging in

    def _new_login(self, mechanism: str) -> Pop3Login:
        door = self._door
        return Pop3Login(
            mechanism,
            channel_of(self._transport),
            door.logins,
            door.policies.current,
            self._view,
            door.log,
            door.metrics,
        )

    async def _log_in(self, step: "Coroutine[Any, Any, bytes | LoggedIn | Refused]") -> None:
        said = await step
        if isinstance(said, bytes):
            self._session.challenge(said)
            return
        self._login = None
        if isinstance(said, Refused):
            self._refuse(said.text, said.code, cause="login")
            return
        assert said.account is not None, "no other is let in"
        try:
            opening = self._door.maildrops.open(
                said.account.mail_folder, delay_s=self._door.pop3.login_delay_s
            )
            maildrop = await opening
        except (OSError, ValueError) as error:
            self._door.log.trouble("maildrop", error, sid=self._view.id)
            self._door.metrics.maildrops_refused.add("trouble")
            self._refuse("the mailbox cannot be opened", "SYS/TEMP", cause="maildrop")
            return
        if isinstance(maildrop, str):
            self._door.metrics.maildrops_refused.add(maildrop)
        if maildrop == "in_use":
            self._refuse("somebody else is reading this mailbox", "IN-USE", cause="maildrop in use")
        elif maildrop == "too_soon":
            self._refuse("wait before you log in again", "LOGIN-DELAY", cause="login too soon")
        else:
            assert isinstance(maildrop, Maildrop)
            if self._transport.is_closing():
                maildrop.close()
                return
            self._maildrop = maildrop
            self._session.open(maildrop)

    def _refuse(self, text: str, code: str | None, *, cause: str) -> None:
        self._session.refuse(text, code=code)
        self._refused_count += 1
        stage: Literal["connect", "auth"] = "connect" if cause == "connection limit" else "auth"
        self._door.metrics.refusals.add(stage)
        if cause == "login":
            return  # the login has a line of its own
        view = self._view
        said = f"-ERR [{code}] {text}" if code else f"-ERR {text}"
        self._door.log.emit(Refuse(sid=view.id, peer=view.peer_address, stage=stage, reply=said, cause=cause))

    # ---- messages

    async def _retrieve(self, event: Pop3RetrieveEvent) -> None:
        session, maildrops, maildrop = self._session, self._door.maildrops, self._maildrop
        assert maildrop is not None, "a maildrop is open"
        try:
            begun = await maildrops.begin(maildrop, event.index, event.lines)
        except OSError as error:
            self._door.log.trouble("maildrop", error, sid=self._view.id)
            session.refuse("the message cannot be read", code="SYS/TEMP")
            return
        if begun is None:
            session.refuse("the message is gone")
            return
        retrieval, piece = begun
        session.begin_content()
        self._send(session.output() + piece)
        while not retrieval.ended:
            await self._writable.wait()
            if self._transport.is_closing():
                return
            try:
                piece = await maildrops.read(retrieval)
            except OSError as error:
                # There is no way to say so within a message; half of one must not look like a whole one.
                self._door.log.trouble("maildrop", error, sid=self._view.id)
                self._end = "trouble"
                self._transport.abort()
                return
            self._send(piece)
        if event.lines is None:
            self._retrieved_count += 1
            self._door.metrics.messages_retrieved += 1
        session.end_content()

    def _send(self, octets: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(octets)

    async def _update(self, deleted: list[int]) -> None:
        maildrop, self._maildrop = self._maildrop, None
        assert maildrop is not None, "a maildrop is open"
        self._end = "quit"
        try:
            # Begun is carried out, whether the client waits for the answer or not.
            await asyncio.shield(self._door.maildrops.update(maildrop, deleted))
        except OSError as error:
            self._door.log.trouble("maildrop", error, sid=self._view.id)
            self._session.refuse("some messages could not be removed", code="SYS/TEMP")
            return
        self._deleted_count = len(deleted)
        self._door.metrics.messages_deleted += len(deleted)
        self._session.updated()

    # ---- TLS

    def _hear_early(self) -> None:
        early, self._early = self._early, None
        for chunk in early or ():
            self.data_received(chunk)

    async def _shake_hands(self) -> None:
        transport, limit_s = self._transport, self._door.limits.tls_handshake_s_max
        make_context = self._door.tls_context
        assert make_context is not None, "STLS is announced only with a certificate"
        try:
            async with asyncio.timeout(limit_s):
                # The +OK has to be gone first: uvloop does not take over a transport that still has octets to write.
                await asyncio.sleep(0)
                while transport.get_write_buffer_size():  # noqa: ASYNC110 - there is no event for "all is written"
                    await asyncio.sleep(0.001)
                transport.resume_reading()
                self._reading_paused = False
                self._early = []  # what comes from now on is under TLS already, and kept until we know
                context: ssl.SSLContext = make_context()
                secured = await self._loop.start_tls(
                    transport, self, context, server_side=True, ssl_handshake_timeout=limit_s
                )
        except (OSError, TimeoutError):
            secured = None
        self._task = None
        if secured is None or secured.is_closing():
            self._door.metrics.tls_handshakes.add("failed")
            self._end = "tls_failed"
            transport.abort()
            self.connection_lost(
                None
            )  # the loop tells nobody of a connection that is reset within its handshake
            return
        self._door.metrics.tls_handshakes.add("ok")
        self._transport = secured
        self._active_at_s = self._loop.time()
        self._view.tls = tls_facts(secured)
        self._session.tls_started()
        self.advance()
        self._hear_early()

    # ---- time

    def sweep(self, now_s: float) -> None:
        """Look at the time limits; called about once a second by the listener."""
        limits, session = self._door.limits, self._session
        if self._writing_paused_at_s is not None:
            if now_s - self._writing_paused_at_s > limits.output_wait_s_max:
                self._time_out()
        elif self._transport.is_closing():
            if now_s - self._active_at_s > CLOSE_S_MAX + limits.output_wait_s_max:
                self._transport.abort()
        elif session.waiting_for_decision:
            pass  # the disk, or a login that takes its time
        elif now_s - self._began_s > limits.session_s_max:
            self._time_out()
        elif session.is_open:
            if now_s - self._active_at_s > self._door.pop3.idle_s_max:
                self._time_out()
        elif now_s - self._began_s > self._door.pop3.login_s_max:
            self._time_out()

    def _time_out(self) -> None:
        """RFC 1939 §3: without a word, and without deleting anything."""
        self._door.metrics.sessions_timed_out += 1
        self._end = "timed_out"
        self._transport.abort()

    def stop(self) -> None:
        """The server stops: say so as soon as the protocol allows it."""
        self._end = "stopping"
        self._session.shut_down("the server stops, try again later")
        self.advance()

    def abort(self) -> None:
        """The grace is over."""
        self._end = "stopping"
        self._transport.abort()

    # ---- ending

    def fail(self, error: BaseException) -> None:
        """A bug of ours met this session: end it. Nothing is deleted."""
        if isinstance(error, KeyboardInterrupt | SystemExit | asyncio.CancelledError):
            raise error
        self._door.log.trouble("session", error, sid=self._view.id)
        self._end = "trouble"
        self._transport.abort()

    def _pause_reading(self) -> None:
        if not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    def _log_session(self) -> None:
        session, view = self._session, self._view
        self._door.log.emit(
            Connect(
                sid=view.id,
                listener=view.listener.name,
                peer=f"{view.peer_address}:{view.peer_port}",
                tls="" if view.tls is None else f"{view.tls.version} {view.tls.cipher}",
                account=view.account or "",
                retrieved=self._retrieved_count,
                deleted=self._deleted_count,
                refused=self._refused_count,
                violations=session.violation_count,
                commands=session.command_count,
                end=self._end,
                took_s=round(self._loop.time() - self._began_s, 3),
            )
        )
