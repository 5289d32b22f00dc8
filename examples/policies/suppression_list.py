"""
Learn from failures: an address that its own server says does not exist is not tried again for a month.

The failed hook listens to what next hops say; the rcpt hook then refuses at once, which spares a queue entry, a
connection and, with large receivers, the reputation. In memory and bounded; a list that lasts belongs into a database.
"""

from collections import OrderedDict

from pymta.policy import Address, Attempt, Session, Verdict, refuse

# What says "no such mailbox" rather than "not from you" or "not this content" (RFC 3463 §3.2).
NO_SUCH_MAILBOX = ("5.1.1", "5.1.3", "5.1.6", "5.1.10")
SUPPRESSED_MS_MAX = 30 * 24 * 60 * 60 * 1000
ADDRESSES_MAX = 1_000_000

suppressed: OrderedDict[str, int] = OrderedDict()  # address → since when


def failed(attempt: Attempt) -> None:
    if attempt.reply.enhanced in NO_SUCH_MAILBOX:
        suppressed[attempt.forward_path.canonical] = attempt.now_ms
        if len(suppressed) > ADDRESSES_MAX:
            suppressed.popitem(last=False)


def delivered(attempt: Attempt) -> None:
    suppressed.pop(attempt.forward_path.canonical, None)


def rcpt(session: Session, forward_path: Address) -> Verdict | None:
    since_ms = suppressed.get(forward_path.canonical)
    if since_ms is None:
        return None
    if session.now_ms - since_ms > SUPPRESSED_MS_MAX:
        del suppressed[forward_path.canonical]
        return None
    return refuse(
        "550 5.1.1 this address does not exist, as its own server told us", reason="suppression list"
    )
