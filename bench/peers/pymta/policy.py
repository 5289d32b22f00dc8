"""
A policy that looks at something at every stage and lets everything pass: what having a policy costs, and no more.
"""

from pymta.mail import Address
from pymta.policy import Attempt, Message, QueuedMail, RouteChoice, Session, Verdict, refuse

REFUSED = frozenset({"refused.test"})
delivered_count = 0


def connect(session: Session) -> Verdict | None:
    """Let every client in."""
    return None


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


def message(session: Session, message: Message) -> Verdict | None:
    """Look at one header field."""
    return refuse("not this") if message.field("X-Refused") is not None else None


def route(message: QueuedMail, domain: str) -> RouteChoice | None:
    """Leave the route as it is."""
    return None


def delivered(attempt: Attempt) -> None:
    """Count."""
    global delivered_count
    delivered_count += 1
