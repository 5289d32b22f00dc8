"""
Every form of an address by which some server was once an open relay (attacks.md, rows 18 and 35).

The client is a stranger at "relay"; mail for us.test, everything below sub.us.test, bücher.test, kelvin.test and chunks.test
is taken, nothing else.
"""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.e2e.attacks.hop import RecordingHop
from tests.e2e.attacks.wire import Wire, codes
from tests.partners.pymta import PYTHON, Pymta
from tests.partners.waiting import wait_until

ELSEWHERE = [
    "a@ext.test",
    "a@EXT.test",
    "a%ext.test@us.test",
    "a%ext.test%us.test@us.test",
    "a@ext.test%us.test",
    '"a%ext.test"@us.test',
    "@us.test:a@ext.test",
    "@us.test,@us.test:a@ext.test",
    "@us.test:@us.test:a@ext.test",
    "@ext.test:a%ext.test@us.test",
    '"a@ext.test"@us.test',
    '"a@ext.test"@ext.test',
    r'"a\@ext.test"@us.test',
    r"a\@ext.test@us.test",
    "a@ext.test@us.test",
    "a@us.test@ext.test",
    "ext.test!a@us.test",
    "ext.test!a",
    "us.test!ext.test!a@us.test",
    '"ext.test!a"@us.test',
    "a@[127.0.0.1]",
    "a@[IPv6:::1]",
    "a@[192.0.2.1]",
    "a@[us.test]",
    "a@127.0.0.1",
    "a@2130706433",
    "a@ext.test.",
    "a@us.test.",
    "a@us.test.ext.test",
    "a@extus.test",
    "a@.us.test",
    "a@us..test",
    "a@sub.us.test",
    "a@xsub.us.test",
    "a@test",
    "a",
    "a@",
    "@us.test",
    "",
    "@",
    "a@ext.test,b@us.test",
    "a@ext.test b@us.test",
    "a@ext.test;b@us.test",
    "<a@ext.test>@us.test",
    "a@us.test><a@ext.test",
    "a@us.test\\@ext.test",
    "a@us.test#ext.test",
    "a@us.test/ext.test",
    "a@us.test:25",
    "a:b@ext.test@us.test",
    "postmaster@ext.test",
    "postmaster@",
    "Postmaster%ext.test",
    "a@localhost",
    "a@mail.example.test",
    "a+b@ext.test",
    "a@xn--ext-.test",
]


def refused(port: int, forward_path: str, *, mail_line: str = "MAIL FROM:<author@example.net>") -> list[str]:
    """The replies to MAIL and RCPT."""
    with Wire(port, hello="stranger.example.net") as wire:
        return wire.all_replies(mail_line, "\r\n", f"RCPT TO:<{forward_path}>\r\n".encode())[:-1]


@pytest.mark.parametrize("forward_path", ELSEWHERE)
def test_a_stranger_cannot_send_elsewhere(attacked: Pymta, hop: RecordingHop, forward_path: str) -> None:
    """
    Row 18: refused at RCPT for good, so that nothing is relayed and nobody comes back to try again.
    """
    for mail_line in ("MAIL FROM:<author@example.net>", "MAIL FROM:<>", "MAIL FROM:<root@us.test> AUTH=<>"):
        (mailed, recipient) = refused(attacked.port, forward_path, mail_line=mail_line)
        assert mailed.startswith("250 ")
        assert recipient[:3] in ("501", "550", "553"), recipient

    assert [] == [taken for taken in hop.taken if "@ext.test>" in " ".join(taken.rcpt_lines)]


@pytest.mark.parametrize(
    "forward_path",
    ["a@us.test", "A@US.TEST", "@ext.test:a@us.test", "a@x.sub.us.test", "postmaster", "PostMaster"],
)
def test_what_is_for_us_is_taken(attacked: Pymta, forward_path: str) -> None:
    """
    Row 18, the other side of it: without these the tests above could not fail for the right reason.
    """
    assert ["250 2.1.0", "250 2.1.5"] == codes(refused(attacked.port, forward_path))


def test_a_postmaster_that_nobody_is_does_not_send_mail_to_third_parties(
    start_pymta: Callable[..., Pymta],
) -> None:
    """
    Row 32: taken and returned, it would carry anything to whoever is named in MAIL FROM.
    """
    server = start_pymta(listener={"trusted_networks": []}, domains={"relay_domains": ["us.test"]})

    assert ["250 2.1.0", "550 5.1.1"] == codes(refused(server.port, "postmaster"))


def test_a_postmaster_elsewhere_gets_what_is_for_a_bare_one(attacked: Pymta, hop: RecordingHop) -> None:
    """`directory.postmaster` may be an address of a domain that is relayed."""
    with Wire(attacked.port, hello="asks.example.net") as wire:
        for line in ("MAIL FROM:<a@example.net>", "RCPT TO:<postmaster>", "DATA"):
            assert wire.ask(line)[0] in "23"
        assert wire.ask("Subject: bare\r\n\r\nhello\r\n.").startswith("250 ")
    wait_until(
        lambda: "postmaster@us.test" in " ".join(line for taken in hop.taken for line in taken.rcpt_lines),
        "it is with whoever is named in the configuration",
    )


@pytest.mark.parametrize(
    "claim",
    [
        "EHLO us.test",
        "EHLO localhost",
        "EHLO [127.0.0.1]",
        "HELO mail.example.test",
        "XCLIENT ADDR=10.0.0.1 LOGIN=account",
        "XCLIENT NAME=localhost ADDR=127.0.0.1",
        "PROXY TCP4 10.0.0.1 10.0.0.1 1 25",
        "XFORWARD ADDR=10.0.0.1",
        "AUTH EXTERNAL =",
        "AUTH PLAIN AGFjY291bnQAcGFzc3dvcmQ=",
    ],
)
def test_no_claim_of_a_stranger_opens_the_relay(attacked: Pymta, claim: str) -> None:
    """
    Rows 18 and 19: names, XCLIENT, PROXY and logins in the clear mean nothing from here.
    """
    with Wire(attacked.port, hello="stranger.example.net") as wire:
        wire.ask(claim)
        assert wire.ask("MAIL FROM:<root@us.test>").startswith("250 ")
        assert wire.ask("RCPT TO:<a@ext.test>").startswith("550 5.7.1")


def test_a_refused_recipient_does_not_ride_along(attacked: Pymta, hop: RecordingHop) -> None:
    """
    Row 18: among good ones, before and after them.
    """
    with Wire(attacked.port, hello="stranger.example.net") as wire:
        replies = wire.all_replies(
            b"MAIL FROM:<ride@example.net>\r\nRCPT TO:<a@ext.test>\r\nRCPT TO:<ride1@us.test>\r\n"
            b"RCPT TO:<b@ext.test>\r\nRCPT TO:<ride2@us.test>\r\nDATA\r\n"
            b"To: a@ext.test\r\nCc: c@ext.test\r\nBcc: d@ext.test\r\nSubject: ride\r\n\r\nx\r\n.\r\n"
        )
    (taken,) = hop.wait_taken("Subject: ride")

    assert ["550 5.7.1", "250 2.1.5", "550 5.7.1", "250 2.1.5"] == codes(replies)[1:5]
    assert ["RCPT TO:<ride1@us.test>", "RCPT TO:<ride2@us.test>"] == taken.rcpt_lines


# ---- row 35: names beyond ASCII ------------------------------------------------------------------------------------


def utf8(port: int, forward_path: str) -> str:
    return refused(port, forward_path, mail_line="MAIL FROM:<a@example.net> SMTPUTF8")[-1]


@pytest.mark.parametrize(
    "forward_path",
    [
        "a@us\uff0etest",  # full-width dot
        "a@us\u3002test",  # ideographic full stop
        "a@us\uff61test",
        "a@\uff55\uff53.test",  # full-width letters
        "a@u\u017f.test",  # long s
        "a@us.test\u200b",
        "a@u\u00ads.test",
        "a@u\u0455.test",  # Cyrillic
        "a@\u2139us.test",
        "a\uff20ext.test@us.test",
        "a\uff05ext.test@us.test",
        "ext.test\uff01a@us.test",
        "a\ufe6bext.test@us.test",
        "a@b\u00fccher.test.ext.test",
        "a@xn--bucher-kva.test",
        "a@xn--bcher-kv.test",
        "a@xn--us-.test",
        "a@ext.test\u0000.us.test",
    ],
    ids=ascii,
)
def test_what_only_looks_like_us_is_not_us(attacked: Pymta, forward_path: str) -> None:
    """
    Row 35: compatibility characters, confusables, invisible ones, and A-labels that decode to nothing or to another.
    """
    reply = utf8(attacked.port, forward_path)

    assert reply[:3] in ("500", "501", "550", "553"), reply


def routed(server: Pymta, address: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "pymta", "explain", address, "--json", "--config", str(server.config_file)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(PYTHON), "PATH": ""},
        timeout=30,
    )
    assert 0 == done.returncode, done.stderr
    explained: dict[str, object] = json.loads(done.stdout)
    return explained


def test_a_name_has_one_identity_however_it_is_written(attacked: Pymta, hop: RecordingHop) -> None:
    """
    Row 35: the U-label, the A-label and any case of either is ours. The lower case of the Kelvin sign is a plain k, and
    so it is for the relay check and for the route alike.
    """
    for domain in ("b\u00fccher.test", "xn--bcher-kva.test", "XN--BCHER-KVA.TEST", "B\u00dcCHER.Test"):
        assert utf8(attacked.port, f"a@{domain}").startswith("250 2.1.5"), domain
        assert "127.0.0.1" in str(routed(attacked, f"a@{domain}")["route"]), domain
    assert utf8(attacked.port, "a@\u212aelvin.test").startswith("250 2.1.5")
    assert "kelvin.test" == routed(attacked, "a@\u212aelvin.test")["domain"]


def test_an_address_beyond_ascii_needs_its_parameter(attacked: Pymta) -> None:
    """
    Row 35: without SMTPUTF8 (RFC 6531 §3.4) no comparison is tried at all.
    """
    assert refused(attacked.port, "a@b\u00fccher.test")[-1].startswith("553 5.6.7")
    assert refused(attacked.port, "\u00e4@us.test")[-1].startswith("553 5.6.7")
