"""
Who has no room for a message that has arrived: in LMTP each recipient hears an outcome of its own (RFC 2033 §4.2).

At RCPT only the size is known that the client declared, if it did. What cannot be known at once (a directory on another
host has forgotten the address since) is not waited for: the delivery counts again.
"""

import inspect

from pymta._core import Envelope, Reply
from pymta.accept.door import Door
from pymta.directory import Resolution
from pymta.mail.errors import TemporaryFailure
from pymta.policy.checks.recipient import why_no_room

__all__ = ["OVER_QUOTA", "without_room"]

OVER_QUOTA = "over quota"


def without_room(door: Door, envelope: Envelope, size_octets: int) -> list[tuple[int, Reply]]:
    """The places in the envelope of those for whom a message of that size does not fit, each with what it is told."""
    found = []
    for place, recipient in enumerate(envelope.recipients):
        try:
            answer = door.directory.resolve(recipient.forward_path)
        except TemporaryFailure:
            continue
        if not isinstance(answer, Resolution):
            assert inspect.iscoroutine(answer)
            answer.close()
            continue
        reply = why_no_room(answer, lambda account: door.quota.why_full(account, size_octets))
        if reply is not None:
            found.append((place, reply))
    return found
