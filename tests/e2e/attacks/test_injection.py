"""
What peers say of themselves and others stays text: in the envelope, in fields, in reports, in the log, for a shell
(attacks.md, rows 8, 9, 10, 11, 13, 26 and 37).
"""

import json
import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from tests.e2e.attacks.hop import RecordingHop, has_strays
from tests.e2e.attacks.wire import Wire, codes, in_data, ready
from tests.partners.pymta import Pymta, next_hop

# ---- row 8: the envelope -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"MAIL FROM:<a\r\nRCPT TO:<b>>",
        b"MAIL FROM:<a\rb@example.net>",
        b'MAIL FROM:<"a\rb"@example.net>',
        b'MAIL FROM:<"a\0b"@example.net>',
        b"MAIL FROM:<a@example.net\0>",
        b"MAIL FROM:<a@example.net> ENVID=x+0D+0AX-Evil:+20yes",
        b"MAIL FROM:<a@example.net> ENVID=x\rX-Evil",
        b"MAIL FROM:<a\xc2\x85b@example.net> SMTPUTF8",
        b"MAIL FROM:<a\xe2\x80\xa8b@example.net> SMTPUTF8",
        b"MAIL FROM:<a\x1b[31m@example.net>",
        b"EHLO evil\rMAIL FROM:<>",
        b"EHLO evil\0",
    ],
    ids=lambda line: ascii(line)[2:40],
)
def test_no_line_ending_gets_into_the_envelope(attacked: Pymta, line: bytes) -> None:
    """
    Row 8: each of these is refused, and no transaction begins.
    """
    with Wire(attacked.port, hello="client.example.net") as wire:
        replies = wire.all_replies(line, b"\r\nRCPT TO:<b@us.test>\r\n")

    assert "221 2.0.0" == codes(replies)[-1]
    assert all(reply.startswith("50") for reply in replies[:-1]), replies


def test_a_bare_line_feed_among_commands_ends_the_session(attacked: Pymta) -> None:
    """
    Row 8: lines of a client that ends them otherwise are not ours to guess.
    """
    with Wire(attacked.port, hello="client.example.net") as wire:
        replies = wire.all_replies(b"MAIL FROM:<a@example.net>\nRCPT TO:<b@us.test>\r\n")

    assert ["521 5.5.2"] == codes(replies)


@pytest.mark.parametrize(
    "line",
    [
        b"RCPT TO:<b\x0b@us.test>",
        b"RCPT TO:<b@us.test> ORCPT=rfc822;x+0D+0AX-Evil:+20yes",
        b"RCPT TO:<b@us.test> ORCPT=utf-8;x\\x{A}y",
        b"RCPT TO:<b@us.test> ORCPT=utf-8;x\\x{85}y",
        b"RCPT TO:<b@us.test> NOTIFY=NEVER,SUCCESS",
    ],
    ids=lambda line: ascii(line)[2:60],
)
def test_no_line_ending_gets_into_a_recipient(attacked: Pymta, line: bytes) -> None:
    """
    Row 8: nor by the escapes of DSN parameters (RFC 3461 §4.2, RFC 6533 §3).
    """
    with Wire(attacked.port, hello="client.example.net") as wire:
        wire.ask("MAIL FROM:<a@example.net> SMTPUTF8")
        assert wire.ask(line).startswith("501 5.")


# ---- row 9: fields that we make ------------------------------------------------------------------------------------

HELLO_NAMES = [
    "evil)(X-Evil: yes",
    "evil;by=us",
    '"quoted"',
    "(comment",
    "\\",
    "[127.0.0.1",
    "[192.0.2.1]",
    "127.0.0.1]",
    "[a]b]",
    "[IPv6:::1]\tx",
    "a" * 255,
    "\x7f\x01",
    "evil\x1b[31m",
    "${run{id}}",
    "xn--\u00e9",
]


@pytest.mark.parametrize("name", HELLO_NAMES, ids=lambda name: ascii(name)[:20])
def test_the_trace_field_holds_what_the_client_calls_itself(
    attacked: Pymta, hop: RecordingHop, name: str
) -> None:
    """
    Rows 9 and 11: refused, or one field of one line grammar, whose clauses are ours.
    """
    marker = f"hello-{name.encode().hex()[:40]}-x"
    with Wire(attacked.port) as wire:
        if not wire.ask(f"HELO {name}").startswith("250"):
            return
        replies = wire.all_replies(
            f"MAIL FROM:<{marker}@example.net>\r\nRCPT TO:<b@us.test>\r\nDATA\r\nX-Own: 1\r\n\r\nx\r\n.\r\n"
        )
    (taken,) = hop.wait_taken(marker)
    section = taken.content.split(b"\r\n\r\n", 1)[0]
    received = section.split(b"\r\nX-Own:")[0]

    assert ["250 2.1.0", "250 2.1.5", "354", "250 2.0.0", "221 2.0.0"] == codes(replies)
    unfolded = received.replace(b"\r\n\t", b" ")
    assert re.match(rb"Received: from ([^\s\[\]()]+|\[[^\s\[\]()]+\]) \(\[127\.0\.0\.1\]\) by ", unfolded), (
        received
    )
    assert 1 == received.count(b" by mail.example.test ")
    assert 1 == received.count(b";")
    assert all(line.startswith((b"Received: ", b"\t", b" ")) for line in received.split(b"\r\n"))
    assert all(octet in b"\r\n\t" or 32 <= octet < 127 for octet in received)


NASTY_REPLIES = [
    "550 5.1.1 no\x1b[2J\x07such user",
    "550 5.1.1 <script>=?utf-8?q?=0D=0AX-Evil=3A_yes?=",
    "550 5.1.1 \u202egnp.exe",
    "550 5.1.1 " + "x" * 490,
    "550 X-Evil: yes",
    "550 5.1.1 --boundary--",
]


@pytest.fixture(scope="module", params=NASTY_REPLIES, ids=lambda reply: ascii(reply)[:24])
def nasty(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Pymta, RecordingHop]]:
    """A server, and a next hop that refuses with such a text."""
    folder = tmp_path_factory.mktemp("nasty") / "server"
    with (
        RecordingHop("PIPELINING", "8BITMIME", "SMTPUTF8", refusal=request.param) as hop,
        Pymta(folder, routes=[next_hop(hop.port)]) as server,
    ):
        yield server, hop


def test_a_report_says_what_strangers_said_and_stays_a_report(nasty: tuple[Pymta, RecordingHop]) -> None:
    """
    Row 9: a remote reply, a reverse-path and a header section that would like to be more than text.
    """
    server, hop = nasty
    with ready(server.port, reverse_path='"x)(\\" y\\\\"@us.test', forward_path="fail-nasty@us.test") as wire:
        wire.ask("DATA")
        replies = wire.all_replies(
            "Subject: =?utf-8?q?x=0D=0AX-Evil=3A_yes?=\r\nX-Boundary: --\r\n\r\n--=_x\r\n.\r\n"
        )
    (report,) = hop.wait_taken("MAIL FROM:<>")
    parsed = message_from_bytes(report.content, policy=policy.default)

    assert ["250 2.0.0", "221 2.0.0"] == codes(replies)
    assert not has_strays(report.raw)
    assert [] == parsed.defects
    assert "multipart/report" == parsed.get_content_type()
    parts = list(parsed.iter_parts())
    assert 3 == len(parts)
    assert "message/delivery-status" == parts[1].get_content_type()
    section = report.content.split(b"\r\n\r\n", 1)[0]
    assert b"\r\nX-Evil" not in report.content.replace(b"=0D=0A", b"")
    assert all(len(line) <= 998 for line in report.content.split(b"\r\n"))
    assert all(octet in b"\r\n\t" or 32 <= octet < 127 for octet in section)
    assert b"\x1b" not in report.content
    assert b"\x07" not in report.content
    check_log_file(server)


# ---- rows 10, 11, 13, 26: for a shell, for a language, for a path ----------------------------------------------------

LITERALS = [
    ";id;",
    "$(touch pwned)",
    "`touch pwned`",
    "${run{/usr/bin/touch pwned}}",
    "|touch pwned",
    "-oX",
    "-bp",
    "../../../../etc/passwd",
    "/etc/passwd",
    "'||(select 1)--",
    "*)(uid=*",
    "a&b",
    "a+../../b",
    "{{7*7}}",
    "%s%s%n",
    "$HOME",
    ":include:/etc/passwd",
]


@pytest.mark.parametrize("local_part", LITERALS)
def test_a_local_part_is_literal_all_the_way(attacked: Pymta, hop: RecordingHop, local_part: str) -> None:
    """
    Rows 10, 11, 13, 26: as reverse-path and forward-path; what arrives is what was said, quoted where it must be.
    """
    is_atom = all(c.isalnum() or c in "!#$%&'*+-/=?^_`{|}~." for c in local_part) and ".." not in local_part
    written = local_part if is_atom else f'"{local_part}"'
    marker = f"literal-{local_part.encode().hex()}-x"
    port = attacked.ports["trusted"]
    with in_data(port, reverse_path=f"{written}@example.net", forward_path=f"{written}@us.test") as wire:
        replies = wire.all_replies(f"Subject: {marker}\r\n\r\n {local_part}\r\n.\r\n")
    (taken,) = hop.wait_taken(marker)

    assert ["250 2.0.0", "221 2.0.0"] == codes(replies)
    assert f"MAIL FROM:<{written}@example.net>" == taken.mail_line.split(" SIZE")[0].split(" BODY")[0]
    assert [f"RCPT TO:<{written}@us.test>"] == taken.rcpt_lines
    assert taken.content.endswith(f"\r\n\r\n {local_part}\r\n".encode())
    assert [] == list(attacked.folder.rglob("pwned"))
    assert not Path("pwned").exists()


@pytest.mark.parametrize(
    "command", ["ETRN #',1);", "ETRN us.test", "TURN", "DEBUG", "WIZ", "SEND FROM:<a@b>"]
)
def test_commands_of_old_are_not_there(attacked: Pymta, command: str) -> None:
    """
    Row 13 and older: nothing behind these can be reached.
    """
    with Wire(attacked.port, hello="client.example.net") as wire:
        assert wire.ask(command)[:3] in ("500", "502")


# ---- row 37: the log -----------------------------------------------------------------------------------------------

UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def check_log_file(server: Pymta) -> None:
    """Each line of the log file is one JSON object, and nothing in it would move a cursor or reorder text."""
    text = server.log_file.read_bytes().decode("utf-8")  # strict
    assert None is UNSEEN.search(text)
    for line in text.splitlines():
        event = json.loads(line)
        assert {"time", "verb"} <= event.keys(), line
        for value in event.values():
            assert not isinstance(value, str) or None is UNSEEN.search(value.replace("\n", "")), line


def test_every_line_of_the_log_is_one_object_whatever_peers_say(attacked: Pymta) -> None:
    """
    Row 37: names, paths, logins, subjects and commands with control characters, right-to-left marks and line ends.
    """
    evil = '\x1b[2J\x1b]0;owned\x07\u202e\u2028\u0085{"verb":"accept"}'
    with Wire(attacked.port) as wire:
        for command in (
            f"EHLO {evil}",
            "EHLO log.example.net",
            f"{evil}",
            f"VRFY {evil}",
            f"NOOP {evil}",
            f'MAIL FROM:<"{evil}"@example.net> SMTPUTF8',
            f"MAIL FROM:<a@example.net> SMTPUTF8 X={evil}",
            "MAIL FROM:<a\u200bb\u00ade@example.net> SMTPUTF8",
            f"RCPT TO:<{evil}@us.test>",
            'RCPT TO:<"a b\\" c\\\\"@ext.test>',
            "RCPT TO:<\u202egnp@ext.test>",
            "RCPT TO:<a\ufeffb\u2066@ext.test>",
        ):
            wire.ask(command)
        wire.all_replies()
    with in_data(attacked.port) as wire:
        wire.all_replies(
            f"From: {evil}\r\nSubject: {evil}\r\nMessage-ID: <{evil}>\r\n\r\nx\r\n.\r\n".encode()
        )
    attacked.wait_event("connect", hello="log.example.net")

    check_log_file(attacked)


def test_no_octet_at_all_breaks_a_line_of_the_log(attacked: Pymta) -> None:
    """
    Row 37: every octet in a command, in a local part and in a name; some are not UTF-8.
    """
    for octet in range(256):
        name = f"octet-{octet}".encode()
        with Wire(attacked.ports["patient"]) as wire:
            piece = bytes([octet])
            wire.send_in_steps(
                [
                    b"EHLO " + name + b"\r\nMAIL FROM:<a" + piece + b"@example.net>\r\nRSET\r\n",
                    b'MAIL FROM:<"a' + piece + b'"@example.net>\r\nRCPT TO:<b' + piece + b"@ext.test>\r\n",
                    piece + b"\r\nEHLO " + piece + b"\r\nQUIT\r\n",
                ]
            )
            assert wire.rest()

    check_log_file(attacked)
