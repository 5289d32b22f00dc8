"""
Whole DSNs as text, so that a change of any octet is seen and read by somebody.

tests/report/transcripts/ has them with line feeds for CRLF.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from pymta._core import Recipient, Reply
from pymta.mail.injection import Injection
from tests.report.samples import dsn_of, fate, spooled

TRANSCRIPTS = Path(__file__).parent / "transcripts"


def refused() -> Injection:
    """The usual one: one recipient, refused by its host, the whole message returned."""
    return dsn_of(spooled())


def expired() -> Injection:
    """Nobody was reached for five days; another recipient was refused with a long reply; RET=HDRS."""
    message = spooled(
        "user@slow.example",
        Recipient("other@example.org", original="rfc822;list@example.net"),
        ret="HDRS",
        envid="QQ314159",
    )
    policy = Reply(
        554,
        "5.7.1",
        "Service unavailable; client host blocked using a list that is explained at\n"
        "https://example.org/why?address=192.0.2.1",
    )
    return dsn_of(
        message,
        fate(reply=Reply(451, "4.4.1", "connection to 192.0.2.9 timed out"), host="", is_expired=True),
        fate(index=1, reply=policy),
    )


def delayed() -> Injection:
    """A warning: nothing is lost, nothing to be done."""
    return dsn_of(spooled(), fate("delayed"))


def success() -> Injection:
    """NOTIFY=SUCCESS for three recipients with three kinds of success."""
    names = ("user@example.org", "local@example.test", "list@example.test")
    message = spooled(*(Recipient(name, notify="SUCCESS") for name in names))
    return dsn_of(message, fate("relayed", 0), fate("delivered", 1), fate("expanded", 2, host=""))


def international() -> Injection:
    """RFC 6533: everything in UTF-8."""
    octets = "From: ü@example.test\r\nSubject: grüße\r\n\r\nhello\r\n".encode()
    return dsn_of(spooled("jürgen@example.org", reverse_path="ü@example.test", octets=octets, smtputf8=True))


@pytest.mark.parametrize("case", [refused, expired, delayed, success, international])
def test_a_dsn_is_what_its_transcript_says(case: Callable[[], Injection]) -> None:
    """
    Octet for octet. After a wanted change: write what is now, and read it before it is committed.
    """
    path = TRANSCRIPTS / f"{case.__name__}.eml"

    assert path.read_bytes().replace(b"\n", b"\r\n") == case().content
