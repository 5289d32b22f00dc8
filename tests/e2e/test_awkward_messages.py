"""
Awkward messages arrive octet for octet, our Received field aside: in by DATA and BDAT, out by BDAT and DATA.

Out by BDAT is our own sink, out by DATA a hop that records the wire (attacks/hop.py) and un-stuffs by itself. What is
refused instead is at the end; what is an attack is in attacks/.
"""

import email
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from tests.e2e.attacks.hop import RecordingHop
from tests.e2e.our_sink import OurSink
from tests.e2e.wire import Wire
from tests.partners.pymta import Pymta, next_hop

MIB = 1 << 20
TRACE = re.compile(
    rb"Received: from client\.example\.net \(\[127\.0\.0\.1\]\) by mail\.example\.test\r\n"
    rb"(?:[\t ][^\r\n]*\r\n)+"
)

HEAD = b"Subject: hello\r\nFrom: author@example.net\r\n"
MESSAGES = {
    "only an empty line": b"\r\n",
    "no header section": b"\r\nno header, only a body\r\n",
    "only a header section": HEAD,
    "header section and its end": HEAD + b"\r\n",
    "empty lines at the start": b"\r\n\r\n\r\nbody\r\n",
    "lines of dots": HEAD + b"\r\n.\r\n..\r\n...\r\n.x\r\n..x\r\n" + b"." * 998 + b"\r\n.\r\n",
    "a dot in a header field": b"Subject: a\r\n\t.\r\n .\r\n\r\n.\r\n",
    "a line of 998 octets": HEAD + b"\r\n" + b"x" * 998 + b"\r\nend\r\n",
    "a line of 1000 octets": HEAD + b"\r\n" + b"x" * 1000 + b"\r\nend\r\n",
    "a line of 60,000 octets": HEAD + b"\r\n" + b"y" * 60_000 + b"\r\nend\r\n",
    "a header field of 60,000 octets": b"X-Long: " + b"z" * 60_000 + b"\r\n" + HEAD + b"\r\nbody\r\n",
    "folded with tabs": b"Subject: one\r\n\ttwo\r\n\t \tthree\r\nX-Empty:\r\n\t\r\n x\r\n\r\nbody\r\n",
    "no space after the colon": b"Subject:hello\r\nFROM:author@example.net\r\nx-y :z\r\n\r\nbody\r\n",
    "a line that is no field before one": b"this is no header field\r\nSubject: x\r\n\r\nbody\r\n",
    "an mbox line": b"From author@example.net Mon Nov 23 00:00:00 2026\r\n"
    + HEAD
    + b"\r\nFrom here\r\n>From there\r\n",
    "trailing white space": b"Subject: hello  \t\r\nX-Y: \r\n\r\nbody \t\r\n \r\n\t\r\n  \r\n",
    "several Return-Path and Bcc": b"Return-Path: <x@y>\r\nBcc: z@w\r\nReturn-Path: <>\r\n"
    + HEAD
    + b"\r\nx\r\n",
    "every control character that may be": HEAD
    + b"\r\n"
    + bytes(octet for octet in range(1, 128) if octet not in b"\r\n")
    + b"\r\n",
    "every octet above 127": HEAD + b"MIME-Version: 1.0\r\n\r\n" + bytes(range(128, 256)) + b"\r\n",
    "octets above 127 in the header section": b"Subject: caf\xe9 \xff\r\n\r\nbody\r\n",
    "UTF-8 in the header section": "Subject: grüße 日本\r\nX-Ü: 1\r\n\r\nbödy\r\n".encode(),
    "quoted-printable with soft ends": HEAD
    + b"Content-Transfer-Encoding: quoted-printable\r\n\r\na=\r\nb=20\r\n=2E\r\n",
    "hardly MIME": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--b\r\n--b--\r\n--b\r\n",
}
# Below what we prepend, the first line would be read as one of a header section: an empty line keeps it in the body.
NO_HEADER_SECTION = {
    "empty": b"",
    "no header section and no empty line": b"this is no header field\r\n",
    "dots at the start": b".\r\n.\r\n",
    "white space at the start": b" Subject: hello\r\n\r\nbody\r\n",
}
NO_END = {
    "no CRLF at the end": HEAD + b"\r\nno end",
    "the header section has no end": b"Subject: hello",
    "a dot at the end": HEAD + b"\r\nlast line is\r\n.",
}


class Journey(NamedTuple):
    """A server with a next hop for each way out."""

    server: Pymta
    by_bdat: OurSink
    by_data: RecordingHop


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    with (
        OurSink() as by_bdat,
        RecordingHop("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE") as by_data,
        Pymta(
            tmp_path_factory.mktemp("awkward"),
            routes=[next_hop(by_bdat.port, "bdat.example"), next_hop(by_data.port, "data.example")],
            # A message that failed is not to be told about: what comes to the hops is what was sent.
            queue={"retry_s_min": 600},
        ) as server,
    ):
        yield Journey(server, by_bdat, by_data)
        server.stop()
        assert [] == server.events("trouble")


def send(journey: Journey, name: str, way: str, content: bytes, parameters: str = "") -> str:
    """Send it to both next hops; returns the local part that it went to."""
    local_part = re.sub(r"[^a-z0-9]+", ".", f"{name} {way}".lower())
    with Wire(journey.server.port) as client:
        client.envelope(
            f"{local_part}@bdat.example", f"{local_part}@data.example", reverse_path="", parameters=parameters
        )
        if way == "DATA":
            code, text = client.data(content)
        elif way == "BDAT":
            code, text = client.bdat(content)
        else:
            pieces = [content[at : at + 7] for at in range(0, min(len(content), 700), 7)]
            code, text = client.bdat(*pieces, content[700:], b"")
        assert 250 == code, text
    return local_part


def arrived(journey: Journey, local_part: str) -> tuple[bytes, bytes]:
    """The content at either next hop, below our trace field."""
    (at_sink,) = journey.by_bdat.wait_for(1, f"{local_part}@bdat.example")
    (at_hop,) = journey.by_data.wait_taken(f"<{local_part}@data.example>")
    found = []
    for content in (at_sink.content, at_hop.content):
        trace = TRACE.match(content)
        assert trace is not None, content[:300]
        found.append(content[trace.end() :])
    return found[0], found[1]


def same(expected: bytes, found: bytes, where: str) -> None:
    """Without pytest's own comparison of long octets, which takes minutes."""
    if expected != found:
        at = next((n for n, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b), len(expected))
        pytest.fail(f"{where} at {at}: {expected[at : at + 60]!r} became {found[at : at + 60]!r}")


WAYS = ("DATA", "BDAT", "BDAT in pieces")


def check(journey: Journey, name: str, content: bytes, expected: bytes, ways: tuple[str, ...] = WAYS) -> None:
    """Send *content* in all *ways*; *expected* arrives by either way out."""
    # RFC 6531 for the header section, RFC 6152 for the body; the others need neither.
    parameters = "BODY=8BITMIME SMTPUTF8" if name.startswith("UTF-8") else "BODY=8BITMIME"
    for way, local_part in {way: send(journey, name, way, content, parameters) for way in ways}.items():
        at_sink, at_hop = arrived(journey, local_part)
        same(expected, at_sink, f"{way}, out by BDAT")
        same(expected, at_hop, f"{way}, out by DATA")


@pytest.mark.parametrize("name", MESSAGES)
def test_it_arrives_octet_for_octet(journey: Journey, name: str) -> None:
    """
    By DATA, by one BDAT, and by BDAT in pieces of seven octets with an empty last one.
    """
    check(journey, name, MESSAGES[name], MESSAGES[name])


@pytest.mark.parametrize("name", NO_HEADER_SECTION)
def test_what_has_no_header_section_stays_a_body(journey: Journey, name: str) -> None:
    """
    One CRLF is put between our trace field and it; the rest is octet for octet.
    """
    check(journey, name, NO_HEADER_SECTION[name], b"\r\n" + NO_HEADER_SECTION[name])


@pytest.mark.parametrize("name", NO_END)
def test_a_last_line_without_its_end_gets_one(journey: Journey, name: str) -> None:
    """
    BDAT needs no CRLF at the end, DATA has no other way to end (RFC 5321 §4.1.1.4): what is made of lines leaves as lines.
    """
    content = NO_END[name]
    check(journey, name, content, content + b"\r\n", ("BDAT", "BDAT in pieces"))


def test_binarymime_passes_where_it_may_and_is_converted_where_it_must(journey: Journey) -> None:
    """
    NUL, bare CR and LF in a part declared as binary: as they are to who takes BINARYMIME, in base64 to who does not.
    """
    binary = bytes(range(256)) * 4 + b"\r\r\n\n\0."
    content = (
        b"Subject: hello\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Transfer-Encoding: binary\r\n\r\n" + binary
    )

    local_part = send(journey, "binary", "BDAT", content, "BODY=BINARYMIME")
    at_sink, at_hop = arrived(journey, local_part)

    same(content, at_sink, "out by BDAT")
    assert "BINARYMIME" == journey.by_bdat.wait_for(1, f"{local_part}@bdat.example")[0].envelope.body
    converted = email.message_from_bytes(at_hop)
    assert "base64" == converted["Content-Transfer-Encoding"]
    same(binary, converted.get_payload(decode=True), "converted")
    same(b"Subject: hello\r\n", at_hop[:16], "the rest of its header section")


@pytest.mark.parametrize("fault", ["a\0b", "a\rb", "a\nb", "a\r\n\nb", "a\r\r\nb"])
@pytest.mark.parametrize("way", ["DATA", "BDAT"])
def test_strays_are_refused_and_the_session_goes_on(journey: Journey, fault: str, way: str) -> None:
    """
    550 5.6.0 at the real end (decision 0002); nothing of it reaches a next hop.
    """
    local_part = f"stray.{fault.encode().hex()}.{way.lower()}"
    content = b"Subject: hello\r\n\r\n" + fault.encode() + b"\r\n"
    with Wire(journey.server.port) as client:
        client.envelope(f"{local_part}@bdat.example", reverse_path="")
        code, text = client.data(content) if way == "DATA" else client.bdat(content)
        assert (550, "5.6.0") == (code, text[:5])
        client.envelope(f"{local_part}.after@bdat.example", reverse_path="")
        assert 250 == client.data(b"\r\nafter\r\n")[0]

    journey.by_bdat.wait_for(1, f"{local_part}.after@bdat.example")
    assert [] == [
        kept for kept in journey.by_bdat.messages if f"{local_part}@bdat.example" in kept.forward_paths
    ]


def test_a_thousand_recipients_get_it_once_each(journey: Journey) -> None:
    """
    In transactions of a hundred, with the same octets in each.
    """
    content = HEAD + b"\r\nto very many\r\n"
    with Wire(journey.server.port) as client:
        client.say("MAIL FROM:<>")
        client.send(b"".join(b"RCPT TO:<many.%d@bdat.example>\r\n" % number for number in range(1000)))
        for _ in range(1000):
            client.expect(250)
        client.say("RCPT TO:<one.too.many@bdat.example>", 452)
        assert 250 == client.data(content)[0]

    journey.by_bdat.wait_for(1, "many.999@bdat.example")
    journey.server.wait_event("done", delivered=1000)
    kept = [kept for kept in journey.by_bdat.messages if kept.forward_paths[0].startswith("many.")]
    assert 10 == len(kept)
    assert [f"many.{number}@bdat.example" for number in range(1000)] == sorted(
        (path for message in kept for path in message.forward_paths),
        key=lambda path: int(path[5:].split("@")[0]),
    )
    assert 1 == len({message.content for message in kept})
    assert kept[0].content.endswith(b"\r\n" + content)


@pytest.mark.parametrize(("way", "octets"), [("DATA", 5 * MIB), ("BDAT", 5 * MIB), ("DATA", 50 * MIB)])
def test_a_large_message_arrives_and_is_not_held_in_memory(journey: Journey, way: str, octets: int) -> None:
    """
    It is spilled to disk while it arrives and read from there as it leaves: the process grows by less than its size.
    """
    line = bytes(range(32, 127)) * 10
    lines = [b"%07d " % number + line[number % 90 :][:880] for number in range(octets // 890)]
    content = HEAD + b"\r\n" + b"\r\n".join(lines) + b"\r\n.\r\n"
    before_octets = journey.server.memory_octets()
    local_part = f"large.{way.lower()}.{octets}"

    with Wire(journey.server.port) as client:
        client.envelope(f"{local_part}@bdat.example", reverse_path="", parameters=f"SIZE={len(content)}")
        code, text = (
            client.data(content)
            if way == "DATA"
            else client.bdat(*(content[at : at + MIB] for at in range(0, len(content), MIB)))
        )
        assert 250 == code, text
    (kept,) = journey.by_bdat.wait_for(1, f"{local_part}@bdat.example", limit_s=40)

    trace = TRACE.match(kept.content)
    assert trace is not None
    same(content, kept.content[trace.end() :], way)
    grown_octets = journey.server.memory_octets(peak=True) - before_octets
    assert grown_octets < 32 * MIB, f"grew by {grown_octets / MIB:.1f} MiB"


def test_smtputf8_goes_only_to_who_takes_it(start_pymta: Callable[..., Pymta], our_sink: OurSink) -> None:
    """
    To our sink as it is; to a host without SMTPUTF8 not at all, but back to its author (RFC 6531 §3.6).
    """
    with RecordingHop("PIPELINING", "8BITMIME") as without:
        server = start_pymta(routes=[next_hop(without.port, "old.example"), next_hop(our_sink.port)])
        with Wire(server.port) as client:
            client.envelope("grün@new.example", "reader@old.example", parameters="SMTPUTF8 BODY=8BITMIME")
            content = "Subject: grün\r\n\r\nbody\r\n".encode()
            assert 250 == client.data(content)[0]
        (kept,) = our_sink.wait_for(1, "grün@new.example")
        (report,) = our_sink.wait_for(1, "author@example.net")
        assert [] == without.taken
    assert kept.envelope.smtputf8
    same(content, kept.without_trace(), "with SMTPUTF8")
    assert b"5.6.7" in report.content
