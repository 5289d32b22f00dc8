"""
Try a policy script without a server: ask its hooks what they would say, and look at what they did to a message.

The same loader, stages, relay check and message class as in the server; only sockets, DNS and next hops are missing.
Not a mock of a hook's surroundings: what a script does to a message here is done by the code that does it in earnest.
"""

import asyncio
import shutil
import tempfile
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from email.message import Message as EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, cast

import msgspec

from pymta._core import Address, Envelope, IncomingMessage, QueuedMessage, Recipient, Reply, Spool
from pymta.mail.outcome import Attempt, outcome_of
from pymta.mail.secret import Secret
from pymta.mail.verdict import Action, RouteChoice, Verdict, reply_of_text
from pymta.policy.annotations import Annotations, Decision, TlsFacts, decode, encode
from pymta.policy.checks.relay import RelayDomains, relay_check
from pymta.policy.loader import load_script
from pymta.policy.message import Message
from pymta.policy.pipeline import Answer as StageAnswer
from pymta.policy.pipeline import Policy
from pymta.policy.session import Credentials, Listener, ListenerRole, MailParameters, Session
from pymta.policy.trouble import TroubleKind
from pymta.testing.clock import FakeClock

__all__ = ["Answer", "Dialogue", "HookTrouble", "MessageAnswer", "PolicyTest", "Trouble"]

_T = TypeVar("_T")

AUTHOR = "author@example.net"
RECIPIENT = "user@example.test"


class Trouble(msgspec.Struct, frozen=True):
    """What the server would have logged about the script."""

    kind: TroubleKind
    hook: str
    error: str
    where: str
    detail: str
    sid: str


class HookTrouble(AssertionError):
    """A hook raised, took too long, or answered nonsense. The server would have said 451 and logged this."""


class Answer:
    """What a stage said."""

    def __init__(self, stage: str, verdict: Verdict | None) -> None:
        self.stage = stage
        self.verdict = verdict
        """None where the script had nothing to say."""

    @property
    def action(self) -> Action:
        """accept, refuse, defer, discard or hold."""
        return "accept" if self.verdict is None else self.verdict.action

    @property
    def accepted(self) -> bool:
        """Whether the stage lets the client go on. In `auth` and `token`, only an explicit accept() does."""
        if self.stage in ("auth", "token"):
            return self.verdict is not None and self.verdict.action == "accept"
        return self.action == "accept"

    @property
    def reply(self) -> Reply | None:
        """What the client is told, where it is told no."""
        return None if self.verdict is None else self.verdict.reply

    @property
    def code(self) -> int | None:
        """The reply's code, None where the stage's usual positive reply goes out."""
        return None if self.reply is None else self.reply.code

    @property
    def reason(self) -> str:
        """For the log only."""
        return "" if self.verdict is None else self.verdict.reason

    def __repr__(self) -> str:
        said = f": {self.reply}" if self.reply is not None else ""
        return f"<{self.stage}: {self.action}{said}{f' ({self.reason})' if self.reason else ''}>"


class MessageAnswer(Answer):
    """What the message stage said, and the message as it would go into the spool."""

    def __init__(self, verdict: Verdict | None, message: Message, annotations: bytes) -> None:
        super().__init__("message", verdict)
        self.message = message
        self.annotations: Annotations = decode(annotations)
        """What would be kept in the spool with it: tags, route, decisions."""

    @property
    def recipients(self) -> list[str]:
        """The forward-paths as text."""
        return [str(path) for path in self.message.forward_paths]

    @property
    def reverse_path(self) -> str | None:
        """None is the null reverse-path."""
        path = self.message.reverse_path
        return None if path is None else str(path)

    @property
    def tags(self) -> dict[str, str]:
        """The session's and the message's."""
        return self.annotations.tags

    @property
    def route(self) -> RouteChoice | None:
        """What `set_route` chose."""
        return self.annotations.route

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What was decided and changed, with the lines of the script."""
        return self.annotations.decisions

    def field(self, name: str) -> str | None:
        """The first header field of that name as it would be spooled."""
        return self.message.field(name)

    def fields(self, name: str) -> list[str]:
        """All header fields of that name as they would be spooled."""
        return self.message.fields(name)


class _Transaction:
    """Stands where the protocol session stands in the server: it knows the transaction so far."""

    def __init__(self) -> None:
        self.envelope = Envelope(AUTHOR, [])


class _Parameters(msgspec.Struct, frozen=True):
    size_octets: int | None
    body: Literal["7BIT", "8BITMIME", "BINARYMIME"]
    smtputf8: bool


class _Queued(msgspec.Struct, frozen=True):
    """What the route hook needs of a QueuedMessage; the real one comes out of a spool only."""

    id: str
    envelope: Envelope
    size_octets: int
    spooled_at_ms: int
    attempts: int
    annotations: bytes

    @property
    def pending(self) -> list[int]:
        return list(range(self.envelope.recipient_count))

    def by_domain(self) -> list[tuple[str, list[int]]]:
        found: dict[str, list[int]] = {}
        for index, recipient in enumerate(self.envelope.recipients):
            found.setdefault(recipient.forward_path.canonical_domain, []).append(index)
        return list(found.items())

    def header_section(self) -> bytes:
        return b""


class Dialogue:
    """One client's session with the script: ask stage by stage. Made by `PolicyTest.client`."""

    def __init__(self, test: "PolicyTest", session: Session, transaction: _Transaction) -> None:
        self._test = test
        self.session = session
        """What the hooks get. A test may read `session.state` and set facts such as `session.tls`."""
        self._transaction = transaction

    def connect(self) -> Answer:
        """The client connects."""
        stage = self._test.policy.on_connect
        return self._ask("connect", None if stage is None else lambda: stage(self.session))

    def hello(self, name: str = "client.example.net") -> Answer:
        """EHLO *name*."""
        self.session.hello_name = name
        stage = self._test.policy.on_hello
        return self._ask("hello", None if stage is None else lambda: stage(self.session, name))

    def starttls(self) -> Answer:
        """STARTTLS; where it is accepted, the session is under TLS afterwards."""
        stage = self._test.policy.on_starttls
        answer = self._ask("starttls", None if stage is None else lambda: stage(self.session))
        if answer.accepted:
            self.session.tls = self.session.tls or TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384")
        return answer

    def auth(self, account: str, password: str, *, mechanism: str = "PLAIN") -> Answer:
        """AUTH with these credentials; where it is accepted, the session is logged in afterwards."""
        stage = self._test.policy.on_auth
        offered = Credentials(mechanism, account, Secret(password))
        answer = self._ask("auth", None if stage is None else lambda: stage(self.session, offered))
        if answer.accepted:
            self.session.account = account
        return answer

    def token(self, account: str, token: str, *, mechanism: str = "OAUTHBEARER") -> Answer:
        """AUTH with a bearer token; where it is accepted, the session is logged in afterwards."""
        stage = self._test.policy.on_token
        offered = Credentials(mechanism, account, Secret(token))
        answer = self._ask("token", None if stage is None else lambda: stage(self.session, offered))
        if answer.accepted:
            self.session.account = account
        return answer

    def mail(
        self,
        reverse_path: str | None = AUTHOR,
        *,
        size_octets: int | None = None,
        body: Literal["7BIT", "8BITMIME", "BINARYMIME"] = "7BIT",
        smtputf8: bool = False,
    ) -> Answer:
        """MAIL FROM: a new transaction; None is the null reverse-path."""
        self.session.begin_transaction()
        self._transaction.envelope = Envelope(reverse_path, [], body=body, smtputf8=smtputf8)
        stage = self._test.policy.on_mail
        path = self._transaction.envelope.reverse_path
        parameters: MailParameters = _Parameters(size_octets, body, smtputf8)
        return self._ask("mail", None if stage is None else lambda: stage(self.session, path, parameters))

    def rcpt(self, forward_path: str | Recipient) -> Answer:
        """RCPT TO: the relay check, where the test was given relay domains, then the script's hook."""
        recipient = forward_path if isinstance(forward_path, Recipient) else Recipient(forward_path)
        if self._test.relay_domains is not None:
            denied = relay_check(self.session, recipient.forward_path, self._test.relay_domains)
            if denied is not None:
                return Answer("rcpt", denied)
        stage = self._test.policy.on_rcpt
        answer = self._ask("rcpt", None if stage is None else lambda: stage(self.session, recipient))
        if answer.accepted:
            accepted = [*self._transaction.envelope.recipients, recipient]
            self._transaction.envelope = self._transaction.envelope.with_recipients(accepted)
        return answer

    def message(
        self,
        content: bytes | str | EmailMessage = "Subject: test\n\nHello.\n",
        *,
        reverse_path: str | None = "",
        recipients: Sequence[str | Recipient] = (),
    ) -> MessageAnswer:
        """
        End of data: the message hook sees *content* and may change it.

        Args:
            content: The message; line endings are made CRLF.
            reverse_path: Instead of what `mail` was told; None is the null one.
            recipients: Instead of those that `rcpt` accepted; with neither, user@example.test.
        """
        envelope = self._transaction.envelope
        if reverse_path != "":
            envelope = envelope.with_reverse_path(reverse_path)
        if recipients or not envelope.recipient_count:
            envelope = envelope.with_recipients(list(recipients) or [RECIPIENT])
        self._transaction.envelope = envelope
        message = Message(self._test.incoming(envelope, _octets(content)))
        stage = self._test.policy.on_message
        answer = self._ask("message", None if stage is None else lambda: stage(self.session, message))
        annotations = self._test.policy.annotate(self.session, message)
        return MessageAnswer(answer.verdict, message, annotations)

    def _ask(self, name: str, stage: Callable[[], StageAnswer] | None) -> Answer:
        if stage is None:
            return Answer(name, None)
        answer = stage()
        verdict = answer if answer is None or type(answer) is Verdict else _run(answer)
        self._test.raise_trouble()
        return Answer(name, verdict)


class PolicyTest(Dialogue):
    """
    A loaded script and a first session with it; `client` makes more.

        with PolicyTest("policy.py") as t:
            assert t.rcpt("user@example.test").accepted

    Attributes:
        clock: What `session.now_ms` reads; `clock.advance(60)` lets a minute pass.
        troubles: What the server would have logged about the script, warnings included.
    """

    def __init__(
        self,
        script: str | Path,
        *,
        relay_domains: Iterable[str] | None = None,
        hook_s_max: float = 10.0,
        strict: bool = True,
        clock: FakeClock | None = None,
    ) -> None:
        """
        Args:
            script: Path of the script.
            relay_domains: With these, `rcpt` asks the server's own relay check first.
            hook_s_max: As `policy.hook_s_max`.
            strict: A hook in trouble raises HookTrouble; else the test sees the 451 that a client would.
            clock: To share one between tests.

        Raises:
            ScriptError: the script cannot be used.
        """
        self.clock = clock or FakeClock()
        self.troubles: list[Trouble] = []
        self.relay_domains = None if relay_domains is None else RelayDomains(relay_domains)
        self._strict = strict
        self._sessions = 0
        self._spool: _TemporarySpool | None = None
        loaded = load_script(script)
        for warning in loaded.warnings:
            self._report("warning", hook="", error=warning, where="", detail="", sid="")
        self.policy = Policy(loaded, report=self._report, limits=_Limits(hook_s_max, 1000))
        first = self.client()
        super().__init__(self, first.session, first._transaction)

    def client(
        self,
        *,
        peer_address: str = "192.0.2.1",
        peer_port: int = 40000,
        hello_name: str = "client.example.net",
        listener: str = "relay",
        role: ListenerRole = "relay",
        account: str | None = None,
        trusted: bool = False,
        tls: TlsFacts | None = None,
    ) -> Dialogue:
        """Another client. No hook is asked yet; `account` and `hello_name` are as if it had logged in and said EHLO."""
        self._sessions += 1
        transaction = _Transaction()
        session = Session(
            id=f"test-{self._sessions}",
            peer_address=peer_address,
            peer_port=peer_port,
            listener=Listener(listener, role),
            clock=self.clock,
            protocol=transaction,
            trusted=trusted,
            tls=tls,
        )
        session.hello_name = hello_name
        session.account = account
        return Dialogue(self, session, transaction)

    def route(
        self,
        domain: str,
        message: MessageAnswer | None = None,
        *,
        reverse_path: str | None = AUTHOR,
        recipients: Sequence[str] = (),
        tags: dict[str, str] | None = None,
        account: str | None = None,
        listener: str = "",
        attempts: int = 0,
    ) -> RouteChoice | Verdict | None:
        """
        Ask where mail for *domain* goes: of a message that went through `message`, or of one made from the arguments.

        Returns:
            What the queue would act upon; None is "as configured".
        """
        if message is None:
            envelope = Envelope(reverse_path, list(recipients) or [f"user@{domain}"])
            facts = Annotations(tags=tags or {}, account=account, listener=listener)
        else:
            envelope, facts = message.message.envelope, message.annotations
        queued = _Queued("test", envelope, 1024, self.clock.now_ms, attempts, encode(facts))
        stage = self.policy.on_route
        if stage is None:
            return facts.route
        answer = stage(cast(QueuedMessage, queued), domain)
        choice = answer if answer is None or isinstance(answer, Verdict | RouteChoice) else _run(answer)
        self.raise_trouble()
        return choice

    def attempt(
        self,
        reply: Reply | str = "250 2.0.0 ok",
        *,
        forward_path: str = RECIPIENT,
        reverse_path: str | None = AUTHOR,
        next_hop: str = "mx.example.test",
        attempts: int = 1,
        tags: dict[str, str] | None = None,
    ) -> None:
        """Tell delivered, deferred or failed, by the reply, of one attempt; returns when the hook is over."""
        outcome = outcome_of(reply if isinstance(reply, Reply) else reply_of_text(reply, 250, "2.0.0"))
        attempt = Attempt(
            spool_id="test",
            reverse_path=None if reverse_path is None else Address(reverse_path),
            forward_path=Address(forward_path),
            outcome=outcome,
            attempts=attempts,
            spooled_at_ms=self.clock.now_ms,
            now_ms=self.clock.now_ms,
            size_octets=1024,
            next_hop=next_hop,
            tags=tags or {},
        )
        policy = self.policy
        stage = {
            "delivered": policy.on_delivered,
            "deferred": policy.on_deferred,
            "failed": policy.on_failed,
        }[outcome.state]

        async def tell() -> None:
            if stage is not None:
                stage(attempt)
                await policy.drain()

        _run(tell())
        self.raise_trouble()

    def close(self) -> None:
        """Remove the temporary folder, if there is one. It also goes when the object does."""
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    # ---- for the dialogues -------------------------------------------------------------------------------------

    def incoming(self, envelope: Envelope, content: bytes) -> IncomingMessage:
        """A message in the state between end of data and commit."""
        if self._spool is None:
            self._spool = _TemporarySpool(self.clock.now_ms)
        return IncomingMessage.from_content(self._spool.spool, envelope, content)

    def raise_trouble(self) -> None:
        """HookTrouble where the last call was in trouble and the test is strict."""
        serious = [t for t in self.troubles if t.kind not in ("warning", "blocked")]
        if self._strict and serious:
            last = serious[-1]
            raise HookTrouble(f"{last.hook}() at {last.where or '?'}: {last.error}\n{last.detail}")

    def _report(self, kind: TroubleKind, *, hook: str, error: str, where: str, detail: str, sid: str) -> None:
        self.troubles.append(Trouble(kind, hook, error, where, detail, sid))


class _Limits(msgspec.Struct, frozen=True):
    hook_s_max: float
    hooks_waiting_max: int


class _TemporarySpool:
    """A spool in a folder that goes away with it."""

    def __init__(self, now_ms: int) -> None:
        folder = tempfile.mkdtemp(prefix="pymta-policy-test-")
        self.spool = Spool(folder, now_ms=now_ms)
        self.close = weakref.finalize(self, _remove, self.spool, folder)


def _remove(spool: Spool, folder: str) -> None:
    spool.close()
    shutil.rmtree(folder, ignore_errors=True)


def _run(coroutine: Coroutine[Any, Any, _T] | Awaitable[_T]) -> _T:
    """Run to the end, also where the test itself is asynchronous and its loop is busy waiting for us."""

    async def wait() -> _T:
        return await coroutine

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    results: list[_T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(asyncio.run(wait()))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _octets(content: bytes | str | EmailMessage) -> bytes:
    """The message with CRLF line endings."""
    if isinstance(content, EmailMessage):
        content = content.as_bytes()
    if isinstance(content, str):
        content = content.encode()
    return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
