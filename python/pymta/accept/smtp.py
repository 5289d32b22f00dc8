"""
The conversation: which event of a session asks what, and what the answer means.

Each handler ends in one call of the session's `accept`, `refuse` or the like, at once or after a hook has had its
time. Order and grammar were Rust's affair before we hear of anything; sockets and time are the driver's.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, Literal, Protocol, TypeVar, cast

from pymta._core import (
    AuthEvent,
    AuthResponseEvent,
    DataEvent,
    HelloEvent,
    IncomingMessage,
    MailEvent,
    MessageEvent,
    QuitEvent,
    RcptEvent,
    Recipient,
    Reply,
    ServerSession,
    StartTlsEvent,
    ViolationEvent,
    XclientEvent,
)
from pymta.accept.door import Door
from pymta.accept.login import LoginStep, SmtpLogin
from pymta.accept.room import OVER_QUOTA, without_room
from pymta.auth.sasl import Channel
from pymta.config.values import parse_ip
from pymta.directory import Account, Answered
from pymta.mail.verdict import Verdict
from pymta.observe.events import Refuse
from pymta.policy.checks.recipient import recipient_check
from pymta.policy.session import Session

__all__ = ["HANDLERS", "Conversation", "Stage", "Waiter"]

Stage = Literal["connect", "hello", "starttls", "auth", "mail", "rcpt", "data", "message"]

_FULL: Final = Reply(452, "4.3.1", "insufficient storage, try again later")
_SLOW: Final = Reply(451, "4.3.0", "storage is busy, try again later")
_ADMISSION: Final = {"full": _FULL, "slow": _SLOW, "broken": _SLOW}
_NOBODY: Final[Sequence[tuple[int, Reply]]] = ()
# XCLIENT (Postfix XCLIENT_README): what the front does not know, now or at all.
_UNAVAILABLE: Final = ("", "[UNAVAILABLE]", "[TEMPUNAVAIL]")
_NO_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - nothing listens there: it is the address that nobody has


T = TypeVar("T")


class Waiter(Protocol):
    """The driver, as the conversation sees it."""

    def wait_for(self, answer: Awaitable[T], then: Callable[[T], None]) -> None:
        """Call *then* with the answer when it is there."""

    def channel(self) -> Channel:
        """What the connection vouches for."""

    def start_tls(self) -> None:
        """Shake hands once what was put out is sent."""

    def advance(self) -> None:
        """Go on, after an answer that came outside of `wait_for`."""

    def fail(self, error: BaseException) -> None:
        """End the session for a bug of ours."""


class Conversation:
    """
    One session's. The driver calls `connected` or `refuse` once, then the handler of each event, at last `gone`.

    Attributes:
        door: What the listener's sessions share.
        session: The protocol session.
        view: What policy sees of the session.
        policy: The policy that this session began with.
    """

    __slots__ = (
        "_declared_octets",
        "_login",
        "_pending_commit",
        "_waiter",
        "_without_room",
        "accepted_count",
        "door",
        "end",
        "policy",
        "refused_count",
        "session",
        "view",
    )

    def __init__(self, waiter: Waiter, door: Door, session: ServerSession, view: Session) -> None:
        self._waiter = waiter
        self.door = door
        self.session = session
        self.view = view
        # A reload does not change the rules of a session in progress.
        self.policy = door.policies.current
        self._login: SmtpLogin | None = None
        self._declared_octets = 0
        self._pending_commit: int | None = None
        self._without_room: Sequence[tuple[int, Reply]] = _NOBODY
        self.accepted_count = 0
        self.refused_count = 0
        self.end: Literal["quit", "violations", "refused"] = "refused"

    def connected(self) -> None:
        """Somebody is there: greet, unless policy says otherwise."""
        ask = self.policy.on_connect
        if ask is None or (answer := ask(self.view)) is None:
            self.session.greet()
        else:
            self._decide(answer, self._greet)

    def gone(self) -> None:
        """The connection is lost. A commit on its way is not called back: the message may arrive twice, never not."""
        if self._login is not None:
            self._login.gone()
            self._login = None
        if self._pending_commit is not None:
            self.door.intake.forget(self._pending_commit)
            self._pending_commit = None

    # ---- answers

    def refuse(self, reply: Reply, *, stage: Stage, cause: str, forward_path: str = "") -> None:
        """Say no, and write down why."""
        self.session.refuse(reply)
        self.refused(reply, stage=stage, cause=cause, forward_path=forward_path)

    def refused(self, reply: Reply, *, stage: Stage, cause: str, forward_path: str = "") -> None:
        """Write down that something was refused."""
        self.refused_count += 1
        self.door.metrics.refusals.add(stage)
        view = self.view
        reverse_path = ""
        if stage in ("rcpt", "data", "message"):
            reverse_path = str(view.reverse_path or "")
        self.door.log.emit(
            Refuse(
                sid=view.id,
                peer=view.peer_address,
                stage=stage,
                reply=str(reply),
                cause=cause,
                reverse_path=reverse_path,
                forward_path=forward_path,
            )
        )

    def _decide(self, answer: Any, then: Callable[[Verdict | None], None]) -> None:
        if answer is None or type(answer) is Verdict:
            then(answer)
        else:
            self._waiter.wait_for(answer, then)

    def _carry_out(self, verdict: Verdict | None, stage: Stage, forward_path: str = "") -> bool:
        """Accept or refuse the stage; True where it was accepted."""
        if verdict is None or verdict.reply is None:
            self.session.accept()
            return True
        self.refuse(verdict.reply, stage=stage, cause=_cause(verdict), forward_path=forward_path)
        return False

    # ---- one handler an event

    def _greet(self, verdict: Verdict | None) -> None:
        if verdict is None or verdict.reply is None:
            self.session.greet()
        else:
            self.refuse(verdict.reply, stage="connect", cause=_cause(verdict))

    def _hello(self, event: HelloEvent) -> None:
        self.view.hello_name = event.name
        if self.policy.on_hello is None:
            self.session.accept()
        else:
            answer = self.policy.on_hello(self.view, event.name)
            if answer is None:
                self.session.accept()
            else:
                self._decide(answer, lambda v: _drop(self._carry_out(v, "hello")))

    def _starttls(self, event: StartTlsEvent) -> None:
        if self.policy.on_starttls is None:
            self._shake_hands(None)
        else:
            self._decide(self.policy.on_starttls(self.view), self._shake_hands)

    def _shake_hands(self, verdict: Verdict | None) -> None:
        if self._carry_out(verdict, "starttls"):
            self.view.account = self.view.identity = None
            self._waiter.start_tls()

    def _mail(self, event: MailEvent) -> None:
        view, door, ask = self.view, self.door, self.policy.on_mail
        view.begin_transaction()
        self._declared_octets = event.size_octets or 0
        admission = door.intake.admission()
        if admission != "ok":
            self.refuse(_ADMISSION[admission], stage="mail", cause=f"spool is {admission}")
        elif door.submission is not None:
            checked = door.submission.at_mail(view, event.reverse_path)
            self._decide(checked, lambda verdict: self._mail_checked(event, verdict))
        elif ask is None or (answer := ask(view, event.reverse_path, event)) is None:
            self.session.accept()
        else:
            self._decide(answer, lambda v: _drop(self._carry_out(v, "mail")))

    def _mail_checked(self, event: MailEvent, verdict: Verdict | None) -> None:
        ask = self.policy.on_mail
        if verdict is not None or ask is None:
            self._carry_out(verdict, "mail")
        else:
            answer = ask(self.view, event.reverse_path, event)
            self._decide(answer, lambda v: _drop(self._carry_out(v, "mail")))

    def _rcpt(self, event: RcptEvent) -> None:
        recipient = event.recipient
        forward_path = recipient.forward_path
        door = self.door
        over = None if door.submission is None else door.submission.at_rcpt(self.view)
        verdict = over or recipient_check(
            self.view, forward_path, door.relay_domains, door.directory, self._why_full
        )
        if verdict is None:
            self._rcpt_possible(recipient)
        elif type(verdict) is Verdict:
            self._carry_out(verdict, "rcpt", str(forward_path))
        else:
            self._decide(verdict, lambda v: self._rcpt_checked(recipient, v))

    def _why_full(self, account: Account) -> Reply | None:
        return self.door.quota.why_full(account, self._declared_octets)

    def _rcpt_checked(self, recipient: Recipient, verdict: Verdict | None) -> None:
        if verdict is None:
            self._rcpt_possible(recipient)
        else:
            self._carry_out(verdict, "rcpt", str(recipient.forward_path))

    def _rcpt_possible(self, recipient: Recipient) -> None:
        """The address is taken unless the script has something against it."""
        view, ask = self.view, self.policy.on_rcpt
        if ask is None or (answer := ask(view, recipient)) is None:
            self.session.accept()
        else:
            self._decide(answer, lambda v: _drop(self._carry_out(v, "rcpt", str(recipient.forward_path))))

    def _data(self, event: DataEvent) -> None:
        self.session.accept_content(self.door.spool.writer())

    def _message(self, event: MessageEvent) -> None:
        self.door.intake.receive(self, event)

    def _quit(self, event: QuitEvent) -> None:
        self.end = "quit"

    def _violation(self, event: ViolationEvent) -> None:
        self.door.metrics.violations.add(event.kind)
        if event.reply.code in (421, 521):
            self.end = "violations"

    def _xclient(self, event: XclientEvent) -> None:
        """Believe a trusted front about whom it speaks for; Rust has checked that it may, and begins again."""
        view, attributes = self.view, event.attributes
        if "ADDR" in attributes:
            # Whom the front cannot name is a stranger: the front's own trust must not become its client's.
            address = _address(attributes["ADDR"])
            view.peer_address = address or _NO_ADDRESS
            view.trusted = address is not None and self.door.is_trusted(address)
        port = attributes.get("PORT", "")
        view.peer_port = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
        login = attributes.get("LOGIN", "")
        view.account = None if login.upper() in _UNAVAILABLE else login
        view.identity = None  # which addresses are the account's own is the front's affair, too
        view.hello_name = ""
        self.session.accept()

    # ---- AUTH (RFC 4954): accept/login.py has the words

    def _auth(self, event: AuthEvent) -> None:
        self._login = SmtpLogin(self._waiter.channel(), self.door, self.policy, self.view)
        self._go_on_with_login(self._login.begin(event))

    def _auth_response(self, event: AuthResponseEvent) -> None:
        login = self._login
        assert login is not None, "a response follows a challenge of ours"
        if event.response is None:
            login.cancelled()
            self._login = None
        else:
            self._go_on_with_login(login.respond(event.response))

    def _go_on_with_login(self, step: Answered[LoginStep]) -> None:
        if isinstance(step, Coroutine):
            self._waiter.wait_for(step, self._answer_login)
        else:
            self._answer_login(step)

    def _answer_login(self, step: LoginStep) -> None:
        if isinstance(step, bytes):
            self.session.challenge(step)
            return
        self._login = None
        if step is None:
            self.session.accept()
        else:
            self.refused_count += 1
            self.door.metrics.refusals.add("auth")
            self.session.refuse(step)

    # ---- for intake

    def decide(self, answer: Any, then: Callable[[Verdict | None], None]) -> None:
        """Go on with *then* when the answer is there."""
        self._decide(answer, then)

    def without_full_mailboxes(self, message: IncomingMessage) -> tuple[Reply, str] | None:
        """
        Take off the message, in LMTP, whoever has no room for it: its size is known only now (RFC 2033 §4.2).

        Returns:
            The reply and its cause where nobody is left.
        """
        envelope = message.envelope
        self._without_room = without_room(self.door, envelope, message.size_octets)
        if not self._without_room:
            return None
        places = {place for place, _ in self._without_room}
        left = [one for place, one in enumerate(envelope.recipients) if place not in places]
        if not left:
            return self._without_room[0][1], OVER_QUOTA
        message.envelope = envelope.with_recipients(left)
        return None

    def accept_message(self, text: str) -> None:
        """The message is taken, but for those whom it does not fit."""
        refused, self._without_room = self._without_room, _NOBODY
        if not refused:
            self.session.accept_message(text)
            return
        envelope = self.view.envelope
        for place, reply in refused:
            forward_path = envelope.forward_path_text(place)
            self.refused(reply, stage="message", cause=OVER_QUOTA, forward_path=forward_path)
        self.session.accept_message(text, refused)

    def committing(self, token: int) -> None:
        """The message is on its way to the disk."""
        self._pending_commit = token

    def sweep(self) -> None:
        """Look at the time limit of a commit; called about once a second while the session waits."""
        if self._pending_commit is not None:
            self.door.intake.give_up_late(self._pending_commit, self.door.limits.commit_s_max)

    def fail(self, error: BaseException) -> None:
        """Intake met a bug of ours over this session's message: end the session."""
        self._pending_commit = None
        self._waiter.fail(error)

    def committed(self) -> None:
        """Intake has answered the message: go on."""
        self._pending_commit = None
        self._waiter.advance()


def _address(text: str) -> str | None:
    """The address that XCLIENT names, in its usual form; None where it names none."""
    try:
        return str(parse_ip(text[5:] if text[:5].upper() == "IPV6:" else text))
    except ValueError:
        return None


def _cause(verdict: Verdict) -> str:
    where = f" ({verdict.where})" if verdict.where else ""
    return f"{verdict.reason or verdict.action}{where}"


def _drop(_: bool) -> None:
    """For a continuation whose answer nobody needs."""


HANDLERS: Final[dict[type, Callable[[Conversation, Any], None]]] = cast(
    "dict[type, Callable[[Conversation, Any], None]]",
    {
        HelloEvent: Conversation._hello,
        StartTlsEvent: Conversation._starttls,
        AuthEvent: Conversation._auth,
        AuthResponseEvent: Conversation._auth_response,
        XclientEvent: Conversation._xclient,
        MailEvent: Conversation._mail,
        RcptEvent: Conversation._rcpt,
        DataEvent: Conversation._data,
        MessageEvent: Conversation._message,
        ViolationEvent: Conversation._violation,
        QuitEvent: Conversation._quit,
    },
)
"""Each answers an event of its class, or sees to it that it will be answered."""
