"""
End of data: checks → policy → trace field → spool → reply.

This file is the one place that says 250 to a message, and only after the commit returned (ARCHITECTURE.md, invariant
1). Mail that the server itself makes enters through `inject`, by the same checks and the same commit.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final, Literal, cast

from pymta._core import ContentWriter, Envelope, IncomingMessage, MessageEvent, Reply, Spool, SpoolError
from pymta.accept.gathering import Gathering
from pymta.config.settings.limits import LimitsSettings
from pymta.mail.injection import Injection, Redistribution
from pymta.mail.verdict import Verdict
from pymta.observe.events import Accept, in_us
from pymta.observe.log import Log
from pymta.observe.metrics import Metrics
from pymta.policy.message import Message
from pymta.policy.session import Session

if TYPE_CHECKING:
    from pymta.accept.smtp import Conversation

__all__ = ["Intake"]

# A message up to this size is copied within a turn of the loop: it takes no longer than to hand it to a thread.
COPIED_AT_ONCE_OCTETS_MAX: Final = 256 * 1024

_LOOP: Final = Reply(554, "5.4.6", "too many hops, this message is looping")
_HEADER_TOO_LARGE: Final = "header section too large"
_TOO_LARGE: Final = Reply(552, "5.3.4", _HEADER_TOO_LARGE)
_TOO_MANY_FIELDS: Final = Reply(554, "5.6.0", "too many header fields")
_NOT_STORED: Final = Reply(451, "4.3.0", "message could not be stored, try again later")
# Stands for a client that is not to be named in the trace field.
_HIDDEN: Final = "localhost"
_NO_ROOM: Final = Reply(452, "4.3.1", "insufficient storage, try again later")


class _Pending:
    """A message between `commit` and the spool's answer."""

    __slots__ = ("began_s", "committed_s", "conversation", "held", "is_late", "message", "view")

    def __init__(
        self, conversation: "Conversation", message: IncomingMessage, began_s: float, held: bool
    ) -> None:
        self.conversation: Conversation | None = conversation
        self.view = conversation.view
        self.message = message
        self.began_s = began_s
        self.committed_s = monotonic()
        self.held = held
        # Its client was told to come back.
        self.is_late = False


class Intake:
    """One instance a spool. `settle` is called when the spool's eventfd says that commits ended."""

    def __init__(
        self,
        spool: Spool,
        *,
        hostname: str,
        header_octets_max: int,
        log: Log,
        metrics: Metrics,
        now_ms: Callable[[], int],
    ) -> None:
        """
        Args:
            spool: Where messages become durable.
            hostname: Our name in trace fields.
            header_octets_max: The largest header section that *spool* takes: the largest limit of all listeners.
            log: Told of each message.
            metrics: Counts them.
            now_ms: The clock.
        """
        self._spool = spool
        self._header_octets_max = header_octets_max
        self._hostname = hostname
        self._log = log
        self._metrics = metrics
        self._now_ms = now_ms
        self._loop = asyncio.get_running_loop()
        self._pending: dict[int, _Pending] = {}
        self._late_count = 0
        self._gathering = Gathering(spool)
        self._injecting: dict[int, asyncio.Future[str]] = {}

    @property
    def pending_count(self) -> int:
        """Messages that wait for the disk."""
        return len(self._pending)

    def admission(self) -> Literal["ok", "full", "slow", "broken"]:
        """Whether new mail may be accepted: not while the disk still has not taken what was given up for that."""
        return "slow" if self._late_count else self._spool.admission(self._now_ms())

    # ---- mail from a session

    def receive(self, conversation: "Conversation", event: MessageEvent) -> None:
        """All content of a message is there: see it through to its reply."""
        began_s = monotonic()
        message = IncomingMessage(
            cast(ContentWriter, event.writer), _reported(event.envelope, conversation.view)
        )
        refusal = self._check(message, conversation.door.limits)
        if refusal is None and conversation.view.listener.role == "lmtp":
            refusal = conversation.without_full_mailboxes(message)
        if refusal is not None:
            reply, cause = refusal
            conversation.refuse(reply, stage="message", cause=cause)
            return
        submission = conversation.door.submission
        if submission is None:
            self._ask(conversation, message, began_s)
        else:
            checked = submission.at_message(conversation.view, conversation.policy, message, self._now_ms())
            conversation.decide(checked, lambda held: self._submitted(conversation, message, held, began_s))

    def _submitted(
        self,
        conversation: "Conversation",
        message: IncomingMessage,
        checked: Verdict | None,
        began_s: float,
    ) -> None:
        """The submission's checks are done: they refuse, or want it held, or have nothing against it."""
        if checked is not None and checked.reply is not None:
            conversation.refuse(checked.reply, stage="message", cause=checked.reason)
        else:
            self._ask(conversation, message, began_s, is_held=checked is not None)

    def _ask(
        self, conversation: "Conversation", message: IncomingMessage, began_s: float, *, is_held: bool = False
    ) -> None:
        """What policy says of it, then the disk."""
        ask = conversation.policy.on_message
        if ask is None:
            self._commit(conversation, message, None, None, began_s, is_held=is_held)
            return
        seen = Message(message)
        answer = ask(conversation.view, seen)
        if answer is None:  # the usual one, which needs no closure
            self._commit(conversation, message, seen, None, began_s, is_held=is_held)
            return
        conversation.decide(
            answer,
            lambda verdict: self._commit(conversation, message, seen, verdict, began_s, is_held=is_held),
        )

    def _check(self, message: IncomingMessage, limits: LimitsSettings) -> tuple[Reply, str] | None:
        violation = message.violation
        if violation is not None:
            return (_TOO_LARGE if violation == _HEADER_TOO_LARGE else _TOO_MANY_FIELDS), violation
        if message.header_field_count > limits.header_fields_max:
            return _TOO_MANY_FIELDS, _TOO_MANY_FIELDS.text
        # The spool knows one limit for all listeners; only a listener with a smaller one has anything to measure.
        smaller = limits.header_octets_max < self._header_octets_max
        if smaller and len(message.header_section()) > limits.header_octets_max:
            return _TOO_LARGE, _HEADER_TOO_LARGE
        if message.received_hops > limits.received_hops_max:
            return _LOOP, f"{message.received_hops} Received fields"
        return None

    def _commit(
        self,
        conversation: "Conversation",
        message: IncomingMessage,
        seen: Message | None,
        verdict: Verdict | None,
        began_s: float,
        *,
        is_held: bool,
    ) -> None:
        action = "accept" if verdict is None else verdict.action
        if verdict is not None and verdict.reply is not None:
            conversation.refuse(verdict.reply, stage="message", cause=verdict.reason or f"{action} by policy")
            return
        if action == "discard":
            self._discard(conversation, message, verdict, began_s)
            return
        view, session = conversation.view, conversation.session
        now_ms = self._now_ms()
        submission = conversation.door.submission
        hides = submission is not None and submission.settings.hide_client and view.account is not None
        message.stamp(
            hello_name=_HIDDEN if hides else view.hello_name,
            peer_address="" if hides else view.peer_address,
            hostname=self._hostname,
            extended=session.is_extended,
            tls=None if view.tls is None else f"{view.tls.version} {view.tls.cipher}",
            authenticated=view.account is not None,
            now_ms=now_ms,
            lmtp=view.listener.role == "lmtp",
        )
        held = is_held or action == "hold"
        self._gathering.expect()
        token = message.commit(
            now_ms, due_ms=None if held else now_ms, annotations=conversation.policy.annotate(view, seen)
        )
        self._pending[token] = _Pending(conversation, message, began_s, held)
        conversation.committing(token)

    def _discard(
        self, conversation: "Conversation", message: IncomingMessage, verdict: Verdict | None, began_s: float
    ) -> None:
        """RFC 5321 §6.2 allows it for what is hostile; the operator's script answers for it."""
        self._metrics.messages_discarded += 1
        envelope, view = message.envelope, conversation.view
        message.discard()
        self._log.emit(
            Accept(
                sid=view.id,
                spool_id="",
                peer=view.peer_address,
                reverse_path=envelope.reverse_path_text,
                recipients=envelope.recipient_count,
                size_octets=message.size_octets,
                took_s=in_us(monotonic() - began_s),
                discarded=verdict.reason or verdict.where or "by policy"
                if verdict is not None
                else "by policy",
            )
        )
        conversation.accept_message("ok")

    def forget(self, token: int) -> None:
        """The session that waits for this commit is gone: nobody is to be answered."""
        pending = self._pending.get(token)
        if pending is not None:
            pending.conversation = None

    def give_up_late(self, token: int, commit_s_max: float) -> None:
        """
        Tell the client to come back where its message has waited for the disk for longer than *commit_s_max*.

        The commit itself cannot be called back: when it ends, the spool takes the message out again, because its client comes
        back with it.
        """
        pending = self._pending[token]
        conversation, waited_s = pending.conversation, monotonic() - pending.committed_s
        if conversation is None or waited_s <= commit_s_max or not self._spool.give_up(token):
            return
        pending.conversation = None
        pending.is_late = True
        self._late_count += 1
        self._metrics.commits_failed += 1
        conversation.refuse(
            _NOT_STORED, stage="message", cause=f"the disk has not taken it in {waited_s:.1f} s"
        )
        conversation.committed()

    # ---- the spool's answers

    def settle(self) -> None:
        """Answer every session whose message became durable, or did not."""
        for token, result in self._spool.completions():
            pending = self._pending.pop(token, None)
            try:
                if pending is None:
                    self._settle_injection(token, result)
                elif pending.is_late:
                    self._late_count -= 1
                elif isinstance(result, str):
                    self._accepted(pending, result)
                else:
                    self._not_stored(pending, result)
            except (
                BaseException
            ) as error:  # a bug of ours, also a panic in Rust: the others of this batch are answered
                self._failed(pending, error)

    def _failed(self, pending: _Pending | None, error: BaseException) -> None:
        conversation = None if pending is None else pending.conversation
        if conversation is not None:
            conversation.fail(error)
        elif isinstance(error, KeyboardInterrupt | SystemExit):
            raise error
        else:
            self._log.trouble("answering for a commit", error)

    def _accepted(self, pending: _Pending, spool_id: str) -> None:
        conversation, message, view = pending.conversation, pending.message, pending.view
        took_s = monotonic() - pending.began_s
        envelope = message.envelope
        size_octets, recipients = message.size_octets, envelope.recipient_count
        metrics = self._metrics
        metrics.messages_accepted += 1
        metrics.recipients_accepted += recipients
        metrics.octets_accepted += size_octets
        metrics.message_octets.observe(size_octets)
        metrics.accept_s.observe(took_s)
        if pending.held:
            metrics.messages_held += 1
        self._log.emit(
            Accept(
                sid=view.id,
                spool_id=spool_id,
                peer=view.peer_address,
                reverse_path=envelope.reverse_path_text,
                recipients=recipients,
                forward_path=envelope.forward_path_text(0),
                size_octets=size_octets,
                took_s=in_us(took_s),
                held=pending.held,
            )
        )
        if conversation is not None:
            conversation.accepted_count += 1
            conversation.accept_message(f"queued as {spool_id}")
            conversation.committed()

    def _not_stored(self, pending: _Pending, error: SpoolError) -> None:
        self._metrics.commits_failed += 1
        conversation = pending.conversation
        if conversation is not None:
            reply = _NO_ROOM if error.full else _NOT_STORED
            conversation.refuse(reply, stage="message", cause=f"spool: {error}")
            conversation.committed()

    # ---- mail that the server makes

    async def inject(self, injection: Injection | Redistribution) -> str:
        """
        Make a message of our own, or a copy of one that goes on to others, durable and due.

        Returns:
            Its spool id.

        Raises:
            SpoolError: It could not be stored.
            OSError: What is to be copied could not be read.
        """
        message = await self._injected(injection)
        now_ms = self._now_ms()
        token = message.commit(now_ms, due_ms=now_ms)
        waiter: asyncio.Future[str] = self._loop.create_future()
        self._injecting[token] = waiter
        spool_id = await waiter
        self._log.emit(
            Accept(
                spool_id=spool_id,
                reverse_path=injection.envelope.reverse_path_text,
                recipients=injection.envelope.recipient_count,
                forward_path=injection.envelope.forward_path_text(0),
                size_octets=message.size_octets,
                took_s=round((self._now_ms() - now_ms) / 1000, 3),
            )
        )
        return spool_id

    async def _injected(self, injection: Injection | Redistribution) -> IncomingMessage:
        if isinstance(injection, Injection):
            return IncomingMessage.from_content(self._spool, injection.envelope, injection.content)
        copied = (self._spool, injection.envelope, injection.message, injection.fields)
        if injection.message.size_octets <= COPIED_AT_ONCE_OCTETS_MAX:
            return IncomingMessage.from_message(*copied)
        return await asyncio.to_thread(IncomingMessage.from_message, *copied)

    def _settle_injection(self, token: int, result: str | SpoolError) -> None:
        waiter = self._injecting.pop(token, None)
        if waiter is None or waiter.done():
            return
        if isinstance(result, str):
            waiter.set_result(result)
        else:
            waiter.set_exception(result)


def _reported(envelope: Envelope, session: Session) -> Envelope:
    """
    The envelope with the wishes for reports that this client may have.

    A reverse-path is easily forged, and a report of success goes out for every message that is delivered: whoever may
    ask for it may send mail to third parties through us (attacks.md, row 32). So it is for our own clients only, and for
    the host in front that delivers by LMTP and has judged its own.
    RFC 3461 knows no such exception; docs/rfc.md names it.
    """
    if not envelope.wants_success or session.trusted or session.account is not None:
        return envelope
    if session.listener.role == "lmtp":
        return envelope
    return envelope.without_success()
