"""
What a listener of role "submission" does beyond relaying (RFC 6409): it knows who speaks, and completes what programs
of users leave out.

    MAIL      the day's messages; own addresses
    RCPT      the day's recipients
    message   own addresses in From and Sender; Bcc off; what is missing put in; counted, and a burst held
"""

import email.utils
import inspect
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Final

from pymta._core import Address, IncomingMessage, Reply
from pymta.config.settings.submission import SubmissionSettings
from pymta.directory import Directory
from pymta.mail.verdict import Verdict, hold
from pymta.observe.events import Trouble
from pymta.observe.log import Log
from pymta.policy.annotations import Decision
from pymta.policy.checks.own_address import author_check, reverse_path_check
from pymta.policy.checks.rates import Burst, Rates
from pymta.policy.pipeline import Policy
from pymta.policy.session import Session

__all__ = ["Submission"]

Checked = Verdict | Coroutine[Any, Any, Verdict | None] | None

_NO_AUTHOR: Final = Reply(550, "5.6.0", "the message has no author")
# Copies that other recipients must not see (RFC 5322 §3.6.3, §3.6.6).
_BLIND: Final = ("Bcc", "Resent-Bcc")


class Submission:
    """Shared by the sessions of one listener."""

    def __init__(
        self, settings: SubmissionSettings, directory: Directory, rates: Rates, *, hostname: str, log: Log
    ) -> None:
        """
        Args:
            settings: What accounts may do.
            directory: Whose addresses are whose.
            rates: What they have done.
            hostname: Our name in the Message-ID.
            log: Told of bursts.
        """
        self.settings = settings
        self._directory = directory
        self._rates = rates
        self._hostname = hostname
        self._log = log

    def at_mail(self, session: Session, reverse_path: Address | None) -> Checked:
        """Whether MAIL is taken from this client, as far as its account is concerned."""
        if session.account is None:
            return None
        refused = self._rates.at_mail(session.account)
        if refused is not None or self.settings.own_addresses == "anything":
            return refused
        return reverse_path_check(session, reverse_path, self._directory)

    def at_rcpt(self, session: Session) -> Verdict | None:
        """Whether one recipient more is."""
        if session.account is None or not self.settings.recipients_per_day_max:
            return None
        return self._rates.at_rcpt(session.account, session.envelope.recipient_count)

    def at_message(self, session: Session, policy: Policy, message: IncomingMessage, now_ms: int) -> Checked:
        """
        Whether a message that has arrived is taken, and what is missing in it put in.

        Returns:
            None, a refusal, or a hold.
        """
        refused = self._complete(message, now_ms)
        if refused is not None:
            return refused
        if self.settings.own_addresses == "everywhere":
            answer = author_check(session, message, self._directory)
            if inspect.iscoroutine(answer):
                return self._counted_later(session, policy, message, answer)
            if answer is not None:
                return answer
        return self._counted(session, policy, message)

    async def _counted_later(
        self,
        session: Session,
        policy: Policy,
        message: IncomingMessage,
        answer: Coroutine[Any, Any, Verdict | None],
    ) -> Verdict | None:
        refused = await answer
        if refused is not None:
            return refused
        counted = self._counted(session, policy, message)
        return await counted if inspect.iscoroutine(counted) else counted  # type: ignore[return-value] # else a verdict

    # ---- what is missing (RFC 6409 §8)

    def _complete(self, message: IncomingMessage, now_ms: int) -> Verdict | None:
        for name in _BLIND:
            message.remove_field(name)
        if message.field("From") is None:
            reverse_path = message.envelope.reverse_path
            if reverse_path is None:
                return Verdict("refuse", _NO_AUTHOR, "no From, and no reverse-path to make one of")
            message.add_field("From", str(reverse_path))
        if message.field("Date") is None:
            # As our own clock has it, in our own zone: the client's is nobody's business (RFC 5322 §3.3, §3.6.1).
            at = datetime.fromtimestamp(now_ms / 1000, UTC)
            message.add_field("Date", email.utils.format_datetime(at))
        if message.field("Message-ID") is None:
            message.add_field("Message-ID", email.utils.make_msgid(domain=self._hostname))
        return None

    # ---- how much it is

    def _counted(self, session: Session, policy: Policy, message: IncomingMessage) -> Checked:
        if session.account is None:
            return None
        taken = self._rates.take(session.account, message.envelope.recipient_count)
        if not isinstance(taken, Burst):
            return taken
        if policy.on_burst is None:
            return self._suspicious(session, taken, None)
        answer = policy.on_burst(session, taken)
        if inspect.iscoroutine(answer):
            return self._suspicious_later(session, taken, answer)
        return self._suspicious(session, taken, answer)  # type: ignore[arg-type] # no coroutine, so a verdict or None

    async def _suspicious_later(
        self, session: Session, burst: Burst, answer: Coroutine[Any, Any, Verdict | None]
    ) -> Verdict | None:
        return self._suspicious(session, burst, await answer)

    def _suspicious(self, session: Session, burst: Burst, said: Verdict | None) -> Verdict | None:
        """Hold, unless policy knows better."""
        if said is not None and said.action == "accept":
            return None
        if said is not None and said.reply is not None:
            return said
        reason = f"burst: {burst.recipients} recipients in {burst.in_s} s"
        session.note(Decision(stage="message", hook="burst", verdict="hold", reason=reason))
        self._log.emit(
            Trouble(
                what="an account sends so much that its password may be stolen; its mail is on hold",
                error=f"{burst.account}: {burst.recipients} recipients in {burst.in_s} s",
                where=f"pymta queue list --state hold; release, or drop and change the password of {burst.account}",
                sid=session.id,
            )
        )
        return hold(reason=reason)
