"""
Mark what goes through: who handed it in, and whether it came in protected. Take out what only we may say.

A mark is worth something only if nobody else can make it, so a field of ours that is already there is removed first.
"""

from pymta.policy import Message, Session

HOST = "mail.example.test"
OURS = ("X-Example-Account", "X-Example-Protection")


def message(session: Session, message: Message) -> None:
    for name in OURS:
        message.remove_field(name)
    # An Authentication-Results field in our own name would be believed by those behind us (RFC 8601 §5).
    if any(
        result.split(";")[0].strip().lower() == HOST for result in message.fields("Authentication-Results")
    ):
        others = [
            r for r in message.fields("Authentication-Results") if r.split(";")[0].strip().lower() != HOST
        ]
        message.remove_field("Authentication-Results")
        for result in others:
            message.add_field("Authentication-Results", result)
    if session.account is not None:
        message.add_field("X-Example-Account", session.account)
    protection = "none" if session.tls is None else f"{session.tls.version} {session.tls.cipher}"
    message.add_field("X-Example-Protection", protection)
