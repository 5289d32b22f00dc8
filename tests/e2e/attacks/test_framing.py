"""
Where a message begins and ends besides DATA: chunks and pipelines (attacks.md, rows 6 and 7).
"""

import pytest

from tests.e2e.attacks.hop import RecordingHop
from tests.e2e.attacks.wire import Wire, codes, in_data, ready
from tests.partners.pymta import Pymta
from tests.partners.waiting import wait_until

EVIL = b"MAIL FROM:<evil-framing@example.org>\r\nRCPT TO:<victim@us.test>\r\nDATA\r\nx\r\n.\r\n"
CHUNK = f"BDAT {len(EVIL)} LAST\r\n".encode() + EVIL


# ---- row 6: BDAT ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (b"", ["503 5.5.1"]),
        (b"MAIL FROM:<a@example.net>\r\n", ["250 2.1.0", "554 5.5.1"]),
        (b"MAIL FROM:<a@example.net>\r\nRCPT TO:<bad>\r\n", ["250 2.1.0", "501 5.1.3", "554 5.5.1"]),
        (b"MAIL FROM:<a@example.net>\r\nRCPT TO:<a@ext.test>\r\n", ["250 2.1.0", "550 5.7.1", "554 5.5.1"]),
        (b"RSET\r\n", ["250 2.0.0", "503 5.5.1"]),
    ],
    ids=["no-mail", "no-rcpt", "bad-rcpt", "refused-rcpt", "after-rset"],
)
def test_octets_of_a_refused_chunk_are_never_commands(
    attacked: Pymta, hop: RecordingHop, before: bytes, expected: list[str]
) -> None:
    """
    Row 6: the chunk is skipped whole, and the session goes on behind it.
    """
    with Wire(attacked.port, hello="client.example.net") as wire:
        replies = wire.all_replies(before, CHUNK, b"NOOP\r\n")

    assert [*expected, "250 2.0.0", "221 2.0.0"] == codes(replies)
    assert [] == hop.find("evil-framing@example.org")


@pytest.mark.parametrize(
    "count",
    [
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854775808",
        "67108865",
        "99999999999999999999",
    ],
)
def test_a_huge_chunk_is_refused_before_it_comes(attacked: Pymta, count: str) -> None:
    """
    Row 6: no wrap, no allocation; what follows belongs to the chunk, or the session is over.
    """
    before_octets = attacked.memory_octets()
    with ready(attacked.port) as wire:
        reply = wire.ask(f"BDAT {count}")
        assert codes([reply])[0] in ("552 5.3.4", "521 5.5.4"), reply
        wire.send_in_steps([EVIL] * 1000)
        if "552 5.3.4" != codes([reply])[0]:
            wait_until(wire.is_closed, "the session is over")

    assert attacked.memory_octets() - before_octets < 8 << 20


@pytest.mark.parametrize(
    "line",
    [
        "BDAT",
        "BDAT x",
        "BDAT -1",
        "BDAT 1.5",
        "BDAT +5",
        "BDAT 0x10",
        "BDAT 5 FIRST",
        "BDAT 5 LAST LAST",
        "BDAT \u0665",
    ],
)
def test_a_chunk_whose_end_nobody_knows_ends_the_session(attacked: Pymta, line: str) -> None:
    """
    Row 6: guessing where the next command begins is what the attack is about.
    """
    with ready(attacked.port) as wire:
        replies = wire.all_replies(line, b"\r\n", EVIL)

    assert ["521 5.5.4"] == codes(replies)


def test_sizes_of_chunks_add_up(attacked: Pymta) -> None:
    """
    Row 6: two that are each allowed and together not; the second is refused before it comes.
    """
    with ready(attacked.port) as wire:
        assert wire.ask("BDAT 2\r\n").startswith("250 ")  # the CRLF that `ask` adds is the chunk
        assert wire.ask("BDAT 67108863").startswith("552 5.3.4")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        # Nothing but BDAT may follow BDAT, and what is refused does not end the transaction.
        (
            b"BDAT 3\r\na\r\nMAIL FROM:<evil-framing@example.org>\r\nBDAT 0 LAST\r\n",
            ["250 2.0.0", "503 5.5.1", "250 2.0.0"],
        ),
        (
            b"BDAT 3\r\na\r\nRCPT TO:<evil@us.test>\r\nBDAT 0 LAST\r\n",
            ["250 2.0.0", "503 5.5.1", "250 2.0.0"],
        ),
        # RSET between chunks forgets them; inside of one it is content.
        (b"BDAT 3\r\na\r\nRSET\r\nBDAT 3 LAST\r\nb\r\n", ["250 2.0.0", "250 2.0.0", "503 5.5.1"]),
        (b"BDAT 6\r\nRSET\r\nBDAT 6 LAST\r\nQUIT\r\n", ["250 2.0.0", "250 2.0.0"]),
        # An empty last chunk is the end; another chunk after it has no transaction.
        (b"BDAT 0 LAST\r\nBDAT 3 LAST\r\na\r\n", ["250 2.0.0", "503 5.5.1"]),
        # A chunk in DATA is content.
        (b"DATA\r\nBDAT 3 LAST\r\n.\r\n", ["354", "250 2.0.0"]),
    ],
    ids=["mail", "rcpt", "rset-between", "rset-inside", "after-last", "in-data"],
)
def test_order_of_chunks(attacked: Pymta, sent: bytes, expected: list[str]) -> None:
    """
    Row 6: RFC 3030 §2, whatever is pipelined.
    """
    with ready(attacked.port, forward_path="order-of-chunks@us.test") as wire:
        replies = wire.all_replies(sent)

    assert [*expected, "221 2.0.0"] == codes(replies)


def test_data_after_bdat_is_refused_and_its_content_ends_the_session(
    attacked: Pymta, hop: RecordingHop
) -> None:
    """
    Rows 6 and 7: RFC 3030 §2 has one or the other; alone the refusal costs nothing, with content behind it the session.
    """
    with ready(attacked.port) as wire:
        assert wire.ask("BDAT 3\r\na").startswith("250 2.0.0")
        assert wire.ask("DATA").startswith("503 5.5.1")
        assert wire.ask("BDAT 0 LAST").startswith("250 2.0.0")
    with ready(attacked.port) as wire:
        replies = wire.all_replies(b"BDAT 3\r\na\r\nDATA\r\n", EVIL)

    assert ["250 2.0.0", "503 5.5.1", "421 4.7.0"] == codes(replies)
    assert [] == hop.find("evil-framing@example.org")


def test_a_connection_that_ends_within_a_chunk_leaves_no_message(attacked: Pymta, hop: RecordingHop) -> None:
    """
    Row 6: nor one within DATA; nothing was said, so nothing is taken.
    """
    for start in (b"BDAT 1000 LAST\r\n", b"DATA\r\n"):
        with ready(attacked.port, reverse_path="half-said@example.net") as wire:
            wire.send(start, b"Subject: half\r\n\r\nhalf\r\n")
            port = wire.local_port
        attacked.wait_event("connect", peer=f"127.0.0.1:{port}", end="closed")

    assert [] == hop.find("half-said@example.net")


# ---- row 7: pipelines ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (b"RCPT TO:<b@us.test>\r\n", ["503 5.5.1", "503 5.5.1"]),
        (b"MAIL FROM:<a@example.net>\r\n", ["250 2.1.0", "554 5.5.1"]),
        (b"MAIL FROM:<a@example.net>\r\nRCPT TO:<bad>\r\n", ["250 2.1.0", "501 5.1.3", "554 5.5.1"]),
        (b"MAIL FROM:<a@example.net>\r\nRCPT TO:<a@ext.test>\r\n", ["250 2.1.0", "550 5.7.1", "554 5.5.1"]),
        (
            b"MAIL FROM:<a@example.net> BODY=BINARYMIME\r\nRCPT TO:<b@us.test>\r\n",
            ["250 2.1.0", "250 2.1.5", "503 5.5.1"],
        ),
    ],
    ids=["no-mail", "no-rcpt", "bad-rcpt", "refused-rcpt", "binary"],
)
def test_a_body_without_a_354_is_not_obeyed(
    attacked: Pymta, hop: RecordingHop, before: bytes, expected: list[str]
) -> None:
    """
    Row 7: one write with MAIL, RCPT, DATA and content in it; where DATA is refused the session ends.
    """
    with Wire(attacked.port, hello="client.example.net") as wire:
        replies = wire.all_replies(before, b"DATA\r\nSubject: x\r\n\r\n", EVIL)

    assert [*expected, "421 4.7.0"] == codes(replies)
    assert [] == hop.find("evil-framing@example.org")


def test_two_messages_in_one_write_are_two_messages(attacked: Pymta, hop: RecordingHop) -> None:
    """
    Row 7: impolite pipelining (content before the 354) with valid recipients has one reading only.
    """
    message = b"MAIL FROM:<two-in-one@example.net>\r\nRCPT TO:<b@us.test>\r\nDATA\r\nSubject: two-in-one\r\n\r\nx\r\n.\r\n"
    with Wire(attacked.port, hello="client.example.net") as wire:
        replies = wire.all_replies(message, message)

    one = ["250 2.1.0", "250 2.1.5", "354", "250 2.0.0"]
    assert [*one, *one, "221 2.0.0"] == codes(replies)
    assert 2 == len(hop.wait_taken("MAIL FROM:<two-in-one@example.net>", count=2))


def test_every_octet_in_a_segment_of_its_own_says_the_same(attacked: Pymta, hop: RecordingHop) -> None:
    """
    Rows 1, 6 and 7: how the stream is cut decides nothing.
    """
    stream = (
        b"EHLO client.example.net\r\nMAIL FROM:<octets@example.net>\r\nRCPT TO:<b@us.test>\r\nDATA\r\n"
        b"Subject: octets\r\n\r\n..\r\nx\r\n.\r\nMAIL FROM:<octets@example.net>\r\nRCPT TO:<b@us.test>\r\n"
        b"BDAT 5\r\na\r\n\r\nBDAT 0 LAST\r\nQUIT\r\n"
    )
    with Wire(attacked.port) as wire:
        for octet in stream:
            wire.send(bytes([octet]))
        replies = wire.rest()

    one = ["250 2.1.0", "250 2.1.5"]
    assert ["250", *one, "354", "250 2.0.0", *one, "250 2.0.0", "250 2.0.0", "221 2.0.0"] == codes(replies)
    assert b"\r\n..\r\nx\r\n" in hop.wait_taken("Subject: octets")[0].raw


def test_commands_behind_quit_are_not_obeyed(attacked: Pymta, hop: RecordingHop) -> None:
    """
    Row 7: 221 is the last word.
    """
    with in_data(attacked.port) as wire:
        replies = wire.all_replies(b"x\r\n.\r\nQUIT\r\n", EVIL)

    assert ["250 2.0.0", "221 2.0.0"] == codes(replies)
    assert [] == hop.find("evil-framing@example.org")
