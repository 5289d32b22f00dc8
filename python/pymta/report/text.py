"""
The part of a DSN that people read: what happened, why, and what to do, in plain words.

Written for somebody who knows mail and no SMTP. Rule: first what became of the message, then each recipient with the
reason as the other side gave it, then advice; nothing that the reader cannot use.
"""

import textwrap
from collections.abc import Sequence
from typing import Final

from pymta._core import Envelope
from pymta.report.delivery_status import date_text
from pymta.report.fate import ACTIONS, Action, Fate
from pymta.report.field import breakable, harmless

__all__ = ["readable_text", "subject"]

LINE_CHARACTERS = 76

SUBJECTS: Final[dict[Action, str]] = {
    "failed": "Your message could not be delivered",
    "delayed": "Your message is late, and still being tried",
    "delivered": "Your message was delivered",
    "relayed": "Your message was passed on",
    "expanded": "Your message was passed on to a list",
}

OPENINGS: Final[dict[Action, str]] = {
    "failed": "Your message could not be delivered to {whom}. It will not be tried again.",
    "delayed": "Your message could not be delivered to {whom} yet. You need not do anything: it is tried again "
    "until {until}, and you will be told if that fails.",
    "delivered": "Your message was delivered to {whom}.",
    "relayed": "Your message was passed on to a mail server for {whom}. That server does not report deliveries, so "
    "you will hear more only if something goes wrong.",
    "expanded": "Your message was passed on to {whom}, each an address that stands for several people. You will not "
    "hear of them one by one.",
}

# By enhanced status without its class (RFC 3463), the exact one before the subject.
ADVICE: Final[dict[str, str]] = {
    "1.1": "There is no such address. Check its spelling, and send the message again to the right one.",
    "1.2": "There is no such domain. Check what stands behind the @, and send the message again.",
    "1.3": "The address is malformed. Check its spelling, and send the message again.",
    "1.6": "The address has moved. Ask the recipient for the new one.",
    "1.10": "The domain takes no mail at all. Check what stands behind the @.",
    "2.1": "The mailbox is closed. Reach the recipient in another way.",
    "2.2": "The mailbox is full. Try again later, or reach the recipient in another way.",
    "2.3": "The message is too large for the mailbox. Send a smaller one, or share the files in another way.",
    "3.4": "The message is too large for that server. Send a smaller one, or share the files in another way.",
    "4.1": "The recipient's mail server did not answer. Try again later, or reach the recipient in another way.",
    "4.4": "No mail server was found for the domain. Check what stands behind the @.",
    "4.6": "The message went in circles. The recipient's postmaster has to correct that.",
    "6.7": "The recipient's mail server cannot take addresses with such letters. Ask the recipient for another address.",
    "7": "The recipient's mail server refuses the message by its rules. Its postmaster can tell why.",
}


def subject(action: Action) -> str:
    """The Subject of a DSN of which this is the gravest action."""
    return SUBJECTS[action]


def readable_text(
    envelope: Envelope,
    fates: Sequence[Fate],
    *,
    reporting_mta: str,
    author: str,
    spool_id: str,
    arrival_ms: int,
    recipients_max: int,
) -> str:
    """The text, its lines ended by `\\n`; arguments as for `delivery_status`."""
    paragraphs = [f"This is the mail server {reporting_mta}."]
    for action in ACTIONS:
        of_action = [fate for fate in fates if fate.action == action]
        if of_action:
            paragraphs.append(_opening(action, of_action))
            paragraphs += [_recipient(envelope, fate) for fate in of_action[:recipients_max]]
            if len(of_action) > recipients_max:
                more = len(of_action) - recipients_max
                paragraphs.append(f"  ... and {more} more, named in the part for programs.")
    paragraphs.append(
        _wrapped(
            f"The message arrived here on {date_text(arrival_ms)}; our log calls it {spool_id}. If you need help, "
            f"send this report to {author}. Below are the same facts for programs, and "
            "your message or its header."
        )
    )
    return "\n\n".join(paragraphs) + "\n"


def _opening(action: Action, fates: Sequence[Fate]) -> str:
    whom = "one recipient" if len(fates) == 1 else f"{len(fates)} recipients"
    until = next(
        (date_text(fate.retry_until_ms) for fate in fates if fate.retry_until_ms is not None), "later"
    )
    return _wrapped(OPENINGS[action].format(whom=whom, until=until))


def _recipient(envelope: Envelope, fate: Fate) -> str:
    recipient = envelope.recipient(fate.index)
    lines = [f"  <{recipient.forward_path}>"]
    _, _, original = (recipient.original or "").partition(";")
    if original and original != str(recipient.forward_path):
        lines.append(_wrapped(f"(you wrote to {harmless(original, ascii_only=False)})", "    "))
    if fate.action in ("failed", "delayed"):
        lines.append(_wrapped(_reason(fate), "    "))
        advice = _advice(fate)
        if advice:
            lines.append(_wrapped(advice, "    "))
    elif fate.host:
        lines.append(_wrapped(f"by {harmless(fate.host, ascii_only=False)}", "    "))
    return "\n".join(lines)


def _reason(fate: Fate) -> str:
    if not fate.host:
        trouble = harmless(fate.reply.text, ascii_only=False)
        return (
            f"It was tried for as long as we try. The last trouble: {trouble}" if fate.is_expired else trouble
        )
    said = f"{harmless(fate.host, ascii_only=False)} said: {harmless(str(fate.reply), ascii_only=False)}"
    return f"It was tried for as long as we try. At last, {said}" if fate.is_expired else said


def _advice(fate: Fate) -> str | None:
    if fate.action != "failed":
        return None
    _, _, code = fate.status.partition(".")
    return ADVICE.get(code) or ADVICE.get(code.partition(".")[0])


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        breakable(text),
        LINE_CHARACTERS,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
