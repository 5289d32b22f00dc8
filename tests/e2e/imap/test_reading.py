"""
Mail is read by IMAP with Python's own client: logging in, mailboxes, messages, flags, and what another session does.
"""

import imaplib
from collections.abc import Callable

import pytest

from tests.e2e.imap.conftest import ALICE, BOB, HOST, PASSWORD, Reading, message, ok

Start = Callable[..., Reading]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_mail_is_read_and_marked(start_reading: Start, tls: str) -> None:
    reading = start_reading()
    for number in range(3):
        reading.put(f"{number}.a", message(number))
    with reading.client(tls=tls) as imap:
        assert [b"3"] == ok(imap.select("INBOX"))
        _, content = ok(imap.fetch("2", "(BODY.PEEK[])"))[0]
        assert message(1).replace(b"\n", b"\r\n") == content
        assert b"\\Flagged" in ok(imap.store("2", "+FLAGS", "(\\Flagged)"))[0]
        assert b"\\Flagged" in ok(imap.fetch("2", "(FLAGS)"))[0]
    assert any("F" in file.name.partition(":2,")[2] for file in reading.accounts.mailbox(ALICE).glob("cur/*"))
    reading.server.wait_event("connect", listener="imaps" if tls == "implicit" else "imap", end="quit")


def test_a_wrong_password_is_refused(start_reading: Start) -> None:
    reading = start_reading()
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"), reading.client(password="wrong"):
        pass
    reading.server.wait_event("auth", mechanism="LOGIN command", outcome="failed")


@pytest.mark.parametrize("mechanism", ["PLAIN"])
def test_authenticate(start_reading: Start, mechanism: str) -> None:
    reading = start_reading()
    imap = imaplib.IMAP4_SSL(HOST, reading.port(), ssl_context=reading.context(), timeout=20)
    ok(imap.authenticate(mechanism, lambda _: f"\0{ALICE}\0{PASSWORD}".encode()))
    ok(imap.select())
    assert "BYE" == imap.logout()[0]


def test_nobody_logs_in_in_the_clear(start_reading: Start) -> None:
    reading = start_reading(auth={"in_the_clear": "never"})
    imap = imaplib.IMAP4(HOST, reading.port("starttls"), timeout=20)
    assert "LOGINDISABLED" in imap.capabilities
    with pytest.raises(imaplib.IMAP4.error, match=r"PRIVACYREQUIRED|LOGIN"):
        imap.login(ALICE, PASSWORD)
    imap.logout()


def test_mailboxes_are_made_filled_and_removed(start_reading: Start) -> None:
    reading = start_reading()
    reading.put("0.a", message(0))
    with reading.client() as imap:
        ok(imap.create("Archive/2026"))
        ok(
            imap.append(
                "Archive/2026", "(\\Seen)", '"01-Nov-2026 10:00:00 +0000"', message(7).replace(b"\n", b"\r\n")
            )
        )
        ok(imap.select("INBOX"))
        ok(imap.copy("1", "Archive/2026"))
        assert b"2" in ok(imap.status("Archive/2026", "(MESSAGES UNSEEN)"))[0].split(b"MESSAGES ")[1]
        ok(imap.store("1", "+FLAGS", "(\\Deleted)"))
        assert [b"1"] == ok(imap.expunge())
        assert [b"0"] == ok(imap.select("INBOX"))
        ok(imap.delete("Archive/2026"))


def test_accounts_do_not_see_each_other(start_reading: Start) -> None:
    reading = start_reading()
    reading.put("0.a", message(0))
    with reading.client(BOB) as imap:
        assert [b"0"] == ok(imap.select("INBOX"))


def test_a_session_too_many_of_an_account_is_refused(start_reading: Start) -> None:
    reading = start_reading(imap={"sessions_per_account_max": 1})
    with reading.client() as imap:
        ok(imap.select())
        with pytest.raises(imaplib.IMAP4.error, match="LIMIT"), reading.client():
            pass
        with reading.client(BOB) as other:
            ok(other.select())
    with reading.client() as imap:
        ok(imap.select())


def test_a_large_message_goes_in_and_out(start_reading: Start) -> None:
    reading = start_reading()
    content = message(1, octets=3_000_000).replace(b"\n", b"\r\n")
    with reading.client() as imap:
        ok(imap.append("INBOX", None, None, content))
        ok(imap.select())
        assert content == ok(imap.fetch("1", "(RFC822)"))[0][1]
