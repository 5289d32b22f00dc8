"""
Mail for our own domains, all the way into the Maildir: mailboxes, details, aliases, groups, forwards, quota, loops.
"""

import os
import re
import smtplib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pymta.admin.control import Selection
from tests.e2e.our_sink import OurSink
from tests.e2e.wire import Wire
from tests.partners.accounts import Accounts
from tests.partners.dovecot import doveadm
from tests.partners.pymta import PYTHON, Pymta, next_hop
from tests.partners.waiting import wait_until

CONTENT = b"From: author@example.net\r\nSubject: hello\r\n\r\nhello\r\n.\r\n"
ANN, BOB = "ann@example.test", "bob@example.test"


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    made = Accounts(tmp_path / "pymta-0" / "data")
    made.add(ANN, BOB)
    return made


def send(
    server: Pymta, *forward_paths: str, reverse_path: str = "author@example.net", content: bytes = CONTENT
) -> None:
    with server.client() as client:
        assert {} == client.sendmail(reverse_path, list(forward_paths), content)


def test_a_message_arrives_in_the_mailbox_with_its_fields(
    start_pymta: Callable[..., Pymta], accounts: Accounts
) -> None:
    server = start_pymta()

    send(server, "Ann@Example.Test")

    (message,) = accounts.wait(ANN)
    assert message.startswith(
        b"Return-Path: <author@example.net>\nDelivered-To: Ann@Example.Test\nReceived: from "
    )
    assert message.endswith(b"From: author@example.net\nSubject: hello\n\nhello\n.\n")
    server.wait_event("done", delivered=1)
    attempt = server.wait_event("attempt", outcome="delivered")
    assert ("local", "250 2.0.0 delivered to the mailbox") == (attempt["transport"], attempt["reply"])
    server.wait_queue_empty()


def test_local_and_remote_recipients_of_one_message_have_an_outcome_each(
    start_pymta: Callable[..., Pymta], accounts: Accounts, our_sink: OurSink
) -> None:
    server = start_pymta(routes=[next_hop(our_sink.port)])

    send(server, ANN, "reader@example.org", BOB)

    (kept,) = our_sink.wait(1)
    assert ["reader@example.org"] == kept.forward_paths
    assert not kept.content.startswith((b"Return-Path", b"Delivered-To"))
    accounts.wait(ANN)
    accounts.wait(BOB)
    server.wait_event("done", delivered=3)
    assert ["local", "local", "smtp"] == sorted(event["transport"] for event in server.events("attempt"))


def test_who_does_not_exist_is_refused_at_rcpt(start_pymta: Callable[..., Pymta], accounts: Accounts) -> None:
    accounts.change(BOB, receives_mail=False)
    server = start_pymta()

    with server.client() as client, pytest.raises(smtplib.SMTPRecipientsRefused) as refusal:
        client.sendmail("author@example.net", ["nobody@example.test", BOB], CONTENT)

    replies = refusal.value.recipients
    assert (550, b"5.1.1") == (replies["nobody@example.test"][0], replies["nobody@example.test"][1][:5])
    assert (550, b"5.2.1") == (replies[BOB][0], replies[BOB][1][:5])


def test_who_is_gone_when_the_message_is_delivered_is_reported(
    start_pymta: Callable[..., Pymta], accounts: Accounts, our_sink: OurSink
) -> None:
    """
    Between RCPT and delivery the account was closed: a DSN of failure, and the message leaves the queue.
    """
    server = start_pymta(
        routes=[next_hop(our_sink.port)],
        policy="from pymta.policy import hold\n\n\ndef message(session, message):\n    return hold() if message.field('Subject') == 'hello' else None\n",
    )
    send(server, BOB)
    (row,) = server.queue()
    accounts.change(BOB, receives_mail=False)
    server.control.act("release", Selection(spool_ids=(row.spool_id,)))

    (report,) = our_sink.wait(1)
    assert b"\r\nStatus: 5.2.1\r\n" in report.content
    server.wait_queue_empty()
    assert [] == accounts.messages(BOB)


@pytest.mark.parametrize(
    ("setting", "detail", "expected"),
    [
        ("inbox", "lists", None),
        ("existing", "lists", None),
        ("made", "lists", "lists"),
        ("made", "lists.pymta", "lists.pymta"),
        ("made", "../../x", None),
        ("made", "..", None),
        ("made", ".", None),
    ],
)
def test_a_detail_is_a_folder_only_where_that_is_wanted(
    start_pymta: Callable[..., Pymta], accounts: Accounts, setting: str, detail: str, expected: str | None
) -> None:
    server = start_pymta(mailboxes={"detail_folder": setting})

    send(server, f'"ann+{detail}"@example.test')

    accounts.wait(ANN, folder=expected)
    server.wait_event("done", delivered=1)
    found = {path.name for path in accounts.mailbox(ANN).iterdir()}
    assert {"tmp", "new", "cur"} | ({f".{expected}"} if expected else set()) == found
    assert {"ann"} == {path.name for path in accounts.mailbox(ANN).parent.iterdir()}


def test_an_existing_folder_takes_mail_for_its_detail(
    start_pymta: Callable[..., Pymta], accounts: Accounts
) -> None:
    for name in ("tmp", "new", "cur"):
        (accounts.mailbox(ANN, "lists") / name).mkdir(parents=True)
    server = start_pymta(mailboxes={"detail_folder": "existing"})

    send(server, "ann+lists@example.test")

    accounts.wait(ANN, folder="lists")


def test_an_alias_of_one_account_is_that_account(
    start_pymta: Callable[..., Pymta], accounts: Accounts
) -> None:
    accounts.alias("info@example.test", ANN)
    accounts.catch_all("example.test", BOB)
    server = start_pymta()

    send(server, "info@example.test", "whoever@example.test")

    (message,) = accounts.wait(ANN)
    assert b"\nDelivered-To: info@example.test\n" in message
    (message,) = accounts.wait(BOB)
    assert b"\nDelivered-To: whoever@example.test\n" in message
    server.wait_event("done", delivered=2)


def test_a_group_is_one_more_message_with_an_outcome_for_each_member(
    start_pymta: Callable[..., Pymta], accounts: Accounts, our_sink: OurSink
) -> None:
    """
    Accounts get it with the reverse-path as it was, other domains with one of ours that leads back.
    """
    accounts.alias("team@example.test", ANN, BOB, "out@example.org")
    server = start_pymta(routes=[next_hop(our_sink.port)])

    send(server, "team@example.test")

    for account in (ANN, BOB):
        (message,) = accounts.wait(account)
        assert message.startswith(
            f"Return-Path: <author@example.net>\nDelivered-To: {account}\nDelivered-To: team@example.test\n".encode()
        )
    (kept,) = our_sink.wait(1)
    assert ["out@example.org"] == kept.forward_paths
    assert kept.content.startswith(b"Delivered-To: team@example.test\r\n")
    reverse_path = str(kept.envelope.reverse_path)
    assert re.fullmatch(r"SRS0=[A-Z2-7]{6}=[A-Z2-7]{2}=example.net=author@example.test", reverse_path)
    server.wait_event("attempt", forward_path="team@example.test", outcome="delivered")
    server.wait_events(3, "done")

    # A bounce finds its way back to the author.
    send(server, reverse_path, reverse_path="", content=b"Subject: bounce\r\n\r\n")
    kept = our_sink.wait(2)[1]
    assert ["author@example.net"] == kept.forward_paths
    assert kept.envelope.reverse_path is None


def test_a_forged_way_back_is_refused(start_pymta: Callable[..., Pymta], accounts: Accounts) -> None:
    server = start_pymta()

    with server.client() as client, pytest.raises(smtplib.SMTPRecipientsRefused):
        client.sendmail("a@example.net", ["SRS0=AAAAAA=AA=example.net=victim@example.test"], CONTENT)


def test_who_forwards_and_keeps_a_copy_gets_the_copy(
    start_pymta: Callable[..., Pymta], accounts: Accounts, our_sink: OurSink
) -> None:
    accounts.alias(ANN, ANN, "copy@example.org")
    server = start_pymta(routes=[next_hop(our_sink.port)], forwarding={"srs": False})

    send(server, ANN)

    (kept,) = our_sink.wait(1)
    assert ("author@example.net", ["copy@example.org"]) == (
        str(kept.envelope.reverse_path),
        kept.forward_paths,
    )
    accounts.wait(ANN)
    server.wait_events(3, "done")
    assert 1 == len(accounts.messages(ANN)) == len(our_sink.messages)


def test_what_is_forwarded_and_comes_back_ends_as_a_loop(
    start_pymta: Callable[..., Pymta], accounts: Accounts, our_sink: OurSink
) -> None:
    accounts.alias("out@example.test", "away@example.org")
    server = start_pymta(routes=[next_hop(our_sink.port)])
    send(server, "out@example.test")
    (kept,) = our_sink.wait(1)

    send(server, "out@example.test", reverse_path=str(kept.envelope.reverse_path), content=kept.content)

    attempt = server.wait_event("attempt", outcome="failed")
    assert ("out@example.test", "554 5.4.6") == (attempt["forward_path"], attempt["reply"][:9])
    reports = [kept for kept in our_sink.wait(2) if kept.envelope.reverse_path is None]
    assert [["author@example.net"]] == [kept.forward_paths for kept in reports]


@pytest.mark.parametrize(
    ("setting", "outcome", "reply"), [("refuse", "failed", "552 5.2.2"), ("defer", "deferred", "452 4.2.2")]
)
def test_what_does_not_fit_is_refused_or_waits(
    start_pymta: Callable[..., Pymta],
    accounts: Accounts,
    our_sink: OurSink,
    setting: str,
    outcome: str,
    reply: str,
) -> None:
    accounts.change(ANN, quota_octets=2000)
    server = start_pymta(
        routes=[next_hop(our_sink.port)],
        mailboxes={"over_quota": setting},
        queue={"retry_s_min": 1, "retry_s_max": 1},
    )
    send(server, ANN)
    accounts.wait(ANN)

    with Wire(server.port) as client:  # without SIZE nobody can tell at RCPT that it will not fit
        client.envelope(ANN)
        assert 250 == client.data(CONTENT + (b"0" * 70 + b"\r\n") * 30)[0]

    attempt = server.wait_event("attempt", outcome=outcome)
    assert reply == attempt["reply"][:9]
    assert 1 == len(accounts.messages(ANN))
    if setting == "defer":
        accounts.change(ANN, quota_octets=1_000_000)
        accounts.wait(ANN, 2)
    else:
        assert b"\r\nStatus: 5.2.2\r\n" in our_sink.wait(1)[0].content


def test_a_thousand_recipients_of_one_message_each_get_it_once(
    start_pymta: Callable[..., Pymta], accounts: Accounts
) -> None:
    many = [f"user{number}@example.test" for number in range(100)]
    accounts.add(*many)
    server = start_pymta()

    send(server, *many)

    server.wait_event("done", delivered=100)
    assert [1] * 100 == [len(accounts.messages(address)) for address in many]


def test_a_folder_that_cannot_be_written_defers_and_tells_the_operator(
    start_pymta: Callable[..., Pymta], accounts: Accounts, tmp_path: Path
) -> None:
    """
    Attack: the mailbox is a symbolic link to somewhere else. Nothing is written there; once it is gone, mail arrives.
    """
    trap = tmp_path / "trap"
    for name in ("tmp", "new", "cur"):
        (trap / name).mkdir(parents=True)
    accounts.mailbox(ANN).parent.mkdir(parents=True)
    accounts.mailbox(ANN).symlink_to(trap)
    server = start_pymta(queue={"retry_s_min": 1, "retry_s_max": 1}, trouble_expected=True)

    send(server, ANN)

    attempt = server.wait_event("attempt", outcome="deferred")
    assert "451 4.3.0" == attempt["reply"][:9]
    assert str(tmp_path) not in attempt["reply"]
    server.wait_event("trouble", what="a mailbox cannot be written")
    assert [] == list(trap.glob("*/*"))
    accounts.mailbox(ANN).unlink()
    accounts.wait(ANN)
    assert [] == list(trap.glob("*/*"))


def test_who_is_away_answers_once_and_mail_is_delivered_all_the_same(
    start_pymta: Callable[..., Pymta], accounts: Accounts, our_sink: OurSink
) -> None:
    """
    Set by the command line while the server runs; the answer comes from the account with a null reverse-path.
    """
    server = start_pymta(routes=[next_hop(our_sink.port)])
    to_ann = b"To: ann@example.test\r\n" + CONTENT
    assert "ann@example.test is away until further notice\n" == vacation(
        server, "set", "Ann@Example.Test", "--days", "3", said="Back soon.\n"
    )
    wait_until(lambda: "is away" in vacation(server, "show", ANN), "it is set")

    send(server, ANN, content=to_ann)
    (answer,) = our_sink.wait(1)
    send(server, ANN, content=to_ann)
    send(server, ANN, content=b"List-Id: <list.example.net>\r\n" + to_ann, reverse_path="other@example.net")
    send(server, ANN, reverse_path="third@example.net")

    accounts.wait(ANN, 4)
    assert (None, ["author@example.net"]) == (answer.envelope.reverse_path, answer.forward_paths)
    assert b"\r\nSubject: Auto: hello\r\n" in answer.content
    assert b"\r\nAuto-Submitted: auto-replied" in answer.content
    assert answer.content.endswith(b"\r\n\r\nBack soon.\r\n")
    assert "ann@example.test is back\n" == vacation(server, "end", ANN)
    server.wait_queue_empty()
    assert 1 == len(our_sink.messages)
    assert 1 == len(server.events("report", action="vacation"))


def vacation(server: Pymta, *arguments: str, said: str = "") -> str:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pymta",
            "vacation",
            arguments[0],
            "--config",
            str(server.config_file),
            *arguments[1:],
        ],
        input=said,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PYTHON)},
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout


def test_a_number_of_messages_is_a_quota_that_dovecot_reads(
    start_pymta: Callable[..., Pymta], accounts: Accounts
) -> None:
    """
    Beside the octets, in `maildirsize`; whoever is full is refused at RCPT until there is room again.
    """
    accounts.change(ANN, quota_octets=1_000_000, quota_messages=2)
    server, ledger = start_pymta(), accounts.mailbox(ANN) / "maildirsize"
    for number in (1, 2):
        send(server, ANN)
        wait_until(lambda: counted(ledger) == number or None, "it is counted")  # noqa: B023 - asked at once

    with Wire(server.port) as client:
        assert 250 == client.command("MAIL FROM:<author@example.net>")[0]
        assert 552 == client.command(f"RCPT TO:<{ANN}>")[0]
    assert "1000000S,2C" == ledger.read_text().splitlines()[0]
    accounts.change(ANN, quota_messages=3)
    wait_until(lambda: send_refused(server) is None or None, "there is room")
    accounts.wait(ANN, 3)
    told = doveadm(
        accounts.mailbox(ANN),
        *("-o", "plugin/quota=maildir:User quota", "-o", "mail_plugins=quota"),
        *("-o", "plugin/quota_rule=*:bytes=1000000:messages=3", "quota", "get"),
    )
    assert re.search(r"MESSAGE\s+3\s+3\s+100", told), told


def counted(ledger: Path) -> int:
    """The messages of a `maildirsize`."""
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    return sum(int(line.split()[1]) for line in lines[1:])


def send_refused(server: Pymta) -> str | None:
    """Why a message to Ann is refused; None where it is taken."""
    try:
        send(server, ANN)
    except smtplib.SMTPRecipientsRefused as error:
        return str(error)
    return None
