"""
The part of a DSN that programs read: message/delivery-status (RFC 3464 §2), or message/global-delivery-status where an
address is beyond ASCII (RFC 6533 §4).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from pymta._core import Address, Envelope, Recipient
from pymta.report.fate import Fate
from pymta.report.field import field

__all__ = ["date_text", "delivery_status"]


def delivery_status(
    envelope: Envelope,
    fates: Sequence[Fate],
    *,
    reporting_mta: str,
    spool_id: str,
    arrival_ms: int,
    is_global: bool,
) -> bytes:
    """
    The body: one group of fields for the message, one for each recipient.

    Args:
        envelope: Of the message that is reported on.
        fates: At least one.
        reporting_mta: Our name.
        spool_id: What our log calls the message.
        arrival_ms: When it became durable.
        is_global: UTF-8 is allowed.
    """
    groups = [_of_message(envelope, reporting_mta, arrival_ms, ascii_only=not is_global)]
    groups += [_of_recipient(envelope, fate, spool_id, ascii_only=not is_global) for fate in fates]
    return b"\r\n".join(groups)


@lru_cache(maxsize=16)  # the recipients of one round were tried at the same time
def date_text(instant_ms: int) -> str:
    """`date-time` of RFC 5322 §3.3, in UTC."""
    return format_datetime(datetime.fromtimestamp(instant_ms // 1000, UTC))


def _of_message(envelope: Envelope, reporting_mta: str, arrival_ms: int, *, ascii_only: bool) -> bytes:
    """RFC 3464 §2.2, in its order."""
    lines = []
    if envelope.envid is not None:
        lines.append(field("Original-Envelope-Id", envelope.envid, ascii_only=ascii_only, folded=False))
    lines.append(field("Reporting-MTA", f"dns; {reporting_mta}"))
    lines.append(field("Arrival-Date", date_text(arrival_ms)))
    return b"".join(lines)


def _of_recipient(envelope: Envelope, fate: Fate, spool_id: str, *, ascii_only: bool) -> bytes:
    """RFC 3464 §2.3, in its order."""
    recipient = envelope.recipient(fate.index)
    lines = []
    if recipient.original is not None:
        lines.append(
            field("Original-Recipient", _original_recipient(recipient), ascii_only=ascii_only, folded=False)
        )
    final = _typed(recipient.forward_path)
    lines.append(field("Final-Recipient", final, ascii_only=ascii_only, folded=False))
    lines.append(field("Action", fate.action))
    lines.append(field("Status", fate.status))
    if fate.host:
        lines.append(field("Remote-MTA", f"dns; {fate.host}"))
        lines.append(field("Diagnostic-Code", f"smtp; {fate.reply}", ascii_only=ascii_only))
    elif fate.action in ("failed", "delayed"):
        # Our own words, so not of the type smtp, which is what the remote MTA said (RFC 3464 §2.3.6).
        lines.append(field("Diagnostic-Code", f"x-pymta; {fate.reply.text}", ascii_only=ascii_only))
    if fate.last_attempt_ms is not None:
        lines.append(field("Last-Attempt-Date", date_text(fate.last_attempt_ms)))
    lines.append(field("Final-Log-ID", spool_id))
    if fate.retry_until_ms is not None:
        lines.append(field("Will-Retry-Until", date_text(fate.retry_until_ms)))
    return b"".join(lines)


def _original_recipient(recipient: Recipient) -> str:
    address_type, _, address = (recipient.original or "").partition(";")
    return f"{address_type}; {address}"


def _typed(address: Address) -> str:
    """RFC 3464 §2.3.2; an address beyond ASCII is of the type utf-8 (RFC 6533 §3)."""
    return f"{'rfc822' if address.is_ascii else 'utf-8'}; {address}"
