"""
What every message that the server writes itself has in common, whatever it is about: lines, and one Message-ID.

Others sent reports with doubled brackets in their Message-ID, with bare LFs, and with lines of thousands of octets.
"""

import re
from collections.abc import Callable
from email import message_from_bytes
from email.policy import default
from typing import get_args

import pytest

from pymta._core import Envelope, Recipient, Reply
from pymta.directory.vacation import Vacation
from pymta.mail.injection import Injection
from pymta.report import Action, ReportSettings
from pymta.report.vacation import compose_vacation
from tests.report.samples import NOW_MS, dsn_of, fate, spooled

LONG = "x" * 4247
WORDS = "wörd " * 850
SUBJECTS = ["hello", LONG, WORDS.strip(), "a\nb\rc"]
MESSAGE_IDS = [
    "<1@example.net>",
    "<<1@example.net>>",
    f"<{LONG}@example.net>",
    "1@example.net",
    "<>",
    "<a\n@b>",
]
Compose = Callable[[str, str], Injection]


class Mail:
    """What is looked at of a message that is answered."""

    id = "1b"

    def __init__(self, subject: str, message_id: str) -> None:
        self.envelope = Envelope("author@example.net", ["ann@example.test"])
        self._fields = {
            "to": b"ann@example.test",
            "subject": subject.encode(),
            "message-id": message_id.encode(),
        }

    def fields(self, name: str) -> list[bytes]:
        return [self._fields[name.lower()]] if name.lower() in self._fields else []


def vacation(subject: str, message_id: str) -> Injection:
    """An answer whose own text has a long line, and a bare LF."""
    return compose_vacation(
        Mail(subject, message_id),
        "ann@example.test",
        Vacation(text=f"Back soon.\n{LONG}\n{WORDS}"),
        settings=ReportSettings(reporting_mta="mail.example.test"),
        now_ms=NOW_MS,
    )


def dsn(action: Action) -> Compose:
    """One whose remote reply is long, too."""

    def compose(subject: str, message_id: str) -> Injection:
        fields = {"Subject": subject, "Message-ID": message_id}  # in lines as a spooled message has them
        lines = [f"{name}: {' '.join(value.split())[:400]}\r\n" for name, value in fields.items()]
        recipient = Recipient("user@example.org", notify="SUCCESS,FAILURE,DELAY")
        message = spooled(recipient, octets="".join([*lines, "\r\nbody\r\n"]).encode())
        return dsn_of(message, fate(action, reply=Reply(550, "5.1.1", LONG)))

    return compose


COMPOSERS: dict[str, Compose] = {"vacation": vacation, **{action: dsn(action) for action in get_args(Action)}}


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("message_id", MESSAGE_IDS)
@pytest.mark.parametrize("kind", COMPOSERS)
def test_generated_mail_has_lines_that_every_host_takes_and_one_message_id(
    kind: str, message_id: str, subject: str
) -> None:
    content = COMPOSERS[kind](subject, message_id).content
    header_section = content.partition(b"\r\n\r\n")[0]
    ids = re.findall(rb"(?im)^message-id:[ \t]*(?:\r\n[ \t]+)?(.*?)\r$", header_section + b"\r\n")

    assert content.count(b"\r\n") == content.count(b"\n") == content.count(b"\r")
    assert all(len(line) <= 998 for line in content.split(b"\r\n"))
    assert 1 == len(ids)
    assert re.fullmatch(rb"<[^<>@\s]+@[^<>@\s]+>", ids[0])


@pytest.mark.parametrize("kind", COMPOSERS)
@pytest.mark.parametrize("message_id", MESSAGE_IDS)
def test_what_generated_mail_refers_to_is_a_message_id_or_nothing(kind: str, message_id: str) -> None:
    message = message_from_bytes(COMPOSERS[kind]("hello", message_id).content, policy=default)

    for name in ("In-Reply-To", "References"):
        assert message.get(name) in (None, "<1@example.net>")
    assert (message_id == "<1@example.net>") == ("In-Reply-To" in message)
