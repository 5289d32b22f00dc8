"""
One connection by which mail is read, whatever protocol is spoken: sockets, time, TLS, logging in, one task at a time.

Whatever waits (a login, the disk) is a task of its own, one at a time; meanwhile the session reads nothing. What an event
means is the driver's of the protocol (`pop3/driver.py`, `imap/driver.py`).
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ClassVar, Final, Generic, Literal, Protocol, TypeAlias, TypeVar, cast

from pymta._core import Envelope
from pymta.access.door import ReadingDoor
from pymta.access.login import Login, Refused, Replies
from pymta.auth.login import LoggedIn
from pymta.directory import Account
from pymta.listen.ending import CLOSE_S_MAX, End
from pymta.listen.peers import counted_address, unmapped
from pymta.listen.protection import channel_of, shake_hands, tls_facts
from pymta.observe.events import Connect, Refuse
from pymta.policy.session import Session
from pymta.runtime.gone import GONE

__all__ = ["Connection", "ReadingSession", "TimeUp"]

# Commands that wait to be read, above which the socket is not read.
BUFFERED_OCTETS_MAX: Final = 16 * 1024


TimeUp: TypeAlias = Literal["silence", "age"]
"""Nothing was heard for too long, or the session has lasted too long, however busy it is."""


class ReadingSession(Protocol):
    """What the sessions of all protocols have."""

    def receive(self, chunk: bytes, /) -> None: ...
    def next_event(self) -> Any: ...
    def output(self) -> bytes: ...
    def challenge(self, octets: bytes, /) -> None: ...
    def tls_started(self) -> None: ...
    def shut_down(self, text: str, /) -> None: ...
    @property
    def closing(self) -> bool: ...
    @property
    def waiting_for_decision(self) -> bool: ...
    @property
    def output_full(self) -> bool: ...
    @property
    def buffered_octets(self) -> int: ...
    @property
    def command_count(self) -> int: ...
    @property
    def violation_count(self) -> int: ...


class _NoTransaction:
    """A reader sends nothing."""

    envelope = Envelope(None, ())


SessionT = TypeVar("SessionT", bound=ReadingSession)


class Connection(asyncio.Protocol, ABC, Generic[SessionT]):
    """See the module. Made by the listener, one a connection."""

    _login_replies: ClassVar[Replies]

    def __init__(
        self,
        door: ReadingDoor,
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
        self._session: SessionT = cast(SessionT, None)
        self._view: Session = cast(Session, None)
        self._login: Login | None = None
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

    # ---- the protocol's

    @abstractmethod
    def _new_session(self, address: str, *, secure: bool) -> SessionT:
        """For a client of that address."""

    @abstractmethod
    def _greet(self) -> None:
        """It may come in."""

    @abstractmethod
    def _refuse_connection(self) -> None:
        """It is one too many."""

    @abstractmethod
    def _handle(self, event: Any) -> None:
        """What the session asks."""

    @abstractmethod
    async def _let_in(self, account: Account) -> None:
        """Somebody has logged in: give him his mail, or say why not."""

    @abstractmethod
    def _refuse(self, text: str, code: str | None, *, cause: str) -> None:
        """Say no; `_log_refusal` is to be called."""

    @abstractmethod
    def _gone(self) -> None:
        """The connection is lost: give back what was used."""

    @abstractmethod
    def _time_limit_s(self) -> float | None:
        """How long the session may go on without a command; None where there is only the time since it began."""

    @abstractmethod
    def _time_out(self, why: TimeUp) -> None:
        """It has taken too long."""

    @abstractmethod
    def _counts(self) -> Mapping[str, Any]:
        """What its line in the log says of it besides."""

    # ---- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        door = self._door
        self._drivers.add(self)
        door.descriptors.opened(transport)
        peer = self._proxied or (transport.get_extra_info("peername") or ("", 0))[:2]
        address, port = unmapped(peer[0]), peer[1]
        tls = tls_facts(transport)
        self._session = self._new_session(address, secure=tls is not None)
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
            self._refuse_connection()
            self._end = "refused"
        else:
            self._greet()
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
        # Not kept: a task that was cancelled holds the frames it was in, and they hold this.
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        if self._login is not None:
            self._login.cancelled("connection lost")
        self._gone()
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

    def _send(self, octets: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(octets)

    # ---- logging in

    def _begin_login(self, mechanism: str) -> Login:
        door = self._door
        login = self._login = Login(
            mechanism,
            channel_of(self._transport),
            self._login_replies,
            door.logins,
            door.policies.current,
            self._view,
            door.log,
            door.metrics,
        )
        return login

    def _cancel_login(self) -> None:
        """The client did; it has been answered already."""
        if self._login is not None:
            self._login.cancelled()
            self._login = None

    async def _log_in(self, step: Coroutine[Any, Any, bytes | LoggedIn | Refused]) -> None:
        said = await step
        if isinstance(said, bytes):
            self._session.challenge(said)
            return
        self._login = None
        if isinstance(said, Refused):
            self._refuse(said.text, said.code, cause="login")
            return
        assert said.account is not None, "no other is let in"
        await self._let_in(said.account)

    def _log_refusal(self, reply: str, *, cause: str) -> None:
        self._refused_count += 1
        stage: Literal["connect", "auth"] = "connect" if cause == "connection limit" else "auth"
        self._door.metrics.refusals.add(stage)
        if cause == "login":
            return  # the login has a line of its own
        view = self._view
        self._door.log.emit(
            Refuse(sid=view.id, peer=view.peer_address, stage=stage, reply=reply, cause=cause)
        )

    # ---- TLS

    def _start_tls(self) -> None:
        """After the answer was put out."""
        self._pause_reading()
        self._task = self._loop.create_task(self._shake_hands())

    def _hear_early(self) -> None:
        early, self._early = self._early, None
        for chunk in early or ():
            self.data_received(chunk)

    def _handshake_begins(self) -> None:
        self._reading_paused = False
        self._early = []

    async def _shake_hands(self) -> None:
        transport, make_context = self._transport, self._door.tls_context
        assert make_context is not None, "it is announced only with a certificate"
        secured = await shake_hands(
            transport,
            self,
            make_context(),
            s_max=self._door.limits.tls_handshake_s_max,
            begins=self._handshake_begins,
        )
        self._task = None
        if secured is None:
            self._door.metrics.tls_handshakes.add("failed")
            self._end = "tls_failed"
            transport.abort()
            # The loop tells nobody of a connection that is reset within its handshake.
            self.connection_lost(None)
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
                self._door.metrics.sessions_timed_out += 1
                self._cut("timed_out")
        elif self._transport.is_closing():
            if now_s - self._active_at_s > CLOSE_S_MAX + limits.output_wait_s_max:
                self._transport.abort()
        elif session.waiting_for_decision:
            pass  # the disk, or a login that takes its time
        elif now_s - self._began_s > limits.session_s_max:
            self._time_out("age")
        elif self._is_silent(now_s):
            self._door.metrics.sessions_timed_out += 1
            self._time_out("silence")

    def _is_silent(self, now_s: float) -> bool:
        limit_s = self._time_limit_s()
        if limit_s is None:
            return now_s - self._began_s > self._door.login_s_max
        return now_s - self._active_at_s > limit_s

    def _cut(self, end: End) -> None:
        """Without a word."""
        self._end = end
        self._transport.abort()

    def stop(self) -> None:
        """The server stops: say so as soon as the protocol allows it."""
        self._end = "stopping"
        self._session.shut_down("the server stops, try again later")
        self.advance()

    def abort(self) -> None:
        """The grace is over."""
        self._cut("stopping")

    # ---- ending

    def fail(self, error: BaseException) -> None:
        """A bug of ours met this session: end it."""
        if isinstance(error, KeyboardInterrupt | SystemExit | asyncio.CancelledError):
            raise error
        self._door.log.trouble("session", error, sid=self._view.id)
        self._cut("trouble")

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
                refused=self._refused_count,
                violations=session.violation_count,
                commands=session.command_count,
                end=self._end,
                took_s=round(self._loop.time() - self._began_s, 3),
                **self._counts(),
            )
        )
