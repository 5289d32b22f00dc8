"""
What became of one recipient, in the words of RFC 3464 §2.3.3: failed, delayed, delivered, relayed, expanded.

Not whether anybody wants to hear it; that is `dsn.is_wanted`.
"""

from collections.abc import Iterable
from typing import Final, Literal, Protocol

import msgspec

from pymta._core import Reply

__all__ = ["ACTIONS", "Action", "Fate", "OutcomeOfRound", "StatusOfMessage", "fates_of"]

Action = Literal["failed", "delayed", "delivered", "relayed", "expanded"]

ACTIONS: Final[tuple[Action, ...]] = ("failed", "delayed", "delivered", "relayed", "expanded")
"""The gravest first: the order in which a DSN speaks of them."""


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """What a DSN says of one recipient."""

    index: int
    """Which recipient of the envelope."""
    action: Action
    reply: Reply
    """What the remote MTA said last, or our own diagnosis where *host* is empty."""
    host: str = ""
    """The name of the remote MTA that said so; empty where nobody was reached."""
    is_expired: bool = False
    """A failure because its lifetime is over, not because somebody refused."""
    last_attempt_ms: int | None = None
    retry_until_ms: int | None = None
    """Until when a delayed recipient is tried."""

    @property
    def status(self) -> str:
        """
        The enhanced status code, such as 5.1.1 (RFC 3463), of the class that the action needs.

        An expired recipient keeps the code of its last trouble, as RFC 3463 §3.5 (X.4.7) asks for.
        """
        if self.action in ("delivered", "relayed", "expanded"):
            given = self.reply.enhanced or ""
            return given if given.startswith("2") else "2.0.0"
        if self.reply.enhanced is not None:
            return self.reply.enhanced
        return "4.4.7" if self.is_expired else f"{self.reply.code // 100}.0.0"


class OutcomeOfRound(Protocol):
    """What the queue knows of one recipient at the end of a round (`queue.round.RecipientOutcome`)."""

    @property
    def index(self) -> int: ...
    @property
    def state(self) -> str:
        """delivered, deferred, delayed, failed, expired or dropped."""

    @property
    def reply(self) -> Reply: ...
    @property
    def host(self) -> str: ...
    @property
    def transport(self) -> str:
        """smtp, lmtp or discard; empty where it did not come so far."""

    @property
    def dsn_passed(self) -> bool:
        """The next hop took over the duty to report success (RFC 3461 §5.2.2)."""


class StatusOfMessage(Protocol):
    """What was recorded before this round; a QueuedMessage has it."""

    def status(self, index: int) -> tuple[str, str]: ...


def fates_of(
    message: StatusOfMessage, outcomes: Iterable[OutcomeOfRound], *, now_ms: int, retry_until_ms: int
) -> list[Fate]:
    """
    What of a round can be told at all.

    Left out: a deferral that is not late yet or was told before, a recipient that the operator dropped (he logged it
    and knows), and a success that the next hop reports itself.

    Args:
        message: Before this round is settled, so that its statuses are those of earlier rounds.
        outcomes: One for each recipient that was tried.
        now_ms: Taken for the time of the attempt.
        retry_until_ms: When its lifetime ends.
    """
    fates = []
    for outcome in outcomes:
        action = _action_of(message, outcome)
        if action is not None:
            fates.append(
                Fate(
                    index=outcome.index,
                    action=action,
                    reply=outcome.reply,
                    host=outcome.host,
                    is_expired=outcome.state == "expired",
                    last_attempt_ms=now_ms,
                    retry_until_ms=retry_until_ms if action == "delayed" else None,
                )
            )
    return fates


def _action_of(message: StatusOfMessage, outcome: OutcomeOfRound) -> Action | None:
    match outcome.state:
        case "failed" | "expired":
            return "failed"
        case "delayed":
            return None if message.status(outcome.index)[0] == "delayed" else "delayed"
        case "delivered" if not outcome.dsn_passed:
            # Over SMTP the message leaves the realm of success reports; LMTP and discard are the end of its way.
            return "relayed" if outcome.transport == "smtp" else "delivered"
        case _:
            return None
