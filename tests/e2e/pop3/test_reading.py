"""
People read their mail by POP3: what is in the Maildir is what they get, only QUIT deletes, and one reads at a time.
"""

import poplib
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.e2e.pop3.conftest import ALICE, BOB, PASSWORD, Reading
from tests.partners.waiting import wait_until

MESSAGE = b"From: a@example.net\nSubject: hello\n\n.dots\n..\nlast\n"


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_what_was_sent_is_read(start_reading: Callable[..., Reading], tls: str) -> None:
    reading = start_reading()
    with reading.server.client() as client:
        client.sendmail("a@example.net", [ALICE], MESSAGE.decode())
    reading.accounts.wait(ALICE)

    with reading.client(tls=tls) as pop:
        count, octets = pop.stat()
        reply, lines, _ = pop.retr(1)

        assert 1 == count
        assert b"+OK %d octets" % octets == reply
        assert octets == sum(len(line) + 2 for line in lines)
        assert MESSAGE.splitlines() == lines[lines.index(b"From: a@example.net") :]
        assert b"Return-Path: <a@example.net>" == lines[0]
        pop.quit()
    event = reading.server.wait_events(1, "connect", account=ALICE)[0]
    assert (1, 0, "quit") == (event.get("retrieved"), event.get("deleted", 0), event["end"])


def test_only_quit_deletes(start_reading: Callable[..., Reading]) -> None:
    reading = start_reading()
    for number in range(3):
        reading.put(f"{number}.a", MESSAGE)
    with reading.client() as pop:
        pop.dele(1)
        pop.dele(2)
        pop.rset()
        pop.dele(2)
        assert 2 == pop.stat()[0]
        with pytest.raises(poplib.error_proto, match="no such message"):
            pop.retr(2)
    reading.server.wait_events(1, "connect", account=ALICE, end="closed")
    assert ["0.a", "1.a", "2.a"] == reading.names()

    with reading.client() as pop:
        pop.dele(2)
        pop.quit()
        assert ["0.a", "2.a"] == reading.names()
    assert 1 == reading.server.wait_events(1, "connect", account=ALICE, end="quit")[0]["deleted"]


def test_one_reads_at_a_time_and_mail_comes_in_all_the_same(start_reading: Callable[..., Reading]) -> None:
    reading = start_reading()
    with reading.client() as first:
        with pytest.raises(poplib.error_proto, match=r"\[IN-USE\]"), reading.client():
            pass
        with reading.client(BOB) as other:
            assert (0, 0) == other.stat()
        with reading.server.client() as client:
            client.sendmail("a@example.net", [ALICE], MESSAGE.decode())
        reading.accounts.wait(ALICE)
        assert (0, 0) == first.stat()
        first.quit()
    with reading.client() as pop:
        assert 1 == pop.stat()[0]


def test_unique_ids_stay_while_other_programs_change_flags(start_reading: Callable[..., Reading]) -> None:
    reading = start_reading()
    reading.put("1764061234.M1P2Q3.host,S=50,W=56", MESSAGE)
    with reading.client() as pop:
        before = pop.uidl()[1]
        inbox = reading.accounts.mailbox(ALICE)
        (inbox / "new" / reading.names()[0]).rename(inbox / "cur" / (reading.names()[0] + ":2,S"))
        assert MESSAGE.splitlines() == pop.retr(1)[1]
        assert [b"From: a@example.net", b"Subject: hello", b"", b".dots"] == pop.top(1, 1)[1]
        pop.quit()
    with reading.client() as pop:
        assert [b"1 1764061234.M1P2Q3.host"] == before == pop.uidl()[1]


def test_a_message_that_is_gone_is_an_error_and_not_the_end(start_reading: Callable[..., Reading]) -> None:
    reading = start_reading()
    reading.put("1.a", MESSAGE)
    reading.put("2.a", MESSAGE)
    with reading.client() as pop:
        (reading.accounts.mailbox(ALICE) / "new" / "1.a").unlink()
        with pytest.raises(poplib.error_proto, match="gone"):
            pop.retr(1)
        assert MESSAGE.splitlines() == pop.retr(2)[1]
        pop.dele(1)
        pop.dele(2)
        pop.quit()
    assert [] == reading.names()


def test_a_large_message_arrives_whole(start_reading: Callable[..., Reading]) -> None:
    reading = start_reading()
    content = b"Subject: large\n\n" + b"".join(b".%07d %s\n" % (n, b"x" * 900) for n in range(12_000))
    reading.put("1.a", content)
    with reading.client(tls="implicit") as pop:
        assert content.splitlines() == pop.retr(1)[1]
        pop.quit()


def test_who_reads_slowly_costs_little_memory(start_reading: Callable[..., Reading]) -> None:
    """
    A hundred times RETR of 8 MB in one packet, and nobody who reads it.
    """
    reading = start_reading(auth={"in_the_clear": "loopback"})
    reading.put("1.a", b"Subject: large\n\n" + b"x" * 70 + (b"y" * 75 + b"\n") * 110_000)
    before = reading.server.memory_octets()
    with socket.create_connection(("127.0.0.1", reading.port("starttls")), timeout=20) as connection:
        login = f"USER {ALICE}\r\nPASS {PASSWORD}\r\n".encode()
        connection.sendall(login + b"RETR 1\r\n" * 100)
        said = b""
        while said.count(b"y") < 1_000_000:
            said += connection.recv(65536)
        assert reading.server.memory_octets() - before < 16 << 20
    reading.server.wait_events(1, "connect", account=ALICE, end="closed")


def test_no_password_in_the_clear(start_reading: Callable[..., Reading]) -> None:
    reading = start_reading(auth={"in_the_clear": "never"})
    pop = poplib.POP3("127.0.0.1", reading.port("starttls"), timeout=20)
    before = pop.capa()
    assert "USER" not in before
    assert "SASL" not in before
    with pytest.raises(poplib.error_proto, match="STLS"):
        pop.user(ALICE)
    context = ssl.create_default_context(cafile=str(reading.ca_file))
    context.check_hostname = False
    pop.stls(context)
    after = pop.capa()
    assert {"USER", "SASL", "TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "UTF8"} <= set(after)
    assert ["NEVER"] == after["EXPIRE"]
    assert not {"STLS", "LOGIN-DELAY"} & set(after)
    pop.user(ALICE)
    pop.pass_(PASSWORD)
    pop.quit()


def test_who_guesses_is_delayed_and_banned(start_reading: Callable[..., Reading]) -> None:
    reading = start_reading(auth={"failures_per_account_max": 2})
    for _ in range(2):
        with pytest.raises(poplib.error_proto, match=r"\[AUTH\]"), reading.client(password="wrong"):
            pass
    with pytest.raises(poplib.error_proto, match=r"\[SYS/TEMP\]"), reading.client():
        pass
    assert ["failed", "failed", "banned"] == [
        event["outcome"] for event in reading.server.wait_events(3, "auth")
    ]


def test_a_login_too_soon_is_told_when_to_come(start_reading: Callable[..., Reading]) -> None:
    reading = start_reading(pop3={"login_delay_s": 600})
    with reading.client() as pop:
        assert ["600"] == pop.capa()["LOGIN-DELAY"]
        pop.quit()
    with pytest.raises(poplib.error_proto, match=r"\[LOGIN-DELAY\]"), reading.client():
        pass


def test_workers_share_the_lock(start_reading: Callable[..., Reading]) -> None:
    """
    Whichever worker a client meets: one reads at a time.
    """
    reading = start_reading(server={"hostname": "mail.example.test", "data_folder": "data", "workers": 2})
    with reading.client():
        for _ in range(6):
            with pytest.raises(poplib.error_proto, match=r"\[IN-USE\]"), reading.client():
                pass


@pytest.mark.parametrize("messages_gone", [1, 40, 150])
def test_a_kill_within_quit_removes_nothing_else(
    start_reading: Callable[..., Reading], messages_gone: int
) -> None:
    """
    kill -9 when some of 300 messages are removed: the others are whole, and nobody holds the maildrop.
    """
    reading = start_reading(auth={"in_the_clear": "loopback"})
    for number in range(400):
        reading.put(f"{number}.a", MESSAGE)
    with socket.create_connection(("127.0.0.1", reading.port("starttls")), timeout=20) as connection:
        commands = [
            f"USER {ALICE}",
            f"PASS {PASSWORD}",
            *(f"DELE {number}" for number in range(1, 301)),
            "QUIT",
        ]
        connection.sendall("".join(f"{command}\r\n" for command in commands).encode())
        wait_until(lambda: len(reading.names()) <= 400 - messages_gone, "some are gone", limit_s=20)
        reading.server.kill()
    left = set(reading.names())
    assert {f"{number}.a" for number in range(300, 400)} <= left
    assert {MESSAGE} == {(reading.accounts.mailbox(ALICE) / "new" / name).read_bytes() for name in left}

    reading.server.start()
    with reading.client() as pop:
        assert len(left) == pop.stat()[0]
        pop.quit()


def test_a_reload_keeps_sessions_and_changes_the_next(start_reading: Callable[..., Reading]) -> None:
    reading = start_reading()
    reading.put("1.a", MESSAGE)
    with reading.client() as pop:
        reading.server.reload()
        assert MESSAGE.splitlines() == pop.retr(1)[1]
        pop.dele(1)
        pop.quit()
    assert [] == reading.names()


def test_who_says_nothing_before_a_login_is_sent_away(start_reading: Callable[..., Reading]) -> None:
    """
    Without a word: RFC 1939 §3.
    """
    reading = start_reading(pop3={"login_s_max": 10})
    with socket.create_connection(("127.0.0.1", reading.port("starttls")), timeout=30) as connection:
        assert connection.recv(100).startswith(b"+OK")
        with suppress(ConnectionResetError):
            assert b"" == connection.recv(100)
    assert reading.server.wait_events(1, "connect", end="timed_out")
