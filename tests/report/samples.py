"""
Messages to report on, and a DSN read back with Python's own parser. Values; no part of pymta is replaced here.
"""

import email
import email.policy
from dataclasses import dataclass
from email.message import EmailMessage

from pymta._core import Envelope, Recipient, Reply
from pymta.mail.injection import Injection
from pymta.report import Action, Fate, ReportSettings, compose_dsn

ARRIVAL_MS = 1_795_422_060_000  # Mon, 23 Nov 2026 08:21:00 +0000
NOW_MS = ARRIVAL_MS + 3_600_000
SPOOL_ID = "0000000000abc"
SETTINGS = ReportSettings(reporting_mta="mx.example.test")
CONTENT = (
    b"Received: from client.example ([192.0.2.1]) by mx.example.test;\r\n\tMon, 23 Nov 2026 08:21:00 +0000\r\n"
    b"From: Author <author@example.test>\r\nTo: user@example.org\r\nSubject: hello\r\n"
    b"Message-ID: <one@example.test>\r\n\r\nhello\r\n"
)


@dataclass(frozen=True)
class Spooled:
    """What a DSN reads of a QueuedMessage."""

    envelope: Envelope
    octets: bytes = CONTENT
    id: str = SPOOL_ID
    spooled_at_ms: int = ARRIVAL_MS

    @property
    def size_octets(self) -> int:
        return len(self.octets)

    def header_section(self) -> bytes:
        before, empty_line, _ = self.octets.partition(b"\r\n\r\n")
        return before + empty_line

    def content(self, octets_max: int) -> bytes:
        return self.octets[:octets_max]


def spooled(
    *recipients: Recipient | str,
    reverse_path: str | None = "author@example.test",
    octets: bytes = CONTENT,
    **parameters: object,
) -> Spooled:
    """A message to those recipients; *parameters* are those of Envelope."""
    envelope = Envelope(reverse_path, list(recipients) or ["user@example.org"], **parameters)  # type: ignore[arg-type]  # as given
    return Spooled(envelope, octets)


REPLIES: dict[Action, Reply] = {
    "failed": Reply(550, "5.1.1", "no such user"),
    "delayed": Reply(451, "4.7.1", "greylisted"),
    "delivered": Reply(250, "2.1.5", "delivered"),
    "relayed": Reply(250, "2.0.0", "queued as 4711"),
    "expanded": Reply(250, None, "ok"),
}


def fate(
    action: Action = "failed",
    index: int = 0,
    *,
    reply: Reply | None = None,
    host: str = "mx.example.org",
    is_expired: bool = False,
) -> Fate:
    """What became of a recipient, tried just now."""
    return Fate(
        index=index,
        action=action,
        reply=reply or REPLIES[action],
        host=host,
        is_expired=is_expired,
        last_attempt_ms=NOW_MS,
        retry_until_ms=ARRIVAL_MS + 5 * 86_400_000 if action == "delayed" else None,
    )


def dsn_of(message: Spooled, *fates: Fate, settings: ReportSettings = SETTINGS) -> Injection:
    """The DSN, which there must be."""
    injection = compose_dsn(message, fates or [fate()], settings=settings, now_ms=NOW_MS)
    assert injection is not None
    return injection


def parsed(injection: Injection) -> EmailMessage:
    """As Python's parser reads it; it must find nothing wrong with it, whatever is wrong inside what is returned."""
    message = email.message_from_bytes(injection.content, policy=email.policy.SMTP)
    assert isinstance(message, EmailMessage)
    assert [] == [defect for part in (message, *message.iter_parts()) for defect in part.defects]
    return message


def parts_of(injection: Injection) -> list[EmailMessage]:
    """Its three parts."""
    parts = list(parsed(injection).iter_parts())
    assert 3 == len(parts)
    return parts  # type: ignore[return-value]  # the policy makes EmailMessages


def status_of(injection: Injection) -> list[dict[str, str]]:
    """The groups of its second part: the message's, then one for each recipient."""
    raw = part_octets(injection)[1].decode()
    groups = [email.message_from_string(group) for group in raw.split("\r\n\r\n")]
    return [{name: " ".join(value.split()) for name, value in group.items()} for group in groups]


def part_octets(injection: Injection) -> list[bytes]:
    """The bodies of its parts, octet for octet, found without a parser."""
    boundary = parsed(injection).get_boundary()
    assert boundary is not None
    delimiter = f"\r\n--{boundary}".encode()
    pieces = injection.content.split(delimiter)
    return [piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")[2] for piece in pieces[1:-1]]
