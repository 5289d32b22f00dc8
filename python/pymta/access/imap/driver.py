"""
One IMAP connection: what an `ImapSession` asks, done on an `ImapView` by a thread, one call at a time.

Nothing is read from mailboxes for a connection whose buffer is full, so a client that reads slowly costs one piece of an
answer and no more. What is said when nobody asks (IDLE, NOTIFY) is `news`' to say.
"""

import asyncio
from collections.abc import Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, cast

from pymta._core import (
    AuthEvent,
    AuthResponseEvent,
    ImapAppendAbortEvent,
    ImapAppendEndEvent,
    ImapAppendEvent,
    ImapCommand,
    ImapCommandEvent,
    ImapContentEvent,
    ImapIdleDoneEvent,
    ImapIdleEvent,
    ImapLoginEvent,
    ImapLogoutEvent,
    ImapMessageEvent,
    ImapSession,
    ImapUpload,
    ImapUrlEvent,
    ImapView,
    ImapViolationEvent,
    StartTlsEvent,
)
from pymta.access.connection import TimeUp
from pymta.access.imap.news import NewsTeller
from pymta.access.imap.others import introduce
from pymta.access.login import Refused, Replies
from pymta.directory import Account

if TYPE_CHECKING:
    from pymta.access.imap.door import ImapDoor

__all__ = ["ImapDriver"]

_LOGIN_REPLIES: Final[Replies] = {
    "malformed": Refused("malformed authentication response"),
    "failed": Refused("authentication failed", "AUTHENTICATIONFAILED"),
    "banned": Refused("try again later", "UNAVAILABLE"),
    "busy": Refused("try again later", "UNAVAILABLE"),
}

_TIME_IS_UP: Final[dict[TimeUp, str]] = {
    "silence": "you have been silent for too long",
    "age": "this session has lasted long enough, log in again",
}


class ImapDriver(NewsTeller):
    """See the module. Made by the listener, one a connection."""

    _door: "ImapDoor"
    _login_replies = _LOGIN_REPLIES
    _mailboxes_view: ImapView | None = None
    _counted_account: str | None = None
    _message: ImapMessageEvent | None = None
    _sent_octets = 0
    _appended_count = 0

    def _new_session(self, address: str, *, secure: bool) -> ImapSession:
        return ImapSession(self._door.session_settings(address), secure=secure)

    def _greet(self) -> None:
        self._session.greet()

    def _refuse_connection(self) -> None:
        self._refuse("too many connections, try again later", "UNAVAILABLE", cause="connection limit")

    def _refuse(self, text: str, code: str | None, *, cause: str) -> None:
        self._session.refuse(text, code=code)
        self._log_refusal(f"NO [{code}] {text}" if code else f"NO {text}", cause=cause)

    def _gone(self) -> None:
        self._stop_telling()
        mailboxes = self._door.mailboxes
        # A command that a thread is at is carried out; closing waits for it, and the loop for neither.
        if self._upload is not None:
            mailboxes.later(self._upload.abort)
        if self._mailboxes_view is not None:
            mailboxes.later(self._mailboxes_view.close)
            self._mailboxes_view = None
        if self._counted_account is not None:
            mailboxes.leave(self._counted_account)
            self._counted_account = None

    def _handle(self, event: Any) -> None:
        match event:
            case ImapCommandEvent():
                self._door.metrics.imap_commands.add(event.name)
                self._begin(self._run(event.command))
            case ImapIdleEvent():
                self._begin_idle()
            case ImapIdleDoneEvent():
                self._end_idle()
                self._begin(self._run(event.command))
            case ImapContentEvent():
                self._begin(self._write(event))
            case ImapMessageEvent():
                self._message = event
            case ImapAppendEvent():
                self._begin(self._start_append(event))
            case ImapUrlEvent():
                self._begin(self._write(event))
            case ImapAppendEndEvent():
                self._begin(self._end_append())
            case ImapAppendAbortEvent():
                self._drop_upload()
            case ImapLoginEvent():
                login = self._begin_login("LOGIN command")
                self._begin(self._log_in(login.with_password(event.account, event.password)))
            case AuthEvent():
                login = self._begin_login(event.mechanism)
                self._begin(self._log_in(login.start(event.initial_response)))
            case AuthResponseEvent(response=None):
                self._cancel_login()
            case AuthResponseEvent():
                assert self._login is not None, "a response follows a challenge of ours"
                self._begin(self._log_in(self._login.respond(cast(bytes, event.response))))
            case StartTlsEvent():
                self._session.accept()
                self._start_tls()
            case ImapLogoutEvent():
                self._end = "quit"
            case ImapViolationEvent():
                self._door.metrics.violations.add(event.kind)
                if event.ends_session:
                    self._end = "violations"

    # ---- logging in

    async def _let_in(self, account: Account) -> None:
        door, name = self._door, self._view.account or ""
        self._counted_account = name
        if door.mailboxes.enter(name) > door.imap.sessions_per_account_max:
            self._forget_account()
            self._refuse("too many sessions of this account", "LIMIT", cause="session limit")
            return
        try:
            view = await door.mailboxes.open(
                name, account, append_octets_max=door.limits.message_octets_max, settings=door.imap
            )
        except (OSError, ValueError) as error:
            door.log.trouble("mailboxes", error, sid=self._view.id)
            self._forget_account()
            self._refuse("the mailboxes cannot be opened", "UNAVAILABLE", cause="mailboxes")
            return
        if self._transport.is_closing():
            door.mailboxes.later(view.close)
            return
        self._mailboxes_view = view
        self._session.open()

    def _forget_account(self) -> None:
        if self._counted_account is not None:
            self._door.mailboxes.leave(self._counted_account)
            self._counted_account = None

    # ---- commands

    async def _run(self, command: ImapCommand) -> None:
        door, view, began_s = self._door, self._opened, perf_counter()
        mailboxes = door.mailboxes
        if self._look is not None:
            await self._look
        await self._introduce(command)
        # Who pipelines and does not read gets no further.
        await self._writable.wait()
        self._say(await mailboxes.call(self._account, view.run, command, mailboxes.now_ms()))
        while view.running:
            await self._writable.wait()
            if self._transport.is_closing():
                return
            self._say(await mailboxes.call(self._account, view.go_on, mailboxes.now_ms()))
        door.metrics.imap_command_s.observe(perf_counter() - began_s)
        self._session.done(selected=view.selected)
        self._watch_as_wanted(view)
        self._look_after(view)

    async def _introduce(self, asked: ImapCommand | ImapAppendEvent | ImapUrlEvent) -> None:
        door = self._door
        directory = door.logins.directory
        await introduce(asked, self._opened, self._account, mailboxes=door.mailboxes, directory=directory)

    def _log_trouble(self, cause: str | None) -> None:
        """The client was told NO; the operator is told why."""
        if cause is not None:
            self._door.log.trouble("mailboxes", OSError(cause), sid=self._view.id)

    def _look_after(self, view: ImapView) -> None:
        """After each call: who has a view of mailboxes that are gone would never hear of anything again."""
        self._log_trouble(view.take_trouble())
        if view.gone:
            self._end = "trouble"
            self._session.shut_down("the mailboxes were made anew, log in again")

    @property
    def _opened(self) -> ImapView:
        view = self._mailboxes_view
        assert view is not None, "somebody has logged in"
        return view

    @property
    def _account(self) -> str:
        return self._view.account or ""

    def _say(self, octets: bytes) -> None:
        if not octets:
            return
        session = self._session
        if session.compressing:
            octets = session.compress(octets)
        self._sent_octets += len(octets)
        self._said_at_s = self._loop.time()
        self._send(octets)

    # ---- APPEND

    async def _start_append(self, event: ImapAppendEvent) -> None:
        mailboxes = self._door.mailboxes
        self._door.metrics.imap_commands.add("APPEND" if event.replaces is None else "REPLACE")
        if self._look is not None:
            await self._look
        await self._introduce(event)
        upload = await mailboxes.call(self._account, self._opened.append, event, mailboxes.now_ms())
        self._message = None
        if not self._is_refused(upload):
            self._upload = upload
            self._session.accept_append()
        self._look_after(self._opened)

    async def _write(self, event: ImapContentEvent | ImapUrlEvent) -> None:
        upload, message = self._uploading, self._take_message()
        if isinstance(event, ImapUrlEvent):
            await self._introduce(event)

        def written() -> None:
            if message is not None:
                upload.message(message)
            if isinstance(event, ImapUrlEvent):
                upload.url(event.url)
            else:
                upload.write(event.octets)

        await self._door.mailboxes.call(self._account, written)
        if not self._is_refused(upload):
            self._session.took()

    def _is_refused(self, upload: ImapUpload) -> bool:
        refusal = upload.refusal
        if refusal is None:
            return False
        self._log_trouble(upload.trouble)
        self._upload = upload
        self._drop_upload()
        text, code = refusal
        self._session.refuse(text, code=code)
        return True

    async def _end_append(self) -> None:
        upload, message, mailboxes = self._uploading, self._take_message(), self._door.mailboxes

        def committed() -> bytes:
            if message is not None:
                upload.message(message)
            return upload.commit(mailboxes.now_ms())

        # Begun is carried out, whether the client waits for the answer or not.
        octets = await asyncio.shield(mailboxes.call(self._account, committed))
        self._upload = None
        if _is_ok(octets):
            self._appended_count += 1
            self._door.metrics.imap_appends += 1
        self._say(octets)
        self._session.done(selected=self._opened.selected)
        self._watch_as_wanted(self._opened)
        self._look_after(self._opened)

    @property
    def _uploading(self) -> ImapUpload:
        upload = self._upload
        assert upload is not None, "APPEND was accepted"
        return upload

    def _take_message(self) -> ImapMessageEvent | None:
        message, self._message = self._message, None
        return message

    def _drop_upload(self) -> None:
        upload, self._upload, self._message = self._upload, None, None
        if upload is not None:
            self._door.mailboxes.later(upload.abort)

    # ---- time

    def _time_limit_s(self) -> float | None:
        if not self._session.is_open:
            return None
        return float("inf") if self._session.idling else self._door.imap.idle_s_max

    def _time_out(self, why: TimeUp) -> None:
        """RFC 9051 §5.4: with a word."""
        self._end = "timed_out"
        self._session.shut_down(_TIME_IS_UP[why])
        self.advance()

    def _counts(self) -> Mapping[str, Any]:
        return {"appended": self._appended_count, "sent_octets": self._sent_octets}


def _is_ok(answer: bytes) -> bool:
    """Whether its last line, the tagged one, says so."""
    return answer.rstrip(b"\r\n").rpartition(b"\n")[2].split(b" ", 2)[1:2] == [b"OK"]
