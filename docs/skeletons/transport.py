"""
A skeleton of a transport: copy to python/pymta/deliver/NAME.py, say here whom it hands mail to, and what it is not.

Rule: a transport is told what to hand to whom, and answers with a reply for each recipient. Whether and when to try
again is the queue's affair, where to is the route's; it reads no configuration, starts no timer of its own, and never
blocks the loop.
"""

from typing import Protocol

from pymta._core import QueuedMessage
from pymta.mail import Reply

__all__ = ["DeliveryOwner", "VoidTransport"]


class DeliveryOwner(Protocol):
    """Who handed the message over and hears what became of it, exactly once for each `deliver`."""

    def delivery_over(self, message: QueuedMessage, outcomes: list[tuple[int, Reply]]) -> None:
        """A reply for each recipient (its index in the envelope): 2yz delivered, 4yz deferred, 5yz failed."""


class VoidTransport:
    """Hands mail to nobody, and says so: a shape to fill in."""

    def __init__(self, owner: DeliveryOwner, *, in_hand_max: int) -> None:
        """At most *in_hand_max* messages are in hand at once; every resource has its bound."""
        self._owner = owner
        self._in_hand_max = in_hand_max
        self._in_hand = 0

    @property
    def room(self) -> int:
        """How many more messages `deliver` takes now."""
        return self._in_hand_max - self._in_hand

    def deliver(self, message: QueuedMessage, recipients: list[int]) -> None:
        """
        Take *message* for *recipients*; `room` must not be 0.

        Whatever happens ends in `delivery_over`: an exception that escapes is a bug of ours, a host that cannot be
        reached is a 4yz of our own making (RFC 3463 §3.5).
        """
        self._in_hand += 1
        reply = Reply(451, "4.3.5", "this transport is a skeleton")
        self._in_hand -= 1
        self._owner.delivery_over(message, [(index, reply) for index in recipients])
