"""
A DSN as its reader sees it: parsed with Python's `email`, fields of RFC 3464 by name.

Not how one is made (pymta.report). Rule: whatever is not a well-formed multipart/report fails here.
"""

import email
import email.policy
from email.message import EmailMessage
from typing import NamedTuple

from tests.e2e.our_sink import Kept

Fields = dict[str, str]


class Dsn(NamedTuple):
    """One DSN."""

    header_fields: Fields
    text: str
    of_message: Fields
    of_recipients: list[Fields]
    returned_type: str
    returned: bytes
    """The third part as it stands in the DSN, with LF lines."""


def parse(kept: Kept) -> Dsn:
    """The DSN that *kept* is; AssertionError where it is none."""
    assert kept.envelope.reverse_path is None, "a DSN has a null reverse-path (RFC 3464 §2)"
    whole = email.message_from_bytes(kept.content, policy=email.policy.default)
    assert isinstance(whole, EmailMessage)
    assert [] == whole.defects
    assert "multipart/report" == whole.get_content_type()
    assert "delivery-status" == whole["Content-Type"].params["report-type"]
    text, status, returned = whole.iter_parts()
    assert "message/delivery-status" == status.get_content_type()
    groups = [dict(group.items()) for group in status.get_payload()]
    octets = kept.content.replace(b"\r\n", b"\n")
    boundary = b"\n--" + whole.get_boundary().encode()
    third = octets.split(boundary)[3].partition(b"\n\n")[2]
    return Dsn(
        dict(whole.items()),
        text.get_content(),
        groups[0],
        groups[1:],
        returned.get_content_type(),
        third,
    )
