"""
One POP3 connection: what a `Pop3Session` asks, answered. Nothing is handed to a connection whose buffer is full, so a client
that reads slowly costs one piece of a message and no more.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from pymta._core import (
    AuthEvent,
    AuthResponseEvent,
    Maildrop,
    Pop3LoginEvent,
    Pop3RetrieveEvent,
    Pop3Session,
    Pop3UpdateEvent,
    Pop3ViolationEvent,
    QuitEvent,
    StartTlsEvent,
)
from pymta.access.connection import Connection, TimeUp
from pymta.access.login import Refused, Replies
from pymta.directory import Account

if TYPE_CHECKING:
    from pymta.access.pop3.door import Pop3Door

__all__ = ["Pop3Driver"]

_LOGIN_REPLIES: Final[Replies] = {
    "malformed": Refused("malformed authentication response"),
    "failed": Refused("authentication failed", "AUTH"),
    "banned": Refused("try again later", "SYS/TEMP"),
    "busy": Refused("try again later", "SYS/TEMP"),
}


class Pop3Driver(Connection[Pop3Session]):
    """See the module. Made by the listener, one a connection."""

    _door: "Pop3Door"
    _login_replies = _LOGIN_REPLIES
    _maildrop: Maildrop | None = None
    _retrieved_count = 0
    _deleted_count = 0

    def _new_session(self, address: str, *, secure: bool) -> Pop3Session:
        return Pop3Session(self._door.session_settings(address), secure=secure)

    def _greet(self) -> None:
        self._session.greet()

    def _refuse_connection(self) -> None:
        self._refuse("too many connections, try again later", "SYS/TEMP", cause="connection limit")

    def _gone(self) -> None:
        # A removal that was begun is carried out: it gives the maildrop back, too.
        if self._maildrop is not None:
            self._maildrop.close()
            self._maildrop = None

    def _handle(self, event: Any) -> None:
        match event:
            case Pop3RetrieveEvent():
                self._begin(self._retrieve(event))
            case Pop3LoginEvent():
                login = self._begin_login("USER")
                self._begin(self._log_in(login.with_password(event.account, event.password)))
            case AuthEvent():
                login = self._begin_login(event.mechanism)
                self._begin(self._log_in(login.start(event.initial_response)))
            case AuthResponseEvent(response=None):
                self._cancel_login()
            case AuthResponseEvent():
                assert self._login is not None, "a response follows a challenge of ours"
                self._begin(self._log_in(self._login.respond(cast(bytes, event.response))))
            case Pop3UpdateEvent():
                self._begin(self._update(event.deleted))
            case StartTlsEvent():
                self._session.accept()
                self._start_tls()
            case QuitEvent():
                self._end = "quit"
            case Pop3ViolationEvent():
                self._door.metrics.violations.add(event.kind)
                if event.ends_session:
                    self._end = "violations"

    # ---- logging in

    async def _let_in(self, account: Account) -> None:
        try:
            opening = self._door.maildrops.open(account.mail_folder, delay_s=self._door.pop3.login_delay_s)
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
        self._log_refusal(f"-ERR [{code}] {text}" if code else f"-ERR {text}", cause=cause)

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
                self._cut("trouble")
                return
            self._send(piece)
        if event.lines is None:
            self._retrieved_count += 1
            self._door.metrics.messages_retrieved += 1
        session.end_content()

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

    # ---- time

    def _time_limit_s(self) -> float | None:
        return self._door.pop3.idle_s_max if self._session.is_open else None

    def _time_out(self, why: TimeUp) -> None:
        """RFC 1939 §3: without a word, and without deleting anything."""
        self._cut("timed_out")

    def _counts(self) -> Mapping[str, Any]:
        return {"retrieved": self._retrieved_count, "deleted": self._deleted_count}
