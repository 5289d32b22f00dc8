"""
Address lists (RFC 5322 §3.4 and appendix A): what is in them comes out, and nothing is guessed.
"""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymta._core import Address
from pymta.send.address_list import parse_address_list


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("", []),
        ("root", ["root"]),
        ("a@example.org", ["a@example.org"]),
        ("a@example.org, b@example.org", ["a@example.org", "b@example.org"]),
        # RFC 5322 appendix A.1.2, A.1.3, A.5, A.6.1
        (
            "Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
            ["mary@x.test", "jdoe@example.org", "one@y.test"],
        ),
        (
            '<boss@nil.test>, "Giant; \\"Big\\" Box" <sysservices@example.net>',
            ["boss@nil.test", "sysservices@example.net"],
        ),
        (
            "A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
            ["c@a.test", "joe@where.test", "jdoe@one.test"],
        ),
        ("Undisclosed recipients:;", []),
        ("(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", []),
        ("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", ["pete@silly.test"]),
        (
            "Mary Smith <@node.test:mary@example.net>, , jdoe@test . example",
            ["mary@example.net", "jdoe@test.example"],
        ),
        ("<@a.test,@b.test:c@d.test>", ["c@d.test"]),
        ('"a b"@example.org', ['"a b"@example.org']),
        ('"a,b" <c@example.org>', ["c@example.org"]),
        ("a@[192.0.2.1]", ["a@[192.0.2.1]"]),
        ("a@[IPv6:2001:db8::1], b@c.test", ["a@[IPv6:2001:db8::1]", "b@c.test"]),
        ("ä@bücher.example", ["ä@bücher.example"]),
        ("a@b.test; c@d.test", ["a@b.test", "c@d.test"]),
        ("a@b.test (comment, with <x@y.test>)", ["a@b.test"]),
        ('"Quoted <trap@evil.test>" <real@good.test>', ["real@good.test"]),
    ],
)
def test_what_is_in_a_list_comes_out(text: str, addresses: list[str]) -> None:
    """As the RFC's examples have it."""
    assert addresses == parse_address_list(text)


@pytest.mark.parametrize(
    "text",
    [
        "a b@example.org",
        "<a@b.test",
        "<a@b.test> x@y.test",
        "<a@b.test> <c@d.test>",
        '"a@b.test',
        "(a@b.test",
        "a@[b.test",
        "a@b.test>",
        "<a@b.test;c@d.test>",
        "x: y: a@b.test;",
        "<>",
        "a)b@c.test",
        "alice@example.org)bob@evil.test",
        "a\\b@c.test",
    ],
)
def test_what_cannot_be_read_for_certain_is_an_error(text: str) -> None:
    """A guess would send mail to a stranger (CVE-2023-27043 was one)."""
    with pytest.raises(ValueError, match=r'expected|unexpected|no end|no ">"|no address'):
        parse_address_list(text)


@given(st.text(alphabet='ab@.,;:<>()[]"\\ \t\r\n', max_size=40))
def test_it_ends_well_or_with_a_value_error(text: str) -> None:
    """Whatever comes; and what comes out without quotes holds no white space."""
    try:
        found = parse_address_list(text)
    except ValueError:
        return
    assert all(address.strip() for address in found)
    assert all('"' in address or not set(address) & set(" \t\r\n<>,") for address in found)


@given(st.lists(st.sampled_from(["a@b.test", '"x y"@c.test', "d@[192.0.2.1]", "é@ü.test"]), max_size=5))
def test_a_list_of_addresses_comes_back(addresses: list[str]) -> None:
    """With names and comments about them."""
    text = ", ".join(f'"N, {at}" (c) <{address}>' for at, address in enumerate(addresses))

    assert addresses == parse_address_list(text)
    assert all(Address(address) for address in addresses)


@pytest.mark.parametrize(
    "text", ["(" * 300_000, '"\\' * 150_000, "[" * 300_000, "a@b.test," * 30_000, " " * 300_000 + "@"]
)
def test_time_is_linear(text: str) -> None:
    """A third of a million characters of any kind are read at once."""
    began_s = time.monotonic()
    try:
        parse_address_list(text)
    except ValueError:
        pass

    assert time.monotonic() - began_s < 5
