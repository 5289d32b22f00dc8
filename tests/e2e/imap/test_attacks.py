"""
What strangers and accounts may try on this door (attacks.md, rows 3, 20, 24 and 26).
"""

import imaplib
import itertools
import socket
import ssl
from collections.abc import Callable
from contextlib import closing, suppress

import pytest

from tests.e2e.imap.conftest import ALICE, BOB, HOST, Reading, message, ok
from tests.e2e.imap.test_idle import Line

Start = Callable[..., Reading]

GROWTH_OCTETS_MAX = 24 << 20
"""Of the whole process, while 64 MiB are sent to it."""


@pytest.fixture
def reading(start_reading: Start) -> Reading:
    """A server that nobody has done anything to."""
    return start_reading()


LITERALS = (4096 + 1, 1 << 20, 4_294_967_295, 9_223_372_036_854_775_807, 1 << 70)


def test_a_literal_before_login_is_refused_before_it_is_read(reading: Reading) -> None:
    for command in ("LOGIN", "AUTHENTICATE PLAIN", "NOOP", "ID"):
        for octets, sign in itertools.product(LITERALS, ("", "+")):
            with closing(Line(reading)) as client:
                client.say(f"a {command} {{{octets}{sign}}}")
                if sign and octets <= 1 << 20:
                    client.send(b"x" * octets + b"\r\n")  # it is skipped, and nothing of it is a command
                answer = client.line()
                assert answer.startswith(("a BAD", "* BYE")), (command, octets, sign, answer)


def test_nesting_is_bounded(reading: Reading) -> None:
    for opening, ending in (("(", ")"), ("NOT ", ""), ("OR ALL ", "")):
        nest(reading, opening, ending)


def nest(reading: Reading, opening: str, ending: str) -> None:
    """Before the login and after it."""
    before = reading.server.memory_octets()
    with closing(Line(reading)) as client:
        for _ in range(8):
            client.send((f"a SEARCH {opening * (1 << 14)}ALL{ending * (1 << 14)}\r\n").encode())
            answer = client.line()
            if not answer or answer.startswith("* BYE"):
                break
            assert answer.startswith("a BAD"), answer
    with reading.client() as imap:
        ok(imap.select())
        with pytest.raises(imaplib.IMAP4.error):
            imap.search(None, f"{opening * 2000}ALL{ending * 2000}")
    assert reading.server.memory_octets() - before < GROWTH_OCTETS_MAX


def test_megabytes_without_a_line_end_cost_no_memory(reading: Reading) -> None:
    before = reading.server.memory_octets()
    for _ in range(8):
        with closing(Line(reading)) as client:
            try:
                for _ in range(8):
                    client.send(b"x" * (1 << 20))
                client.send(b"\r\n")
                assert client.line().startswith(("* BAD", "* BYE"))
            except OSError:
                pass  # it does not hear us out
    assert reading.server.memory_octets() - before < GROWTH_OCTETS_MAX
    with reading.client() as imap:
        ok(imap.select())


def test_what_follows_starttls_in_its_segment_is_dropped(reading: Reading) -> None:
    with socket.create_connection((HOST, reading.port("starttls")), timeout=20) as plain:
        file = plain.makefile("rb")
        assert file.readline().startswith(b"* OK")
        plain.sendall(b"a STARTTLS\r\nb NOOP\r\n")
        assert file.readline().startswith(b"a OK")
        with reading.context().wrap_socket(plain, server_hostname=HOST) as secured:
            secured.sendall(b"c NOOP\r\n")
            assert secured.makefile("rb").readline().startswith(b"c OK")


NAMES = (
    "../bob",
    "../../../../etc",
    "/etc/passwd",
    "a/../../bob",
    "..",
    ".",
    "a/./b",
    "a//b",
    "tmp/../../x",
    "x" * 5000,
    "&AC8-",
    "&AAA-",
    "INBOX/../../bob",
)


def test_names_of_mailboxes_lead_nowhere_else(reading: Reading) -> None:
    reading.put("0.a", message(0), account=BOB)
    root = reading.accounts.mailboxes
    for name in NAMES:
        try_name(reading, name)
    bobs = reading.accounts.mailbox(BOB)
    assert [message(0)] == reading.accounts.messages(BOB)
    strangers = [
        path
        for path in root.rglob("*")
        if not path.is_relative_to(reading.accounts.mailbox(ALICE)) and not path.is_relative_to(bobs)
    ]
    assert {bobs.parent} == set(strangers)


def try_name(reading: Reading, name: str) -> None:
    """In every command that takes one."""
    with reading.client() as imap:
        imap.create("there")
        for attempt in (
            lambda: imap.create(f'"{name}"'),
            lambda: imap.select(f'"{name}"'),
            lambda: imap.append(f'"{name}"', None, None, b"Subject: x\r\n\r\nx\r\n"),
            lambda: imap.rename(f'"{name}"', '"here"'),
            lambda: imap.rename("there", f'"{name}"'),
            lambda: imap.delete(f'"{name}"'),
        ):
            with suppress(imaplib.IMAP4.error):
                attempt()


def test_tls_is_asked_for_before_a_password(start_reading: Start) -> None:
    reading = start_reading(auth={"in_the_clear": "never"})
    with socket.create_connection((HOST, reading.port("starttls")), timeout=20) as plain:
        file = plain.makefile("rb")
        assert b"LOGINDISABLED" in file.readline()
        plain.sendall(b"a LOGIN alice secret\r\n")
        assert b"PRIVACYREQUIRED" in file.readline()
        assert [] == reading.server.events("auth")
        with pytest.raises(ssl.SSLError):
            ssl.create_default_context().wrap_socket(plain, server_hostname=HOST)
