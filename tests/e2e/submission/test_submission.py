"""
What happens to mail that accounts submit: addresses, what is put in and taken out, limits, a stolen account.
"""

import smtplib
from collections.abc import Callable

import pytest

from tests.e2e.submission.conftest import PASSWORD, House
from tests.e2e.submission.test_login import secured

ALICE = "alice@example.test"
FAR = "reader@far.example"


def logged_in(house: House, account: str = ALICE) -> smtplib.SMTP:
    client = secured(house, "submissions")
    client.login(account, PASSWORD)
    return client


def reply_to(client: smtplib.SMTP, content: str, *paths: str, reverse_path: str = ALICE) -> tuple[int, bytes]:
    """The last reply of a transaction."""
    for command in (f"MAIL FROM:<{reverse_path}>", *(f"RCPT TO:<{path}>" for path in paths or (FAR,))):
        status, said = client.docmd(command)
        if status >= 300:
            client.rset()
            return status, said
    client.docmd("DATA")
    client.send(content.replace("\n", "\r\n").encode() + b"\r\n.\r\n")
    return client.getreply()


def test_an_account_uses_its_own_addresses(start_house: Callable[..., House]) -> None:
    house = start_house()
    house.editor.add_alias("info@example.test", [ALICE])
    not_yours = (550, b"5.7.1 that is not an address of yours")
    with logged_in(house) as client:
        assert not_yours == reply_to(client, "", reverse_path="bob@example.test")
        assert not_yours == reply_to(client, "", reverse_path="alice@far.example")
        wrong = "From: bob@example.test\nSubject: x\n\nx"
        assert (550, b"5.7.1 the author is not an address of yours") == reply_to(client, wrong)
        assert 250 == reply_to(client, "From: Alice+x@EXAMPLE.test\n\nx", reverse_path="info@example.test")[0]
        assert 250 == reply_to(client, "From: alice@example.test\n\nx", reverse_path="")[0]


def test_a_reload_lets_accounts_use_other_addresses(start_house: Callable[..., House]) -> None:
    house = start_house(accounts={"own_addresses": "reverse_path"})
    with logged_in(house) as client:
        assert 250 == reply_to(client, "From: ceo@far.example\n\nx")[0]
    house.server.configure(submission={"own_addresses": "anything"})
    house.server.reload()
    with logged_in(house) as client:
        assert 250 == reply_to(client, "From: ceo@far.example\n\nx", reverse_path="ceo@far.example")[0]


def test_what_is_missing_is_put_in_and_blind_copies_are_taken_out(start_house: Callable[..., House]) -> None:
    house = start_house()
    with logged_in(house) as client:
        bare = (
            "Subject: x\nBcc: secret@far.example\nbcc: more@far.example\nResent-Bcc: third@far.example\n\nx"
        )
        assert 250 == reply_to(client, bare)[0]
        whole = "From: alice@example.test\nDate: Tue, 1 Jul 2003 10:52:37 +0200\nMessage-ID: <mine@x>\n\nx"
        assert 250 == reply_to(client, whole)[0]
    first, second = (message.content.decode() for message in house.sink.wait(2))

    assert "Bcc" not in first
    assert "bcc" not in first
    assert "secret@" not in first
    for name in ("\r\nFrom: alice@example.test\r\n", "\r\nDate: ", "\r\nMessage-ID: <"):
        assert 1 == first.count(name)
    assert "@mail.example.test>" in first
    assert "\r\nDate: Tue, 1 Jul 2003 10:52:37 +0200\r\n" in second
    assert 1 == second.count("Message-ID:") == second.count("Date:") == second.count("From:")


@pytest.mark.parametrize("hides", [True, False])
def test_where_somebody_writes_from_can_be_nobody_s_business(
    start_house: Callable[..., House], hides: bool
) -> None:
    house = start_house(accounts={"hide_client": hides})
    with logged_in(house) as client:
        assert 250 == reply_to(client, "From: alice@example.test\n\nx")[0]
    received = house.sink.wait(1)[0].content.decode().split("Date:")[0]

    assert hides is ("127.0.0.1" not in received)
    assert hides is ("c.example" not in received)
    assert "with ESMTPSA" in received


def test_an_unknown_local_recipient_is_refused_at_once(start_house: Callable[..., House]) -> None:
    """
    Not bounced later: the author's program shows it while the message is still open.
    """
    house = start_house()
    house.editor.set_account("bob@example.test", receives_mail=False)
    with logged_in(house) as client:
        assert (550, b"5.1.1 no such address here") == reply_to(client, "", "nobody@example.test")
        assert (550, b"5.2.1 address disabled") == reply_to(client, "", "bob@example.test")


def test_a_day_has_an_end(start_house: Callable[..., House]) -> None:
    house = start_house(accounts={"messages_per_day_max": 3, "recipients_per_day_max": 5})
    too_much = (450, b"4.7.1 you have sent too much today, try again later")
    with logged_in(house) as client:
        assert too_much == reply_to(client, "", *(f"r{n}@far.example" for n in range(6)))
        assert 250 == reply_to(client, "x: y\n\nx", *(f"r{n}@far.example" for n in range(4)))[0]
        assert too_much == reply_to(client, "", FAR, FAR)
    with logged_in(house) as client:
        assert 250 == reply_to(client, "x: y\n\nx")[0]
        assert too_much == reply_to(client, "", FAR)
    with logged_in(house, "bob@example.test") as client:
        assert 250 == reply_to(client, "x: y\n\nx", reverse_path="bob@example.test")[0]


BURST = """
from pymta.policy import *

def burst(session, burst):
    if burst.account.startswith("alice@") and burst.recipients < 8:
        return accept(reason="she writes a newsletter")
"""


def test_a_stolen_account_s_mail_is_held(start_house: Callable[..., House]) -> None:
    """
    Told 250, so that the thief learns nothing; on hold, so that nobody gets it; and the operator is told.
    """
    house = start_house(trouble_expected=True, accounts={"burst_recipients_max": 4}, policy=BURST)
    paths = [f"r{n}@far.example" for n in range(5)]
    with logged_in(house) as client:
        assert 250 == reply_to(client, "x: y\n\nfive, which the hook allows", *paths)[0]
        assert 250 == reply_to(client, "x: y\n\nten, which it does not", *paths)[0]
    with logged_in(house, "bob@example.test") as client:
        for _ in range(2):
            assert 250 == reply_to(client, "x: y\n\nx", *paths[:3], reverse_path="bob@example.test")[0]
    house.server.wait_events(2, "done")

    held = [row.reverse_path for row in house.server.queue(state="hold")]
    assert [ALICE, "bob@example.test"] == sorted(held)
    told = house.server.wait_events(2, "trouble")
    assert ["alice@example.test: 10 recipients in 600 s", "bob@example.test: 6 recipients in 600 s"] == [
        event["error"] for event in told
    ]
    assert 2 == len(house.sink.wait(2))


def test_a_full_mailbox_is_told_to_the_author(start_house: Callable[..., House]) -> None:
    """
    At RCPT, and by the size that the client declares: before the message is sent, and no bounce.
    """
    house = start_house()
    bob = "bob@example.test"
    house.editor.set_account(bob, quota_octets=3000)
    with logged_in(house) as client:
        assert 250 == reply_to(client, "x: y\n\n" + "x" * 70 * 20, bob)[0]
        house.server.wait_event("done", delivered=1)
        client.docmd(f"MAIL FROM:<{ALICE}> SIZE=5000")
        assert (552, b"5.2.2 mailbox full") == client.docmd(f"RCPT TO:<{bob}>")
        client.rset()
        client.docmd(f"MAIL FROM:<{ALICE}> SIZE=100")
        assert 250 == client.docmd(f"RCPT TO:<{bob}>")[0]
