"""Who is answered, to what, how often, and with what: RFC 3834 §2-4, RFC 5230 §4."""

from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from pymta._core import Envelope
from pymta.directory.vacation import DAY_MS, TOLD_MAX, Vacation, VacationStore, VacationUnusable
from pymta.report import ReportSettings
from pymta.report.vacation import compose_vacation, why_not_answered

NOW_MS = 1_795_000_000_000
ANN = "ann@example.test"
AUTHOR = "author@example.net"
AWAY = Vacation(text="Back on Monday.\nÄnn\n")
SETTINGS = ReportSettings(reporting_mta="mail.example.test")


class Mail:
    """What is looked at of a message."""

    id = "1b"

    def __init__(self, header_section: str = f"To: Ann <{ANN}>\n", reverse_path: str | None = AUTHOR) -> None:
        self.envelope = Envelope(reverse_path, [ANN])
        self._fields = [line.partition(": ") for line in header_section.splitlines()]

    def fields(self, name: str) -> list[bytes]:
        return [value.encode() for found, _, value in self._fields if found.lower() == name.lower()]


@pytest.mark.parametrize(
    "header_section",
    [
        f"To: {ANN}\n",
        f"Cc: other@example.org, Ann <{ANN.upper()}>\n",
        f"Resent-To: {ANN}\n",
        f"To: {ANN}\nAuto-Submitted: no\n",
        f"To: {ANN}\nPrecedence: first-class\n",
        f"To: {ANN}\nX-Auto-Response-Suppress: DR, NDR\n",
    ],
)
def test_a_person_who_writes_to_the_account_is_answered(header_section: str) -> None:
    assert why_not_answered(Mail(header_section), {ANN}) is None


@pytest.mark.parametrize(
    ("header_section", "why"),
    [
        ("Subject: bcc\n", "To or Cc"),
        ("To: other@example.org\n", "To or Cc"),
        (f"To: {ANN}\nAuto-Submitted: auto-replied\n", "Auto-Submitted"),
        (f"To: {ANN}\nAuto-Submitted: auto-generated; owner-email=x\n", "Auto-Submitted"),
        (f"To: {ANN}\nList-Id: <x.example.org>\n", "list"),
        (f"To: {ANN}\nList-Unsubscribe: <mailto:x@example.org>\n", "list"),
        (f"To: {ANN}\nPrecedence: bulk\n", "Precedence"),
        (f"To: {ANN}\nPrecedence: List\n", "Precedence"),
        (f"To: {ANN}\nX-Auto-Response-Suppress: OOF, AutoReply\n", "Suppress"),
        (f"To: {'x' * 70_000}\n", "To or Cc"),
        ("To: \x00\x00<@>,,;:<<\n", "To or Cc"),
    ],
)
def test_lists_programs_and_mail_that_is_not_for_it_are_not(header_section: str, why: str) -> None:
    assert why in str(why_not_answered(Mail(header_section), {ANN}))


@pytest.mark.parametrize(
    "reverse_path",
    [
        None,
        ANN,
        "MAILER-DAEMON@example.net",
        "owner-list@example.net",
        "list-request@example.net",
        "list-bounces+ann=example.test@example.net",
        "no-reply@example.net",
        "donotreply@example.net",
        "listserv@example.net",
        "SRS0=AAAA=AA=example.org=x@example.net",
    ],
)
def test_a_reverse_path_of_nobody_is_not_answered(reverse_path: str | None) -> None:
    assert why_not_answered(Mail(reverse_path=reverse_path), {ANN}) is not None


def test_the_answer_is_one_that_nothing_answers() -> None:
    seen = Mail(f"To: {ANN}\nSubject: Meeting\nMessage-ID: <1@example.net>\n")

    injection = compose_vacation(seen, ANN, AWAY, settings=SETTINGS, now_ms=NOW_MS)

    assert injection.envelope.reverse_path is None
    recipient = injection.envelope.recipient(0)
    assert (AUTHOR, "NEVER") == (str(recipient.forward_path), recipient.notify)
    answer = message_from_bytes(injection.content, policy=default)
    assert (ANN, AUTHOR, "Auto: Meeting") == (answer["From"], answer["To"], answer["Subject"])
    assert answer["Auto-Submitted"].startswith("auto-replied")
    assert ("<1@example.net>", "<1@example.net>") == (answer["In-Reply-To"], answer["References"])
    assert AWAY.text == answer.get_content().replace("\r\n", "\n")
    assert b"\n" not in injection.content.replace(b"\r\n", b"")
    assert (
        why_not_answered(Mail("\n".join(f"{k}: {v}" for k, v in answer.items())), {AUTHOR, ANN}) is not None
    )


def test_what_the_author_wrote_cannot_change_the_answer() -> None:
    """Attack: header injection through Subject and Message-ID (CVE-2024-21742)."""
    seen = Mail(f"To: {ANN}\n")
    seen._fields += [
        ("Subject", ": ", "a\r\nBcc: victim@example.org\x1b" + "x" * 500),
        ("Message-ID", ": ", "<1@x>\r\nBcc: v@w"),
    ]

    content = compose_vacation(seen, ANN, AWAY, settings=SETTINGS, now_ms=NOW_MS).content

    answer = message_from_bytes(content, policy=default)
    assert answer["Bcc"] is None
    assert answer["In-Reply-To"] is None
    assert len(answer["Subject"]) < 200


def test_somebody_is_told_once_a_period_and_anew_where_the_text_is_another(tmp_path: Path) -> None:
    store = VacationStore(tmp_path / "vacation.db")
    other = Vacation(text="other")

    assert store.told(ANN, AUTHOR, AWAY, NOW_MS)
    assert not store.told(ANN, AUTHOR.upper(), AWAY, NOW_MS + 7 * DAY_MS - 1)
    assert store.told("bob@example.test", AUTHOR, AWAY, NOW_MS)
    assert store.told(ANN, AUTHOR, other, NOW_MS)
    assert store.told(ANN, AUTHOR, AWAY, NOW_MS + 7 * DAY_MS)
    store.close()


def test_who_is_told_is_bounded(tmp_path: Path) -> None:
    store = VacationStore(tmp_path / "vacation.db")
    with store._connection:
        for number in range(TOLD_MAX):
            store._connection.execute(
                "INSERT INTO told VALUES (?, ?, 'x', ?)", (ANN, f"a{number}@example.net", NOW_MS + DAY_MS)
            )

    assert not store.told(ANN, AUTHOR, AWAY, NOW_MS)
    assert store.told(ANN, AUTHOR, AWAY, NOW_MS + DAY_MS)
    store.close()


def test_another_process_sees_who_is_away(tmp_path: Path) -> None:
    now_s = 0.0
    server = VacationStore(tmp_path / "vacation.db", clock_s=lambda: now_s)
    assert server.find(ANN, NOW_MS) is None
    command = VacationStore(tmp_path / "vacation.db")
    command.set(ANN, Vacation(text="x", from_ms=NOW_MS, until_ms=NOW_MS + DAY_MS))

    now_s = 1.0
    assert server.find(ANN, NOW_MS - 1) is None
    assert server.find(ANN, NOW_MS) is not None
    assert server.find(ANN, NOW_MS + DAY_MS) is None
    assert command.remove(ANN)
    now_s = 2.0
    assert server.find(ANN, NOW_MS) is None
    assert not command.remove(ANN)
    server.close()
    command.close()


@pytest.mark.parametrize(
    "options", [{"days": 0}, {"days": 32}, {"text": " "}, {"text": "x" * 20_000}, {"subject": "a\nb"}]
)
def test_what_cannot_be_said_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(VacationUnusable, match="expected"):
        Vacation(**{"text": "x", **options})  # type: ignore[arg-type]  # that is the test
