"""
Send mail for some addresses and domains elsewhere: people who moved, a domain that was renamed, a role for many.

The envelope is changed, the message is not: a reader still sees the old address in To. A recipient that stays keeps its
DSN parameters (NOTIFY, ORCPT), one that is rewritten gets the old address as its ORCPT if the client gave none.
"""

from pymta.policy import Message, Recipient, Session

ADDRESSES = {
    "ada@example.test": ["ada@research.example.test"],
    "support@example.test": ["kim@example.test", "lee@example.test"],
}
DOMAINS = {"old.example.test": "example.test"}


def rewritten(recipient: Recipient) -> list[Recipient]:
    address = recipient.forward_path
    domain = DOMAINS.get(address.canonical_domain, address.canonical_domain)
    if not domain:  # a bare postmaster has none
        return [recipient]
    renamed = f"{address.local_part}@{domain}"
    targets = ADDRESSES.get(renamed, [renamed])
    if targets == [address.canonical]:
        return [recipient]
    original = recipient.original or f"rfc822;{address}"
    return [Recipient(target, notify=recipient.notify, original=original) for target in targets]


def message(session: Session, message: Message) -> None:
    before = message.recipients
    after = {r.forward_path.canonical: r for recipient in before for r in rewritten(recipient)}
    if list(after.values()) != before:
        message.set_recipients(list(after.values()))
