"""
An answer for somebody who is away: to whom, to which message, and what it looks like (RFC 3834, RFC 5230).

A pure function of the message. Whether the author was told already is the store's affair (`directory/vacation.py`), and
it is asked last. When in doubt nothing is answered: an answer that is missing does no harm, one too many may begin a loop.
"""

import re
from collections.abc import Collection
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import getaddresses
from typing import Final, Protocol

from pymta._core import Address, Envelope, Recipient
from pymta.directory import InvalidAddress, canonical_address
from pymta.directory.vacation import Vacation
from pymta.mail.injection import Injection
from pymta.report.delivery_status import date_text
from pymta.report.settings import ReportSettings

__all__ = ["Answerable", "compose_vacation", "why_not_answered"]

# RFC 3834 §2, RFC 5230 §4.6: programs, and addresses behind which there are many.
_NO_PERSON: Final = re.compile(
    r"mailer-daemon|daemon|listserv|majordomo|mailman|postmaster|root|news|uucp|nobody|"
    r"(?:owner|bounces?)-.*|.*-(?:request|owner|bounces?|return|errors)(?:[+=].*)?|(?:no|do-?not)[-_.]?reply.*|srs[01][=+-].*",
    re.IGNORECASE,
)
_LIST_FIELDS: Final = (
    "List-Id", "List-Help", "List-Subscribe", "List-Unsubscribe", "List-Post", "List-Owner", "List-Archive",
)  # fmt: skip
_OWN_FIELDS: Final = ("To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc")
_BULK: Final = frozenset({"bulk", "junk", "list"})
_SUPPRESSED: Final = frozenset({"all", "oof", "autoreply"})
_FIELD_OCTETS_MAX: Final = 65_536
_SUBJECT_CHARACTERS_MAX: Final = 150
_MESSAGE_ID: Final = re.compile(r"<[!-;=?-~]{1,400}>")


class Answerable(Protocol):
    """What is looked at of a message; a QueuedMessage has it."""

    @property
    def id(self) -> str: ...
    @property
    def envelope(self) -> Envelope: ...
    def fields(self, name: str) -> list[bytes]: ...


def why_not_answered(message: Answerable, own_addresses: Collection[str]) -> str | None:
    """
    Why a message gets no answer; None where it may have one.

    Args:
        message: It.
        own_addresses: Of the account, canonical: one of them has to be in To or Cc (RFC 5230 §4.5).
    """
    reverse_path = message.envelope.reverse_path
    if reverse_path is None:
        return "null reverse-path"
    if _NO_PERSON.fullmatch(reverse_path.local_part.strip('"')):
        return "reverse-path of no person"
    if _canonical(str(reverse_path)) in own_addresses:
        return "from itself"
    submitted = message.fields("Auto-Submitted")
    if any(value.strip().lower() != b"no" for value in submitted):
        return "Auto-Submitted"
    if any(message.fields(name) for name in _LIST_FIELDS):
        return "from a list"
    if _words(message, "Precedence") & _BULK:
        return "Precedence"
    if _words(message, "X-Auto-Response-Suppress") & _SUPPRESSED:
        return "X-Auto-Response-Suppress"
    if not _named(message) & set(own_addresses):
        return "no address of the account in To or Cc"
    return None


def compose_vacation(
    message: Answerable, account: str, vacation: Vacation, *, settings: ReportSettings, now_ms: int
) -> Injection:
    """
    The answer: from the account to the reverse-path, with a null reverse-path itself and NOTIFY=NEVER, so that nothing
    can answer it. `why_not_answered` comes first.
    """
    reverse_path = message.envelope.reverse_path
    assert reverse_path is not None, "why_not_answered comes first"
    needs_utf8 = not (reverse_path.is_ascii and account.isascii())
    answer = EmailMessage(policy=SMTP.clone(utf8=needs_utf8))
    answer["From"] = account
    answer["To"] = str(reverse_path)
    answer["Subject"] = vacation.subject or f"Auto: {_subject(message)}"
    answer["Date"] = date_text(now_ms)
    answer["Message-ID"] = f"<{message.id}.vacation.{vacation.handle}@{settings.reporting_mta}>"
    answer["Auto-Submitted"] = "auto-replied (vacation)"
    if (about := _message_id(message)) is not None:
        answer["In-Reply-To"] = about
        answer["References"] = about
    answer.set_content(vacation.text, cte="quoted-printable")
    content = answer.as_bytes()
    envelope = Envelope(
        None,
        [Recipient(reverse_path, notify="NEVER")],
        body="7BIT" if content.isascii() else "8BITMIME",
        smtputf8=needs_utf8,
    )
    return Injection(envelope, content, "vacation")


def _words(message: Answerable, name: str) -> set[str]:
    joined = b",".join(message.fields(name))[:_FIELD_OCTETS_MAX]
    return {word.strip().lower() for word in joined.decode("ascii", "replace").split(",")}


def _named(message: Answerable) -> set[str]:
    """The canonical addresses that the message says it is for."""
    values = [value.decode("utf-8", "replace") for name in _OWN_FIELDS for value in message.fields(name)]
    octets = 0
    found = set()
    for value in values:
        octets += len(value)
        if octets > _FIELD_OCTETS_MAX:
            break
        for _, address in getaddresses([value]):
            canonical = _canonical(address)
            if canonical:
                found.add(canonical)
    return found


def _canonical(text: str) -> str:
    """Empty for what is no address."""
    try:
        return canonical_address(Address(text))
    except (InvalidAddress, ValueError):
        return ""


def _subject(message: Answerable) -> str:
    values = message.fields("Subject")
    text = values[0].decode("utf-8", "replace") if values else ""
    clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return clean[:_SUBJECT_CHARACTERS_MAX] or "your message"


def _message_id(message: Answerable) -> str | None:
    for value in message.fields("Message-ID"):
        found = _MESSAGE_ID.fullmatch(value.strip().decode("ascii", "replace"))
        if found is not None:
            return found[0]
    return None
