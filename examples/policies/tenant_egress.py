"""
Each tenant's mail leaves from an address of its own, so that one's bad reputation is not another's.

The tenant is found when the message arrives (the account's domain, or the domain of the reverse-path) and noted with
`tag`; the `route` hook reads the note when the mail leaves, perhaps hours and a restart later. A tenant with mail that
must not be seen gets verified TLS to everywhere.
"""

from pymta.policy import Message, QueuedMail, RouteChoice, Session, TlsMode

EGRESS = {
    "bank.example.test": RouteChoice(source="192.0.2.17", tls=TlsMode.VERIFIED),
    "shop.example.test": RouteChoice(source="192.0.2.18"),
}


def message(session: Session, message: Message) -> None:
    domain = ""
    if session.account is not None:
        domain = session.account.rpartition("@")[2].lower()
    elif message.reverse_path is not None:
        domain = message.reverse_path.canonical_domain
    if domain in EGRESS:
        message.tag(tenant=domain)


def route(message: QueuedMail, domain: str) -> RouteChoice | None:
    return EGRESS.get(message.tags.get("tenant", ""))
