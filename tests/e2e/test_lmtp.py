"""
LMTP both ways (RFC 2033): another server delivers into us, we deliver into another mail store.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.wire import Wire
from tests.partners.accounts import Accounts
from tests.partners.cyrus import Cyrus
from tests.partners.dovecot import Dovecot
from tests.partners.postfix import Postfix
from tests.partners.pymta import Pymta, next_hop
from tests.partners.smtp_tools import smtp_source

CONTENT = b"From: author@example.net\r\nSubject: hello\r\n\r\nhello\r\n"
ANN, BOB = "ann@example.test", "bob@example.test"
LMTP = {"name": "lmtp", "role": "lmtp"}


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    made = Accounts(tmp_path / "pymta-0" / "data")
    made.add(ANN, BOB)
    return made


def test_each_recipient_has_a_reply_after_the_content(
    start_pymta: Callable[..., Pymta], accounts: Accounts
) -> None:
    server = start_pymta(listeners=[LMTP])

    with Wire(server.ports["lmtp"], hello="") as client:
        assert 500 == client.command("EHLO client.example.net")[0]
        assert 250 == client.command("LHLO client.example.net")[0]
        assert 250 == client.command("MAIL FROM:<author@example.net>")[0]
        assert 250 == client.command(f"RCPT TO:<{ANN}>")[0]
        assert 550 == client.command("RCPT TO:<nobody@example.test>")[0]
        assert 550 == client.command("RCPT TO:<reader@example.org>")[0]
        assert 250 == client.command(f"RCPT TO:<{BOB}>")[0]
        assert 354 == client.command("DATA")[0]
        client.send(CONTENT + b".\r\n")
        assert [250, 250] == [client.reply()[0], client.reply()[0]]
        assert 221 == client.command("QUIT")[0]

    (message,) = accounts.wait(ANN)
    assert b" with LMTP\n\tid " in message
    accounts.wait(BOB)


def test_postfix_delivers_into_us(
    start_pymta: Callable[..., Pymta], start_postfix: Callable[..., Postfix], accounts: Accounts
) -> None:
    """
    Postfix as the host in front: what exists arrives, what does not is refused to it and bounces there.
    """
    server = start_pymta(listeners=[LMTP])
    postfix = start_postfix(Postfix, default_transport=f"lmtp:inet:127.0.0.1:{server.ports['lmtp']}")

    with Wire(postfix.port) as client:
        client.envelope(ANN, BOB, "nobody@example.test", parameters="BODY=8BITMIME")
        assert 250 == client.data(CONTENT)[0]

    (message,) = accounts.wait(ANN)
    assert message.startswith(b"Return-Path: <author@example.net>\nDelivered-To: ann@example.test\n")
    assert message.endswith(b"\n\nhello\n")
    accounts.wait(BOB)
    postfix.wait_log(r"to=<ann@example\.test>.*dsn=2\.0\.0, status=sent \(250 2\.0\.0 queued as")
    postfix.wait_log(r"to=<nobody@example\.test>.*dsn=5\.1\.1, status=bounced")


LARGE = b"Subject: large\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 300


@pytest.mark.parametrize(
    ("over_quota", "code"),
    [("refuse", 552), ("defer", 452)],
)
def test_who_has_no_room_hears_it_alone(
    start_pymta: Callable[..., Pymta], accounts: Accounts, over_quota: str, code: int
) -> None:
    """
    RFC 2033 §4.2: the client did not declare a size, so only the end of data tells; the others get the message.
    """
    accounts.change(BOB, quota_octets=10_000)
    server = start_pymta(listeners=[LMTP], mailboxes={"over_quota": over_quota})

    with Wire(server.ports["lmtp"], hello="") as client:
        assert 250 == client.command("LHLO client.example.net")[0]
        assert 250 == client.command("MAIL FROM:<author@example.net>")[0]
        for address in (BOB, ANN, f"bob+detail{ANN[3:]}"):
            assert 250 == client.command(f"RCPT TO:<{address}>")[0]
        assert 354 == client.command("DATA")[0]
        client.send(LARGE + b".\r\n")
        replies = [client.reply() for _ in range(3)]
        assert [code, 250, code] == [said[0] for said in replies]
        assert 250 == client.command("MAIL FROM:<author@example.net>")[0]
        assert 250 == client.command(f"RCPT TO:<{BOB}>")[0]
        assert 354 == client.command("DATA")[0]
        client.send(LARGE + b".\r\n")
        assert code == client.reply()[0]

    accounts.wait(ANN)
    server.wait_queue_empty()
    assert [] == accounts.messages(BOB)
    refusals = server.wait_events(3, "refuse", stage="message", cause="over quota")
    assert [BOB, f"bob+detail{ANN[3:]}"] == [event["forward_path"] for event in refusals[:2]]
    assert 1 == len(server.events("accept"))


def test_postfix_bounces_for_whom_there_is_no_room(
    start_pymta: Callable[..., Pymta], start_postfix: Callable[..., Postfix], accounts: Accounts
) -> None:
    accounts.change(BOB, quota_octets=10_000)
    server = start_pymta(listeners=[LMTP])
    postfix = start_postfix(
        Postfix,
        default_transport=f"lmtp:inet:127.0.0.1:{server.ports['lmtp']}",
        lmtp_discard_lhlo_keywords="size",
        lmtp_destination_recipient_limit="10",
    )

    with Wire(postfix.port) as client:
        client.envelope(BOB, ANN)
        assert 250 == client.data(LARGE)[0]

    accounts.wait(ANN)
    postfix.wait_log(r"to=<ann@example\.test>.*dsn=2\.0\.0, status=sent \(250 2\.0\.0 queued as")
    postfix.wait_log(r"to=<bob@example\.test>.*dsn=5\.2\.2, status=bounced .*mailbox full.*end of DATA")
    assert [] == accounts.messages(BOB)


def test_we_deliver_into_dovecot(start_pymta: Callable[..., Pymta]) -> None:
    """
    Each recipient has its own outcome: who does not exist there is reported, the others get it.
    """
    with Dovecot(ANN, BOB) as dovecot:
        server = start_pymta(
            routes=[
                next_hop(dovecot.port, "example.test", transport="lmtp"),
                {"domain": "*", "transport": "discard"},
            ]
        )

        with server.client() as client:
            client.sendmail("author@example.net", [ANN, "nobody@example.test", BOB], CONTENT)

        (message,) = dovecot.wait_messages(ANN)
        assert message.endswith(b"\n\nhello\n")
        dovecot.wait_messages(BOB)
        server.wait_event("attempt", forward_path="nobody@example.test", outcome="failed")
        server.wait_event("done", delivered=2, failed=1)


def test_we_deliver_into_cyrus(start_pymta: Callable[..., Pymta]) -> None:
    """
    The store that LMTP came from: each recipient has its own outcome, at RCPT and after the content, octets stay as they are.
    """
    if os.geteuid() != 0 or not Cyrus.is_installed():
        pytest.skip("only root may start Cyrus, where there is one")
    dotted = CONTENT + b".\r\n..dots\r\nlast\r\n"
    no_field = b"From: author@example.net\r\nno field\r\n\r\nhello\r\n"
    with Cyrus(ANN, BOB) as cyrus:
        server = start_pymta(
            routes=[
                next_hop(cyrus.port, "example.test", transport="lmtp"),
                {"domain": "*", "transport": "discard"},
            ]
        )

        with server.client() as client:
            client.sendmail("author@example.net", [ANN, "nobody@example.test", BOB], dotted)
            server.wait_event("done", delivered=2, failed=1)
            client.sendmail("author@example.net", [ANN, BOB], no_field)
            server.wait_event("done", failed=2)

        for address in (ANN, BOB):
            (message,) = cyrus.wait_messages(address)
            assert message.startswith(b"Return-Path: <author@example.net>\r\n")
            assert message.endswith(dotted[dotted.index(b"\r\n\r\n") :])
        unknown = server.wait_event("attempt", forward_path="nobody@example.test")
        assert ("failed", "550 5.1.1") == (unknown["outcome"], unknown["reply"][:9])
        refused = [event["reply"] for event in server.events("attempt", outcome="failed")]
        assert 2 == sum("invalid header" in reply for reply in refused)


def test_a_route_by_name_goes_before_the_directory(
    start_pymta: Callable[..., Pymta], accounts: Accounts
) -> None:
    """
    A domain of the directory whose mail a [[routes]] table gives to Dovecot: RCPT knows who exists, Dovecot keeps it.
    """
    with Dovecot(ANN) as dovecot:
        server = start_pymta(routes=[next_hop(dovecot.port, "example.test", transport="lmtp")])

        with server.client() as client:
            client.sendmail("author@example.net", [ANN], CONTENT)

        dovecot.wait_messages(ANN)
        assert [] == accounts.messages(ANN)


def test_five_hundred_messages_from_smtp_source_arrive_once(
    start_pymta: Callable[..., Pymta], start_postfix: Callable[..., Postfix], accounts: Accounts
) -> None:
    """Postfix' load tool speaks LMTP too."""

    server = start_pymta(listeners=[LMTP])

    smtp_source(server.ports["lmtp"], 500, "-d", "-L", sessions=20, octets=2048, forward_path=ANN)

    server.wait_events(500, "done", delivered=1)
    assert 500 == len(accounts.messages(ANN))
