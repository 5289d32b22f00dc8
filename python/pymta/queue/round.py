"""
One message in hand: from the moment the spool lends it to the moment it is settled.

A round is split into deliveries, one for each site and group of recipients; each ends with an outcome for each of its
recipients. The round ends when nothing is outstanding any more. It holds no decisions: the manager makes them.
"""

from typing import TYPE_CHECKING, Literal

import msgspec

from pymta._core import QueuedMessage, Reply
from pymta.mail.route import Route

if TYPE_CHECKING:
    from pymta.queue.site import SiteOwner

__all__ = ["Delivery", "RecipientOutcome", "RecipientState", "Round"]

RecipientState = Literal["delivered", "deferred", "delayed", "failed", "expired", "dropped"]
"""As the spool keeps it. "delayed" is deferred and told to the reverse-path."""


class RecipientOutcome(msgspec.Struct, gc=False):
    """What became of one recipient in this round."""

    index: int
    state: RecipientState
    reply: Reply
    text: str
    """The reply as the log and the spool have it."""
    host: str
    """Who said so; empty where nobody was reached."""
    transport: str
    """smtp, lmtp, discard; "none" where it did not come so far."""
    dsn_passed: bool = False
    """The next hop took over the duty to report success (RFC 3461 §5.2.2)."""
    recorded: bool = False
    """The spool has it already."""


class Round:
    """The attempts at one message between `take_due` and `settle`."""

    __slots__ = ("id", "message", "not_before_ms", "outcomes", "outstanding", "owner")

    def __init__(self, message: QueuedMessage, owner: "SiteOwner | None" = None) -> None:
        self.message = message
        self.owner = owner
        """Whose round it is, where several queues share the sites."""
        self.id = message.id
        self.outstanding = 0
        """Deliveries that have not concluded."""
        self.outcomes: list[RecipientOutcome] = []
        self.not_before_ms = 0
        """The latest end of a suspension that postponed part of it; 0 where none did."""

    @property
    def is_delivered(self) -> bool:
        """Whether all outcomes so far are deliveries."""
        for outcome in self.outcomes:  # noqa: SIM110 -- all() makes a generator, mostly for one outcome
            if outcome.state != "delivered":
                return False
        return True

    def unrecorded(self, *, deliveries_only: bool = False) -> list[tuple[int, RecipientState, str]]:
        """
        The outcomes that the spool does not have yet, in its form; they count as recorded from now on.

        Args:
            deliveries_only: Only those that nobody has to be told of first. A failure that is recorded before its
                report is durable would be lost with a crash between the two.
        """
        states: list[tuple[int, RecipientState, str]] = []
        for outcome in self.outcomes:
            if not outcome.recorded and (not deliveries_only or outcome.state == "delivered"):
                outcome.recorded = True
                states.append((outcome.index, outcome.state, outcome.text))
        return states

    def not_recorded(self, states: list[tuple[int, RecipientState, str]]) -> None:
        """What `unrecorded` gave could not be recorded after all."""
        indexes = {index for index, _, _ in states}
        for outcome in self.outcomes:
            if outcome.index in indexes:
                outcome.recorded = False

    def restate(self, before: RecipientState, after: RecipientState) -> None:
        """What is *before* is *after* from now on, and has to be recorded as that."""
        for outcome in self.outcomes:
            if outcome.state == before:
                outcome.state = after
                outcome.recorded = False


class Delivery:
    """Recipients of one round that go to one site. Taken by connections in portions."""

    __slots__ = ("ready_s", "recipients", "round", "route", "started_s")

    def __init__(self, round_: Round, route: Route, recipients: list[int]) -> None:
        self.round = round_
        self.route = route
        self.recipients = recipients
        self.started_s = 0.0
        self.ready_s = 0.0
        """Since when it waits for its turn, by the loop's clock."""

    def portion(self, recipients_max: int) -> "Delivery":
        """The first recipients as a delivery of its own, outstanding like this one; what is left stays here."""
        if len(self.recipients) <= recipients_max:
            taken, self.recipients = self.recipients, []
        else:
            taken, self.recipients = self.recipients[:recipients_max], self.recipients[recipients_max:]
            self.round.outstanding += 1
        return Delivery(self.round, self.route, taken)
