"""
Logins: malformed, guessed, and addresses that are probed (attacks.md, rows 14, 15, 16 and 17).
"""

import base64
from collections.abc import Iterator

import pytest

from tests.e2e.attacks.wire import Wire, codes
from tests.partners.pymta import Pymta

ATTEMPTS_IN_A_ROW = 128


@pytest.fixture
def secured(attacked: Pymta) -> Iterator[Wire]:
    """A connection under TLS on which one may fail for as long as one likes."""
    with Wire(attacked.ports["patient"], hello="login.example.net") as wire:
        assert wire.ask("STARTTLS").startswith("220 ")
        wire.start_tls()
        assert "AUTH PLAIN LOGIN" in wire.ask("EHLO login.example.net")
        yield wire


def plain(account: str, password: str) -> str:
    """The AUTH command of a login."""
    return f"AUTH PLAIN {encoded(chr(0).join(['', account, password]).encode())}"


def encoded(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def test_a_response_of_any_length_is_answered_once(attacked: Pymta, secured: Wire) -> None:
    """
    Row 14: 0 to 4096 octets of base64, whole or not, as initial response and as response to a challenge.
    """
    lengths = list(range(4097))
    for start in range(0, len(lengths), ATTEMPTS_IN_A_ROW):
        group = lengths[start : start + ATTEMPTS_IN_A_ROW]
        secured.send(*(f"AUTH PLAIN {'A' * length or '='}\r\n" for length in group), "NOOP\r\n")
        replies = [secured.reply() for _ in (*group, "NOOP")]
        assert "250 2.0.0 OK" == replies[-1], group
        assert {"501"} == {reply[:3] for reply in replies[:-1]}, (group, codes(replies))
    for length in (0, 1, 2, 3, 4, 511, 512, 2047, 2048, 4095, 4096, 12284):
        assert "334 " == secured.ask("AUTH PLAIN")
        assert secured.ask("A" * length).startswith("501 5.5.2"), length
    assert secured.ask("MAIL FROM:<a@example.net>").startswith("250 ")
    assert secured.ask("RCPT TO:<a@ext.test>").startswith("550 5.7.1")


@pytest.mark.parametrize("length", [12_287, 16_384, 65_536, 1_000_000])
def test_a_response_that_is_too_long_is_refused_and_the_session_goes_on(secured: Wire, length: int) -> None:
    """
    Rows 14 and 20: 64 KB and more; RFC 4954 §4 has 12 288 octets with the CRLF.
    """
    assert "334 " == secured.ask("AUTH PLAIN")
    assert secured.ask("A" * length).startswith("500 5.5.2")
    assert secured.ask("AUTH PLAIN ", "A" * length).startswith("500 5.5.2")
    assert "250 2.0.0 OK" == secured.ask("NOOP")


@pytest.mark.parametrize(
    "text",
    [
        "AG=EAYg=",
        "AGEAYg==AGEAYg==",
        "AGEA Yg=",
        " AGEAYg==",
        "AGEAYh==",
        "=",
        "====",
        "A===",
        "AGEAYg",
        "\u00e9",
    ],
)
def test_what_is_no_base64_is_refused_once(secured: Wire, text: str) -> None:
    """
    Row 14: padding in the middle, text behind it, bits left over (RFC 4648 §3.5).
    """
    assert "334 " == secured.ask("AUTH PLAIN")
    assert secured.ask(text).startswith("501 5.5.2")
    assert "250 2.0.0 OK" == secured.ask("NOOP")


def test_a_cancelled_login_is_over(secured: Wire) -> None:
    """
    Row 14: `*` at each step of each mechanism (RFC 4954 §4); what follows is a command again.
    """
    for mechanism, steps in (("PLAIN", []), ("LOGIN", []), ("LOGIN", [encoded(b"account")])):
        assert secured.ask(f"AUTH {mechanism}").startswith("334 ")
        for step in steps:
            assert secured.ask(step).startswith("334 ")
        assert secured.ask("*").startswith("501 5.7.0")
        assert "250 2.0.0 OK" == secured.ask("NOOP")
    assert secured.ask(f"AUTH LOGIN {encoded(b'account')}").startswith("334 ")
    assert secured.ask(encoded(b"password")).startswith("235 2.7.0")


@pytest.mark.parametrize(
    "response",
    [
        b"\0a\0b\0c",
        b"\0account\0password\0extra",
        b"\0account\0password\0",
        b"\0account\0",
        b"\0\0password",
        b"\0\0",
        b"account\0password",
        b"",
        b"\0acc\0ount\0password",
        b"\0account\0pass\0word",
        b"\0account\0passwor",
        b"\0account\0passwordx",
        b"\0accoun\0password",
        b"\0account \0password",
        b"\0ACCOUNT\0password",
        b"\0account\0\xff\xfe",
        b"\0" + b"a" * 4096 + b"\0password",
        b"\0*)(uid=*\0password",
        b"\0' or 1=1 --\0password",
        b"\0%s%n\0password",
    ],
    ids=lambda response: ascii(response)[2:24],
)
def test_only_the_whole_of_name_and_password_is_a_login(secured: Wire, response: bytes) -> None:
    """
    Rows 13, 15 and 17: a NUL cuts nothing off, a prefix is no name, and an empty half is refused before policy hears of it.
    """
    reply = secured.ask(f"AUTH PLAIN {encoded(response) or '='}")

    assert codes([reply])[0] in ("501 5.5.2", "535 5.7.8"), reply
    assert secured.ask("MAIL FROM:<a@example.net>").startswith("250 ")
    assert secured.ask("RCPT TO:<a@ext.test>").startswith("550 5.7.1")


def test_a_nul_in_a_login_step_is_refused(secured: Wire) -> None:
    """
    Row 15: LOGIN has no grammar of its own, so ours is: no NUL, not empty.
    """
    for account, password in (
        (b"account\0x", None),
        (b"", None),
        (b"account", b"password\0"),
        (b"account", b""),
    ):
        assert secured.ask("AUTH LOGIN").startswith("334 ")
        reply = secured.ask(encoded(account))
        if password is not None:
            assert reply.startswith("334 ")
            reply = secured.ask(encoded(password))
        assert reply.startswith("501 5.5.2"), reply


def test_logins_that_fail_say_the_same_whoever_it_is(secured: Wire) -> None:
    """
    Row 16: a wrong password of an account and the name of nobody are told apart by nothing in the reply.
    """
    known = secured.ask(plain("account", "wrong"))
    unknown = secured.ask(plain("nobody", "wrong"))

    assert "535 5.7.8 authentication credentials invalid" == known == unknown


def test_a_thousand_guesses_need_two_hundred_connections(attacked: Pymta) -> None:
    """
    Row 16: five failed logins end a session; those pipelined behind them are not even looked at.
    """
    guesses = [plain("account", f"guess-{n}") + "\r\n" for n in range(1000)]
    with Wire(attacked.port, hello="guesses.example.net") as wire:
        wire.ask("STARTTLS")
        wire.start_tls()
        wire.ask("EHLO guesses.example.net")
        replies = wire.all_replies(*guesses)

    assert ["535 5.7.8"] * 5 + ["421 4.7.0"] == codes(replies)
    connect = attacked.wait_event("connect", hello="guesses.example.net")
    assert "violations" == connect["end"]
    failed = attacked.events("auth", sid=connect["sid"])
    assert [("failed", "account")] * 5 == [(event["outcome"], event["account"]) for event in failed]


def test_mechanisms_that_are_not_there(secured: Wire) -> None:
    """
    Row 14: no NTLM, no SPA, nothing that is not announced.
    """
    for mechanism in (
        "NTLM",
        "CRAM-MD5",
        "GSSAPI",
        "EXTERNAL",
        "XOAUTH2",
        "ANONYMOUS",
        "PLAIN\u00e9",
        "A" * 1000,
    ):
        assert secured.ask(f"AUTH {mechanism}")[:3] in ("501", "504"), mechanism


def test_addresses_are_not_told_by_vrfy_and_expn(attacked: Pymta) -> None:
    """
    Row 16: the same answer for everybody (RFC 5321 §7.3), and only so often.
    """
    with Wire(attacked.port, hello="vrfy.example.net") as wire:
        known, unknown = wire.ask("VRFY reader@us.test"), wire.ask("VRFY nobody@ext.test")
        assert known == unknown
        assert known.startswith("252 ")
        assert wire.ask("EXPN list@us.test").startswith("502 5.5.1")
        replies = wire.all_replies(b"VRFY a@us.test\r\n" * 200)

    assert "421 4.7.0" == codes(replies)[-1]
    assert len(replies) < 100


def test_probing_of_recipients_ends(attacked: Pymta) -> None:
    """
    Row 16: a dictionary of addresses, of which each one is refused, ends at the limit of refusals.
    """
    with Wire(attacked.port, hello="probe.example.net") as wire:
        wire.ask("MAIL FROM:<>")
        replies = wire.all_replies(*(f"RCPT TO:<a{n}@ext.test>\r\n" for n in range(3000)))

    assert ["550 5.7.1"] * 2001 + ["421 4.7.0"] == codes(replies)
