"""
Too much of everything, in bounded memory (attacks.md, rows 20, 21 and 22).
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.attacks.hop import RecordingHop
from tests.e2e.attacks.wire import Wire, codes, in_data
from tests.partners.pymta import Pymta, next_hop
from tests.partners.waiting import wait_until

MEGABYTE = b"x" * (1 << 20)
AT_ONCE = 8
EACH_OCTETS = 8 << 20
GROWTH_OCTETS_MAX = 24 << 20
"""Of the whole process, while 64 MiB are sent to it."""


# ---- row 20: lines without end -------------------------------------------------------------------------------------


def before_hello(server: Pymta) -> Wire:
    return Wire(server.port)


def in_auth(server: Pymta) -> Wire:
    wire = Wire(server.port, hello="client.example.net")
    wire.ask("STARTTLS")
    wire.start_tls()
    wire.ask("EHLO client.example.net")
    assert wire.ask("AUTH PLAIN") == "334 "
    return wire


def in_content(server: Pymta) -> Wire:
    return in_data(server.port)


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (before_hello, b"\r\n", "500 5.5.2"),
        (in_auth, b"\r\n", "500 5.5.2"),
        (in_content, b"\r\n.\r\n", "550 5.6.0"),
    ],
)
def test_megabytes_without_a_line_end_cost_no_memory(
    attacked: Pymta, begin: Callable[[Pymta], Wire], end: bytes, expected: str
) -> None:
    """
    Row 20: before EHLO, in AUTH, in content; eight clients at once, and each session goes on afterwards.
    """
    wires = [begin(attacked) for _ in range(AT_ONCE)]
    before_octets = attacked.memory_octets()
    peak_octets = 0
    for _ in range(EACH_OCTETS >> 20):
        for wire in wires:
            wire.send(MEGABYTE)
        peak_octets = max(peak_octets, attacked.memory_octets())
    for wire in wires:
        with wire:
            assert codes(wire.all_replies(end, b"NOOP\r\n")) == [expected, "250 2.0.0", "221 2.0.0"]

    assert peak_octets - before_octets < GROWTH_OCTETS_MAX


def test_a_flood_of_short_commands_costs_no_memory(attacked: Pymta) -> None:
    """
    Row 20: a megabyte of commands in one write ends at the limit of commands that lead nowhere.
    """
    before_octets = attacked.memory_octets()
    with Wire(attacked.port) as wire:
        replies = wire.all_replies(b"NOOP\r\n" * 200_000)

    assert ["250 2.0.0"] * 100 + ["421 4.7.0"] == codes(replies)
    assert attacked.memory_octets() - before_octets < GROWTH_OCTETS_MAX


def test_content_over_its_limit_is_counted_and_not_kept(attacked: Pymta) -> None:
    """
    Row 20: what is announced as too large is refused at MAIL, what turns out so at its end, without being kept.
    """
    before_octets = attacked.memory_octets(peak=True)
    with Wire(attacked.port, hello="client.example.net") as wire:
        for declared in ("67108865", "18446744073709551616", "99999999999999999999"):
            assert wire.ask(f"MAIL FROM:<a@example.net> SIZE={declared}").startswith("552 5.3.4"), declared
        assert wire.ask("MAIL FROM:<a@example.net> SIZE=1").startswith("250 ")
        wire.ask("RCPT TO:<b@us.test>")
        wire.ask("DATA")
        line = b"x" * 998 + b"\r\n"
        wire.send_in_steps([line * 1024] * 66)
        assert [*codes(wire.all_replies(b".\r\n"))] == ["552 5.3.4", "221 2.0.0"]

    assert attacked.memory_octets(peak=True) - before_octets < GROWTH_OCTETS_MAX


# ---- row 21: fields, parts, parameters -----------------------------------------------------------------------------


def sent(server: Pymta, pieces: Iterator[bytes], *, reverse_path: str = "author@example.net") -> list[str]:
    """The replies to content that is sent as fast as it goes, and to NOOP behind it."""
    with in_data(server.port, reverse_path=reverse_path) as wire:
        wire.send_in_steps(pieces)
        return codes(wire.all_replies(b"\r\n.\r\nNOOP\r\n"))


@pytest.mark.parametrize(
    ("count", "line", "expected"),
    [
        (1_000_000, b"A: b\r\n", "552 5.3.4"),
        (1_001, b"A: b\r\n", "554 5.6.0"),
        (1_000, b"A: b\r\n", "250 2.0.0"),
        (1, b"A: " + b"x" * 60_000 + b"\r\n", "250 2.0.0"),
        (5, b"A: " + b"x" * 60_000 + b"\r\n", "552 5.3.4"),
        (500_000, b"\tx\r\n", "552 5.3.4"),
        (100_000, b"no field\r\n", "552 5.3.4"),
    ],
    ids=["a-million", "one-too-many", "at-the-limit", "long", "too-long", "folded", "no-fields"],
)
def test_header_sections_are_bounded(attacked: Pymta, count: int, line: bytes, expected: str) -> None:
    """
    Row 21: by fields and by octets; lines that are no fields count too, up to the empty one.
    """
    before_octets = attacked.memory_octets()

    assert [expected, "250 2.0.0", "221 2.0.0"] == sent(
        attacked, (line * 100 for _ in [0] * (count // 100)) if count % 100 == 0 else iter([line * count])
    )
    assert attacked.memory_octets() - before_octets < GROWTH_OCTETS_MAX


def nested(depth: int) -> Iterator[bytes]:
    """Multiparts within multiparts."""
    yield b"X-Parts: 1\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b0\r\n\r\n"
    for level in range(depth):
        yield b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (level, level + 1)


def one_boundary_for_all(depth: int) -> Iterator[bytes]:
    """Every multipart says that its parts end with the line that ends its parent's (cyclic to a careless parser)."""
    yield b"X-Parts: 1\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    yield b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" * depth


def prefixes(depth: int) -> Iterator[bytes]:
    """Each boundary begins as its parent's does."""
    yield b"X-Parts: 1\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n"
    for level in range(1, depth):
        yield (
            b"--"
            + b"a" * level
            + b"\r\nContent-Type: multipart/mixed; boundary="
            + b"a" * (level + 1)
            + b"\r\n\r\n"
        )


def many_parts(count: int) -> Iterator[bytes]:
    """Very many small parts."""
    yield b"X-Parts: 1\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    yield b"--b\r\n\r\nx\r\n" * count


def messages_in_messages(depth: int) -> Iterator[bytes]:
    """message/rfc822 within message/rfc822."""
    yield b"X-Parts: 1\r\nMIME-Version: 1.0\r\n"
    yield b"Content-Type: message/rfc822\r\n\r\n" * depth


def parameters(count: int) -> Iterator[bytes]:
    """A Content-Type with very many parameters, in a header section that is just small enough."""
    yield b"X-Parts: 1\r\nMIME-Version: 1.0\r\nContent-Type: text/plain"
    yield b";\r\n a=b" * count
    yield b"\r\n\r\nx"


def continuations(count: int) -> Iterator[bytes]:
    """A file name in very many pieces (RFC 2231 §3)."""
    yield b"X-Parts: 1\r\nMIME-Version: 1.0\r\nContent-Type: text/plain"
    for index in range(count):
        yield b";\r\n name*%d=x" % index
    yield b"\r\n\r\nx"


def gaps(count: int) -> Iterator[bytes]:
    """The same with numbers as far apart as they go."""
    yield b"X-Parts: 1\r\nMIME-Version: 1.0\r\nContent-Type: text/plain"
    for index in range(count):
        yield b";\r\n name*%d=x" % (index * 999_983 % 1_000_000_007)
    yield b"\r\n\r\nx"


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (nested, 10_000),
        (one_boundary_for_all, 10_000),
        (prefixes, 1_000),
        (many_parts, 200_000),
        (messages_in_messages, 5_000),
        (parameters, 30_000),
        (continuations, 10_000),
        (gaps, 10_000),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_policy_that_looks_at_parts_survives_any_structure(
    attacked: Pymta, make: Callable[[int], Iterator[bytes]], count: int
) -> None:
    """
    Row 21: `message.parts` in the policy of the server under attack; an answer in time, and memory that stays.
    """
    before_octets = attacked.memory_octets()

    assert ["250 2.0.0", "250 2.0.0", "221 2.0.0"] == sent(attacked, make(count))
    assert attacked.memory_octets() - before_octets < GROWTH_OCTETS_MAX


def test_a_million_parameters_are_more_than_a_header_section_may_hold(attacked: Pymta) -> None:
    """
    Row 21.
    """
    assert ["552 5.3.4", "250 2.0.0", "221 2.0.0"] == sent(attacked, parameters(1_000_000))


def test_what_the_policy_was_shown_is_bounded(attacked: Pymta, hop: RecordingHop) -> None:
    """
    Row 21: the number of parts and their depth, as the policy wrote them into the message.
    """
    sent(attacked, nested(10_000), reverse_path="deep@example.net")
    sent(attacked, many_parts(200_000), reverse_path="wide@example.net")
    found = [
        hop.wait_taken(f"MAIL FROM:<{name}@example.net>")[0]
        .content.split(b"X-Found: ", 1)[1]
        .split(b"\r\n")[0]
        for name in ("deep", "wide")
    ]
    (deep_parts, depth), (wide_parts, _) = (tuple(map(int, value.split())) for value in found)

    assert depth <= 100
    assert deep_parts <= 10_000
    assert 1_000 <= wide_parts <= 10_000


# ---- row 22: names in pieces ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    [
        b'Content-Disposition: attachment; filename="evil.exe"',
        b'Content-Disposition: attachment;\r\n filename*0="ev";\r\n filename*1="il.e";\r\n filename*2="xe"',
        b"Content-Disposition: attachment;\r\n\tfilename*1=il.exe;\r\n\tfilename*0=ev",
        b"Content-Disposition: attachment; filename*0*=utf-8''ev%69l; filename*1*=%2eexe",
        b"Content-Disposition: attachment; filename*=utf-8''evil%2Eexe",
        b'Content-Disposition: attachment; filename="=?utf-8?q?evil=2Eexe?="',
        b"Content-Disposition: attachment; filename=evil.exe.",
        b'Content-Disposition: attachment; filename="evil.\r\n\texe"',
        b'Content-Type: application/octet-stream; name="evil.exe"',
    ],
    ids=lambda field: ascii(field[:70])[2:-1],
)
def test_a_name_is_put_together_before_policy_looks_at_it(attacked: Pymta, field: bytes) -> None:
    """
    Row 22: across folds, out of order, encoded, by either field.
    """
    content = [
        b"X-Parts: 1\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
        field,
        b"\r\n\r\nMZ\r\n--b--\r\n",
    ]

    assert ["554 5.7.1", "250 2.0.0", "221 2.0.0"] == sent(attacked, iter(content))


def test_refused_content_does_not_stay_on_the_disk(folder: Path) -> None:
    """
    Rows 20 and 38: what went to disk while it came and was refused at its end gives its room back.
    """
    segment_octets = 16 << 20
    with Pymta(folder, spool={"segment_octets": segment_octets}, routes=[next_hop(1)]) as server:
        for _ in range(4):
            with in_data(server.port) as wire:
                wire.send_in_steps([b"x" * 998 + b"\r\n"] * (segment_octets // 1000))
                assert codes(wire.all_replies(b"\n\r\n.\r\n")) == ["550 5.6.0", "221 2.0.0"]

        wait_until(
            lambda: server.control.status().spool["disk_octets"] <= 2 * segment_octets,
            "the room is given back",
        )
        assert 0 == server.control.status().spool["live_octets"]
