"""
Sizes, addresses and contents: what the command line may ask for, and that it is what comes out.
"""

import re
from collections import Counter
from email import message_from_bytes
from email.utils import parsedate_to_datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymta.load.content import ContentMaker
from pymta.load.pattern import AddressPattern
from pymta.load.plan import Plan
from pymta.load.sizes import Sizes

# ---- sizes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("4096", 4096, 4096),
        ("64k", 65536, 65536),
        ("1M", 1 << 20, 1 << 20),
        ("1k-2K", 1024, 2048),
        ("5-5", 5, 5),
    ],
)
def test_a_size_or_range_gives_sizes_of_it(text: str, least: int, most: int) -> None:
    """Both ends belong to a range."""
    choose = Sizes(text).chooser(Random(1))
    chosen = {choose() for _ in range(20_000)}

    assert (least, most) == (min(chosen), max(chosen))


def test_a_list_gives_sizes_by_weight() -> None:
    """Nine of ten are small, none has the weight 0."""
    sizes = Sizes("100:9, 200:1, 300:0")
    choose = sizes.chooser(Random(1))
    chosen = Counter(choose() for _ in range(10_000))

    assert 300 == sizes.octets_max
    assert {100, 200} == set(chosen)
    assert 0.88 < chosen[100] / 10_000 < 0.92


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4096,",
        "-5",
        "4k-",
        "2k-1k",
        "4g",
        "1e3",
        "300M",
        "4k:0",
        "4k:-1",
        "٣",
        "1:1:1",
        ",".join(["1"] * 101),
    ],
)
def test_other_sizes_are_refused(text: str) -> None:
    """With what was expected."""
    with pytest.raises(ValueError, match=r"expected|at most"):
        Sizes(text)


# ---- addresses -----------------------------------------------------------------------------------------------------


def test_a_pattern_has_places_for_message_recipient_and_chance() -> None:
    """Many domains come from one pattern."""
    pattern = AddressPattern("u{n}-{r}@d{1-3}.example.test")
    made = {pattern.make(7, 2, Random(seed)) for seed in range(50)}

    assert {f"u7-2@d{number}.example.test" for number in (1, 2, 3)} == made
    assert pattern.changes_with_message
    assert pattern.changes_with_recipient


def test_a_pattern_without_places_is_itself() -> None:
    """And is known not to change, so that one envelope does for all messages."""
    pattern = AddressPattern("a@example.test")

    assert "a@example.test" == pattern.make(1, 1, Random(0))
    assert not pattern.changes_with_message
    assert not pattern.changes_with_recipient


def test_the_null_reverse_path_is_a_pattern() -> None:
    """Written as SMTP writes it."""
    assert AddressPattern("<>").is_null
    assert "" == AddressPattern("<>").make(1, 1, Random(0))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{x}@example.test",
        "a b@example.test",
        "a@example.test\r\nRSET",
        "{9-1}@example.test",
        "{}@x.test",
        "a{n}",
    ],
)
def test_other_patterns_are_refused_before_the_run(text: str) -> None:
    """Nothing that is no address goes into a command."""
    with pytest.raises(ValueError, match=r"expected|no address"):
        AddressPattern(text)


# ---- contents ------------------------------------------------------------------------------------------------------


@given(st.integers(400, 600_000), st.integers(0, 1000))
def test_content_is_as_large_as_asked_and_has_whole_lines(octets: int, seed: int) -> None:
    """No bare CR or LF, no line that is too long, the last one ended: for every size."""
    content = maker(seed % 3).make(5, "a@example.test", "b@example.test", octets)

    assert octets == len(content)
    assert content.endswith(b"\r\n")
    assert re.search(rb"\r(?!\n)|(?<!\r)\n", content) is None
    assert max(map(len, content.split(b"\r\n"))) <= 998


MAKERS: dict[int, ContentMaker] = {}


def maker(seed: int) -> ContentMaker:
    """Made once for each seed: the text costs a moment."""
    return MAKERS.setdefault(seed, ContentMaker("load.example.test", Random(seed)))


def test_content_smaller_than_its_header_section_is_that_section() -> None:
    """A message without header section would be none."""
    content = maker(0).make(1, "a@example.test", "b@example.test", 1)

    assert content.endswith(b"\r\n\r\n")
    assert len(content) < 400


def test_a_message_is_a_real_message() -> None:
    """With a date, an id of its own, an author and who it is for."""
    first, second = (
        message_from_bytes(maker(0).make(number, "a@example.test", "b@example.test", 4096))
        for number in (1, 2)
    )

    assert ["<a@example.test>", "<b@example.test>"] == [first["From"], first["To"]]
    assert parsedate_to_datetime(first["Date"]).tzinfo is not None
    assert first["Message-ID"] != second["Message-ID"]
    assert re.fullmatch(r"<[0-9a-f]+\.1@load\.example\.test>", first["Message-ID"])
    assert [] == first.defects
    assert first.get_payload() != second.get_payload()


def test_two_runs_with_one_seed_do_not_share_message_ids() -> None:
    """The second would look like duplicates of the first."""
    one, two = (ContentMaker("x.test", Random(0)).make(1, "a@b.test", "c@d.test", 500) for _ in range(2))

    assert message_from_bytes(one)["Message-ID"] != message_from_bytes(two)["Message-ID"]


def test_texts_hold_lines_with_dots() -> None:
    """A lone dot, two, and one in front: what dot-stuffing is for (RFC 5321 §4.5.2)."""
    body = maker(0).make(1, "a@b.test", "c@d.test", 300_000).partition(b"\r\n\r\n")[2].split(b"\r\n")

    assert {b".", b"..", b".leading dot", b""} <= set(body)


# ---- plans ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"messages_max": None}, "count of messages or a duration"),
        ({"connections": 0}, "connections"),
        ({"rate_per_s": 0.0}, "messages a second"),
        ({"duration_s": -1.0}, "seconds"),
        ({"recipients": 10_001}, "recipients"),
        ({"connections": 1000, "sizes": Sizes("256M")}, "memory"),
        ({"forward_path": AddressPattern("<>")}, "address to send to"),
    ],
)
def test_a_plan_that_cannot_be_done_says_why(changes: dict[str, object], why: str) -> None:
    """Before anything is connected to."""
    with pytest.raises(ValueError, match=why):
        Plan(**{"host": "127.0.0.1", "port": 25, **changes})  # type: ignore[arg-type]  # a dict of keywords
