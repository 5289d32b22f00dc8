"""
Octets beyond ASCII and quotes in header fields: what a client is told of them keeps IMAP's grammar, in every session.

Clients lost whole mailboxes to one such message (an unescaped quote in a Message-ID) and sessions to octets in a quoted
string (allowed only behind ENABLE UTF8=ACCEPT, RFC 6855 §3).
"""

import re
import socket
import ssl
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.imap.conftest import ALICE, HOST, PASSWORD, Reading
from tests.e2e.imap.responses import Client

Start = Callable[..., Reading]

MESSAGE_ID = b'<"a"b\\"c@example.net>'
# Raw UTF-8 wherever a field may have it, and a second part whose octets are no UTF-8 at all.
AWKWARD = (
    'From: "Jürgen \\"J\\" \\\\" <jürgen@example.net>\n'
    "To: Grüppe: ann@example.net, bob@exämple.net;\n"
    "Subject: schön {3}\n"
    f"Message-ID: {MESSAGE_ID.decode()}\n"
    'In-Reply-To: <"x y"@example.net>\n'
    "MIME-Version: 1.0\n"
    'Content-Type: multipart/mixed; boundary=b; charset="ü"\n'
    "Content-Language: dé, en\n"
    "Content-Location: http://exämple.net/\n"
    "\n"
    "--b\n"
    'Content-Type: text/plain; name="grün.txt"\n'
    "Content-ID: <ü@example.net>\n"
    'Content-Description: 100 % "schön"\n'
    "Content-Transfer-Encoding: ächt\n"
    'Content-Disposition: attachment; filename="grün.txt"\n'
    "\n"
    "one\n"
    "--b\n"
).encode() + (
    b"Content-Type: applicati\xf6n/x-\xe4; name=\"\xff\xfe\"; filename*=utf-8''%C3%BC\n"
    b'Content-Disposition: \xe4; x="\xff\x80"\n'
    b"\n"
    b"two\n"
    b"--b--\n"
)
ITEMS = "(ENVELOPE BODY BODYSTRUCTURE PREVIEW)"


@pytest.fixture
def reading(start_reading: Start) -> Reading:
    """A server where that message is alice's only one."""
    reading = start_reading()
    reading.put("0.a", AWKWARD)
    return reading


def said_of_it(reading: Reading, *enabled: str) -> bytes:
    """All octets that answer a FETCH."""
    plain = socket.create_connection((HOST, reading.port()), timeout=20)
    with reading.context().wrap_socket(plain, server_hostname=HOST) as client:
        commands = [f'LOGIN {ALICE} "{PASSWORD}"', *enabled, "SELECT INBOX", "NOOP"]
        for number, command in enumerate(commands):
            client.sendall(f"c{number} {command}\r\n".encode())
            until(client, f"\r\nc{number} OK".encode())
        client.sendall(f"f FETCH 1 {ITEMS}\r\n".encode())
        return until(client, b"\r\nf OK")


def until(client: ssl.SSLSocket, end: bytes) -> bytes:
    """What is said, to the end of the line that begins with *end*."""
    said = b"\r\n"
    while not (end in said and said.endswith(b"\r\n")):
        arrived = client.recv(65536)
        assert arrived, said
        said += arrived
    return said


def outside_of_literals(said: bytes) -> Iterator[bytes]:
    """What a client reads as grammar."""
    at = 0
    for literal in re.finditer(rb"\{(\d+)\}\r\n", said):
        if literal.start() >= at:
            yield said[at : literal.end()]
            at = literal.end() + int(literal[1])
    yield said[at:]


def test_without_utf8_accept_octets_beyond_ascii_are_in_literals_only(reading: Reading) -> None:
    said = said_of_it(reading)

    assert "schön".encode() in said
    assert all(piece.isascii() for piece in outside_of_literals(said))


@pytest.mark.parametrize("enabled", ["ENABLE UTF8=ACCEPT", "ENABLE IMAP4rev2"])
def test_with_utf8_what_is_no_literal_is_utf_8(reading: Reading, enabled: str) -> None:
    said = said_of_it(reading, enabled)

    b"".join(outside_of_literals(said)).decode("utf-8")


@pytest.mark.parametrize("enabled", ["", "ENABLE UTF8=ACCEPT"])
def test_quotes_and_backslashes_are_what_the_header_section_says(reading: Reading, enabled: str) -> None:
    client = Client(HOST, reading.port(), reading.context())
    client.say(f'LOGIN {ALICE} "{PASSWORD}"')
    if enabled:
        client.say(enabled)
    client.say("SELECT INBOX")

    envelope = client.say("FETCH 1 ENVELOPE")[1][0][2][1]
    structure = client.say("FETCH 1 BODYSTRUCTURE")[1][0][2][1]
    client.close()

    assert ("schön {3}".encode(), b'<"x y"@example.net>', MESSAGE_ID) == (envelope[1], *envelope[8:10])
    assert [['Jürgen "J" \\'.encode(), None, "jürgen".encode(), b"example.net"]] == envelope[2]
    first = structure[0]
    assert ('100 % "schön"'.encode(), "<ü@example.net>".encode()) == (first[4], first[3])
    assert "grün.txt".encode() == first[9][1][1]
