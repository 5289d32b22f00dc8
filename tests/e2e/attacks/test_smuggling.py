"""
SMTP smuggling, in and out (attacks.md, rows 1 and 2): the same octets are one message here and at the next hop.
"""

import pytest

from tests.e2e.attacks.hop import RecordingHop, Taken, has_strays
from tests.e2e.attacks.wire import codes, in_data, ready
from tests.partners.pymta import Pymta

# What some server once took for the end of a message.
FALSE_ENDS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\n",
    b"\n.\r",
    b"\r\n.\r",
    b"\r.\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\r\r\n",
    b"\r\n.\0\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\n.\r\0\n",
]
SMUGGLED = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@us.test>\r\nDATA\r\nsmuggled\r\n"


@pytest.mark.parametrize("end", FALSE_ENDS, ids=ascii)
def test_a_false_end_ends_no_message_and_what_follows_is_no_command(
    attacked: Pymta, hop: RecordingHop, end: bytes
) -> None:
    """
    Row 1: all of it is one message, refused at its real end, and nothing else is ever said.
    """
    with in_data(attacked.port) as wire:
        replies = wire.all_replies(b"Subject: x\r\n\r\nfirst", end, SMUGGLED, b"\r\n.\r\n")

    assert ["550 5.6.0", "221 2.0.0"] == codes(replies)
    assert [] == hop.find("evil@example.org")


@pytest.mark.parametrize("end", FALSE_ENDS, ids=ascii)
def test_split_in_two_segments_a_false_end_is_as_false(attacked: Pymta, end: bytes) -> None:
    """
    Row 1: where the segments end changes nothing; the next client is not heard before the real end.
    """
    for cut in range(1, len(end)):
        with in_data(attacked.port) as wire:
            wire.send(b"Subject: x\r\n\r\nfirst", end[:cut])
            replies = wire.all_replies(end[cut:], SMUGGLED, b"\r\n.\r\n")

        assert ["550 5.6.0", "221 2.0.0"] == codes(replies), cut


@pytest.mark.parametrize("end", FALSE_ENDS, ids=ascii)
def test_normalised_it_is_one_message_here_and_at_the_next_hop(
    attacked: Pymta, hop: RecordingHop, end: bytes
) -> None:
    """
    Rows 1 and 2: through a listener that mends line endings; a NUL cannot be mended and is refused.
    """
    marker = f"smuggle-{end.hex()}-x"
    with in_data(attacked.ports["normalise"], reverse_path=f"{marker}@example.net") as wire:
        replies = wire.all_replies(b"Subject: x\r\n\r\nfirst", end, SMUGGLED, b"\r\n.\r\n")

    if b"\0" in end:
        assert ["550 5.6.0", "221 2.0.0"] == codes(replies)
        return
    assert ["250 2.0.0", "221 2.0.0"] == codes(replies)
    (taken,) = hop.wait_taken(marker)
    assert not has_strays(taken.raw)
    assert b"\r\nMAIL FROM:<evil@example.org>\r\n" in taken.content
    assert taken.content.endswith(b"smuggled\r\n\r\n")
    assert [] == [other for other in hop.taken if "evil" in other.mail_line]


@pytest.mark.parametrize("end", FALSE_ENDS, ids=ascii)
@pytest.mark.parametrize("listener", ["relay", "trusted"])
def test_a_chunk_brings_no_stray_in(attacked: Pymta, hop: RecordingHop, listener: str, end: bytes) -> None:
    """
    Row 2: BDAT has lengths instead of ends, and strays are refused all the same, whoever sends them.
    """
    content = b"Subject: x\r\n\r\nfirst" + end + SMUGGLED
    with ready(attacked.ports[listener]) as wire:
        replies = wire.all_replies(f"BDAT {len(content)} LAST\r\n", content)

    assert ["550 5.6.0", "221 2.0.0"] == codes(replies)


def test_a_true_end_within_a_chunk_ends_nothing_at_the_next_hop(attacked: Pymta, hop: RecordingHop) -> None:
    """
    Row 2: CRLF.CRLF is content in a chunk; handed on with DATA its dot is doubled.
    """
    content = b"Subject: true-end-1\r\n\r\nfirst\r\n.\r\n" + SMUGGLED + b".\r\n"
    with ready(attacked.port, forward_path="true-end@us.test") as wire:
        replies = wire.all_replies(f"BDAT {len(content)} LAST\r\n", content)
    (taken,) = hop.wait_taken("true-end-1")

    assert ["250 2.0.0", "221 2.0.0"] == codes(replies)
    assert taken.content.endswith(content)
    assert b"first\r\n..\r\nMAIL FROM:<evil@example.org>\r\n" in taken.raw
    assert [] == [other for other in hop.taken if "evil" in other.mail_line]


def test_normalised_content_goes_out_in_chunks_without_strays(
    attacked: Pymta, chunking_hop: RecordingHop
) -> None:
    """
    Row 2: also where the next hop takes BDAT, whose octets nobody looks at for ends.
    """
    with in_data(attacked.ports["normalise"], forward_path="chunks@chunks.test") as wire:
        wire.all_replies(b"Subject: chunks-1\r\n\r\nfirst\n.\nMAIL FROM:<evil@example.org>\n\r\n.\r\n")
    (taken,) = chunking_hop.wait_taken("chunks-1")

    assert not has_strays(taken.raw)
    assert [] == [other for other in chunking_hop.taken if "evil" in other.mail_line]


BINARY = b"first\n.\nMAIL FROM:<evil@example.org>\n.\r\r\n.\r\n\0\r.\rsecond\n"


def send_binary(port: int, marker: str, *, reverse_path: str, forward_path: str) -> None:
    """A BINARYMIME message (RFC 3030 §3), in which strays are allowed."""
    content = (
        f"Subject: {marker}\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"
        "Content-Transfer-Encoding: binary\r\n\r\n"
    ).encode() + BINARY
    with ready(port) as wire:
        assert "250 2.0.0 OK" == wire.ask("RSET")
        assert wire.ask(f"MAIL FROM:<{reverse_path}> BODY=BINARYMIME").startswith("250 ")
        assert wire.ask(f"RCPT TO:<{forward_path}>").startswith("250 ")
        replies = wire.all_replies(f"BDAT {len(content)} LAST\r\n", content)
    assert ["250 2.0.0", "221 2.0.0"] == codes(replies)


@pytest.mark.parametrize("domain", ["us.test", "chunks.test"])
def test_binary_content_leaves_encoded_where_the_next_hop_takes_lines(
    attacked: Pymta, hop: RecordingHop, chunking_hop: RecordingHop, domain: str
) -> None:
    """
    Row 2: the one way in for strays is BINARYMIME; to a hop without it nothing of them is left.
    """
    marker = f"binary-{domain}"
    send_binary(attacked.ports["trusted"], marker, reverse_path="a@us.test", forward_path=f"binary@{domain}")
    (taken,) = (hop if domain == "us.test" else chunking_hop).wait_taken(marker)

    assert not has_strays(taken.raw)
    assert b"evil@example.org" not in taken.content


def test_a_report_about_binary_content_has_no_strays(attacked: Pymta, hop: RecordingHop) -> None:
    """
    Rows 2 and 9: what comes back to the reverse-path is our own mail, and as clean.
    """
    send_binary(
        attacked.ports["trusted"],
        "binary-returned",
        reverse_path="binary-author@us.test",
        forward_path="fail-binary@us.test",
    )
    (report,) = hop.wait_taken("RCPT TO:<binary-author@us.test>")

    assert report.mail_line.startswith("MAIL FROM:<>")
    assert not has_strays(report.raw)
    assert [] == mails_of(hop, "evil")


def mails_of(hop: RecordingHop, text: str) -> list[Taken]:
    """The messages whose reverse-path has *text*."""
    return [taken for taken in hop.taken if text in taken.mail_line]


def test_nothing_that_ever_reached_a_line_hop_had_a_stray(attacked: Pymta, hop: RecordingHop) -> None:
    """
    Row 2: over all octets of all connections of this run so far, commands included.
    """
    with in_data(attacked.ports["normalise"], forward_path="last@us.test") as wire:
        wire.all_replies(b"Subject: last-one\n\nlast\r.\n.\r\n\r\n.\r\n")
    hop.wait_taken("last-one")

    assert not has_strays(hop.wire())


# ---- right where others were wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "content"),
    [
        (b".\r\n", b""),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"...\r\n.\r\n", b"..\r\n"),
        (b".a\r\n.\r\n", b"a\r\n"),
        (b"\r\n.\r\n", b"\r\n"),
    ],
    ids=ascii,
)
def test_dots_at_the_very_start(attacked: Pymta, hop: RecordingHop, sent: bytes, content: bytes) -> None:
    """
    attacks.md, last paragraph: an empty message ends at once; a first line of dots is un-stuffed like any other.
    """
    marker = f"dots-{sent.hex()}-x"
    with in_data(attacked.port, reverse_path=f"{marker}@example.net") as wire:
        replies = wire.all_replies(sent)
    (taken,) = hop.wait_taken(marker)

    assert ["250 2.0.0", "221 2.0.0"] == codes(replies)
    # Our own trace field is on top; content that begins without a header section gets an empty line before it.
    trace, own = taken.content.split(b"\r\n\r\n", 1) if b"\r\n\r\n" in taken.content else (taken.content, b"")
    assert trace.startswith(b"Received: ")
    assert own in (content, content.removeprefix(b"\r\n"))
