"""
Keep large mail from outside back until somebody has looked at it, rather than refuse it.

The client gets its 250; the message waits in the spool. `pymta queue list --state hold` shows what waits, `pymta queue
release ID` lets it go. What is larger still is refused before it is sent, if the client says how large it is.
"""

from pymta.policy import Address, MailParameters, Message, Session, Verdict, hold, refuse

MIB = 1024 * 1024
HOLD_OCTETS_MIN = 20 * MIB
REFUSE_OCTETS_MIN = 100 * MIB


def mail(session: Session, reverse_path: Address | None, parameters: MailParameters) -> Verdict | None:
    if (parameters.size_octets or 0) >= REFUSE_OCTETS_MIN:
        return refuse("552 5.3.4 we take at most 100 MB; please send a link")
    return None


def message(session: Session, message: Message) -> Verdict | None:
    if session.trusted or session.account is not None:
        return None
    if message.size_octets >= HOLD_OCTETS_MIN:
        message.tag(held_for="size")
        return hold(reason=f"{message.size_octets // MIB} MiB from outside")
    return None
