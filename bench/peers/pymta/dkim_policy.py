"""
Hooks at every stage, the last of the size of a signer's: it reads five header fields and adds one.

What a signature's arithmetic costs is not here; this is what asking Python costs.
"""

from pymta.mail import Address
from pymta.policy import Attempt, Message, QueuedMail, RouteChoice, Session, Verdict, refuse

READ = ("From", "To", "Subject", "Date", "Message-ID")
REFUSED = frozenset({"refused.test"})
delivered_count = 0


def connect(session: Session) -> Verdict | None:
    """Look at the client's address."""
    return refuse("not you") if session.peer_address in REFUSED else None


def hello(session: Session, name: str) -> Verdict | None:
    """Refuse a name that nobody uses."""
    return refuse("not you") if name in REFUSED else None


def mail(session: Session, reverse_path: Address | None) -> Verdict | None:
    """Refuse a domain that nobody uses."""
    if reverse_path is not None and reverse_path.canonical_domain in REFUSED:
        return refuse("not from there")
    return None


def rcpt(session: Session, forward_path: Address) -> Verdict | None:
    """Refuse a domain that nobody uses."""
    return refuse("not to there") if forward_path.canonical_domain in REFUSED else None


def message(session: Session, message: Message) -> None:
    """Read what a signer reads, and add a field as long as a signature."""
    octets = sum(len(message.field(name) or "") for name in READ)
    message.prepend_field("X-Signed", f"v=1; a=none; d=pymta.test; l={octets}; b={'A' * 300}")


def route(message: QueuedMail, domain: str) -> RouteChoice | None:
    """Leave the route as it is."""
    return None


def delivered(attempt: Attempt) -> None:
    """Count."""
    global delivered_count
    delivered_count += 1
