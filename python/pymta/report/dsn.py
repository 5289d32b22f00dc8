"""
A delivery status notification: multipart/report of a text, a status and what is returned (RFC 3464, RFC 6522, RFC 6533).

A pure function of the message and what became of its recipients. It reads no clock, makes no random number and spools
nothing. Octets are put together by hand and not by `email`, because what is returned must be what was received.
"""

import itertools
import quopri
import re
from collections.abc import Sequence

from pymta._core import Address, Envelope, Recipient
from pymta.mail.injection import Injection
from pymta.report.delivery_status import date_text, delivery_status
from pymta.report.fate import ACTIONS, Action, Fate
from pymta.report.field import field
from pymta.report.returned import Reportable, returned_content
from pymta.report.settings import ReportSettings
from pymta.report.text import readable_text, subject

__all__ = ["compose_dsn", "is_wanted"]

# A Message-ID that may be repeated in a field of ours: printable, and nothing but it in its field.
MESSAGE_ID = re.compile(
    rb"^message-id:[ \t]*(?:\r\n[ \t]+)?(<[!-;=?-~]{1,400}>)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE
)


def is_wanted(recipient: Recipient, action: Action) -> bool:
    """
    Whether the recipient's NOTIFY asks for a DSN of that action (RFC 3461 §4.1, §5.2).

    Without NOTIFY: failures and delays.
    """
    match action:
        case "failed":
            return recipient.wants_failure
        case "delayed":
            return recipient.wants_delay
        case _:
            return recipient.wants_success


def compose_dsn(
    message: Reportable, fates: Sequence[Fate], *, settings: ReportSettings, now_ms: int
) -> Injection | None:
    """
    One DSN about all recipients of which one is wanted, or None where none is.

    Never for a null reverse-path (RFC 5321 §4.5.5, invariant 8); the DSN has one itself, and its recipient NOTIFY=NEVER
    (RFC 3461 §6.1), so no DSN can cause another, here or elsewhere.

    Args:
        message: A QueuedMessage. Its content is read only where it is returned.
        fates: What became of its recipients; those that did not ask are left out.
        settings: Our name, and how much is returned.
        now_ms: The time of the report.
    """
    envelope = message.envelope
    reverse_path = envelope.reverse_path
    if reverse_path is None:
        return None
    wanted = [fate for fate in fates if is_wanted(envelope.recipient(fate.index), fate.action)]
    if not wanted:
        return None
    wanted.sort(key=lambda fate: (ACTIONS.index(fate.action), fate.index))
    action = wanted[0].action
    is_global = _needs_global(message, wanted)
    parts = _parts(message, wanted, settings, is_global=is_global)
    boundary = _boundary(message.id, parts)
    header_section = _header_section(
        message,
        action,
        reverse_path,
        settings,
        boundary=boundary,
        is_7bit=all(map(bytes.isascii, parts)),
        now_ms=now_ms,
    )
    delimiter = b"--" + boundary.encode()
    body = b"".join(delimiter + b"\r\n" + part + b"\r\n" for part in parts)
    content = header_section + b"\r\n" + body + delimiter + b"--\r\n"
    return Injection(
        Envelope(
            None,
            [Recipient(reverse_path, notify="NEVER")],
            body="7BIT" if content.isascii() else "8BITMIME",
            smtputf8=is_global,
        ),
        content,
        f"dsn {action}",
    )


def _needs_global(message: Reportable, fates: Sequence[Fate]) -> bool:
    """
    Whether the types of RFC 6533 are needed: an address beyond ASCII is named, or an internationalised header returned.

    A message that was only declared SMTPUTF8 and holds nothing of the kind is reported in ASCII, which every host takes.
    """
    envelope = message.envelope
    addresses = [envelope.reverse_path] + [envelope.recipient(fate.index).forward_path for fate in fates]
    if any(address is not None and not address.is_ascii for address in addresses):
        return True
    originals = (envelope.recipient(fate.index).original or "" for fate in fates)
    if not all(map(str.isascii, originals)):
        return True
    return envelope.smtputf8 and not message.header_section().isascii()


def _parts(
    message: Reportable, fates: Sequence[Fate], settings: ReportSettings, *, is_global: bool
) -> list[bytes]:
    """Text, status and returned content, each with its header section."""
    envelope = message.envelope
    text = readable_text(
        envelope,
        fates,
        reporting_mta=settings.reporting_mta,
        author=settings.author,
        spool_id=message.id,
        arrival_ms=message.spooled_at_ms,
        recipients_max=settings.text_recipients_max,
    )
    status = delivery_status(
        envelope,
        fates,
        reporting_mta=settings.reporting_mta,
        spool_id=message.id,
        arrival_ms=message.spooled_at_ms,
        is_global=is_global,
    )
    # RET is about failures only: other DSNs return the header section (RFC 3461 §4.3).
    is_full = envelope.ret != "HDRS" and any(fate.action == "failed" for fate in fates)
    returned = returned_content(
        message, is_full=is_full, is_global=is_global, octets_max=settings.content_octets_max
    )
    return [
        _text_part(text),
        _part(
            "message/global-delivery-status" if is_global else "message/delivery-status",
            "7bit" if status.isascii() else "8bit",
            "Delivery status",
            status,
        ),
        _part(returned.content_type, returned.transfer_encoding, "Returned message", returned.octets),
    ]


def _text_part(text: str) -> bytes:
    """In quoted-printable where a remote host's words are not ASCII, so that they alone never need 8BITMIME."""
    if text.isascii():
        octets, charset, transfer_encoding = text.encode(), "us-ascii", "7bit"
    else:
        octets, charset, transfer_encoding = quopri.encodestring(text.encode()), "utf-8", "quoted-printable"
    lines = octets.replace(b"\n", b"\r\n")
    return _part(f"text/plain; charset={charset}", transfer_encoding, "Notification", lines)


def _part(content_type: str, transfer_encoding: str, description: str, octets: bytes) -> bytes:
    header = field("Content-Type", content_type) + field("Content-Description", description)
    if transfer_encoding != "7bit":
        header += field("Content-Transfer-Encoding", transfer_encoding)
    return header + b"\r\n" + octets


def _boundary(spool_id: str, parts: Sequence[bytes]) -> str:
    """One that no part holds; the content is bounded, so one of the numbers is free."""
    candidates = (f"=_report_{spool_id}_{number}" for number in itertools.count())
    return next(boundary for boundary in candidates if not any(boundary.encode() in part for part in parts))


def _header_section(
    message: Reportable,
    action: Action,
    reverse_path: Address,
    settings: ReportSettings,
    *,
    boundary: str,
    is_7bit: bool,
    now_ms: int,
) -> bytes:
    """The fields of the DSN itself, without the empty line."""
    host = settings.reporting_mta
    fields = [
        field("From", f"Mail Delivery System <{settings.author}>"),
        field("To", _addressed(reverse_path, host), ascii_only=False, folded=False),
        field("Subject", subject(action)),
        field("Date", date_text(now_ms)),
        field("Message-ID", f"<report.{message.id}.{now_ms}@{host}>", folded=False),
    ]
    original_id = MESSAGE_ID.search(message.header_section())
    if original_id is not None:
        # RFC 3834 §3.1.5: so that a reader's program shows it beside the message.
        fields.append(field("In-Reply-To", original_id[1].decode(), folded=False))
        fields.append(field("References", original_id[1].decode(), folded=False))
    fields.append(field("Auto-Submitted", "auto-replied"))  # RFC 3834 §5, RFC 3464 §2
    fields.append(field("MIME-Version", "1.0"))
    fields.append(
        b'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="'
        + boundary.encode()
        + b'"\r\n'
    )
    if not is_7bit:
        fields.append(field("Content-Transfer-Encoding", "8bit"))
    return b"".join(fields)


def _addressed(reverse_path: Address, host: str) -> str:
    """As it stands in To; a bare postmaster is ours."""
    return f"<{reverse_path}>" if reverse_path.domain else f"<{reverse_path}@{host}>"
