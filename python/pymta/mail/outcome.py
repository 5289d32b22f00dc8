"""
What became of one recipient in one attempt: a value, never an exception.

Whether a failure is for good is the reply's first digit; `outcome_of` is the one place that reads it.
"""

from typing import ClassVar, Literal

import msgspec

from pymta._core import Address, Reply

__all__ = ["Attempt", "Deferred", "Delivered", "Failed", "Outcome", "outcome_of"]


class Delivered(msgspec.Struct, frozen=True):
    """The next hop took responsibility (2yz)."""

    reply: Reply
    state: ClassVar[Literal["delivered"]] = "delivered"


class Deferred(msgspec.Struct, frozen=True):
    """Not now (4yz, or the connection failed): to be tried again."""

    reply: Reply
    state: ClassVar[Literal["deferred"]] = "deferred"


class Failed(msgspec.Struct, frozen=True):
    """Never (5yz): to be reported."""

    reply: Reply
    state: ClassVar[Literal["failed"]] = "failed"


Outcome = Delivered | Deferred | Failed


def outcome_of(reply: Reply) -> Outcome:
    """The outcome that *reply* means. A 3yz where an answer is due is the peer's confusion, and temporary."""
    if reply.is_positive:
        return Delivered(reply)
    return Failed(reply) if reply.is_permanent else Deferred(reply)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try to deliver one message to one recipient, as the hooks delivered, deferred and failed see it."""

    spool_id: str
    reverse_path: Address | None
    """None is the null reverse-path."""
    forward_path: Address
    outcome: Outcome
    attempts: int
    """Tries so far, this one included."""
    spooled_at_ms: int
    now_ms: int
    size_octets: int
    transport: str = "smtp"
    next_hop: str = ""
    """The host that answered, or the last one that did not; empty where none was found."""
    took_s: float = 0.0
    tags: dict[str, str] = {}
    """What policy noted with `tag` while the message was accepted."""

    @property
    def reply(self) -> Reply:
        """The next hop's reply, or ours (enhanced 4.4.2 and the like) where it gave none."""
        return self.outcome.reply
