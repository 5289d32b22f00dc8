"""Whom a message says it is from: read for sure, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymta.mail.authors import addresses_of


@pytest.mark.parametrize(
    ("field", "addresses"),
    [
        ("a@x.example", ["a@x.example"]),
        (" <a@x.example> ", ["a@x.example"]),
        ("Alice <a@x.example>", ["a@x.example"]),
        ('"Alice, B." <a@x.example>', ["a@x.example"]),
        ('"a@x.example" <b@y.example>', ["b@y.example"]),  # a name that looks like an address is a name
        ("a@x.example <b@y.example>", ["b@y.example"]),
        ("Alice (the first) <a@x.example> (at home)", ["a@x.example"]),
        ("a@x.example (b@y.example)", ["a@x.example"]),
        ("(nested (comment \\) here)) a@x.example", ["a@x.example"]),
        ("a@x.example, Bob <b@y.example>", ["a@x.example", "b@y.example"]),
        ("Staff: a@x.example, b@y.example;", ["a@x.example", "b@y.example"]),
        ("undisclosed: ;", []),
        ("", []),
        ('"quoted part"@x.example', ['"quoted part"@x.example']),
        ("a@[192.0.2.1]", ["a@[192.0.2.1]"]),
        ("=?utf-8?q?J=C3=BCrgen?= <j@x.example>", ["j@x.example"]),
        ("Jürgen <j@bücher.example>", ["j@bücher.example"]),
        ("J. R. <j@x.example>", ["j@x.example"]),
    ],
)
def test_addresses_are_found(field: str, addresses: list[str]) -> None:
    assert addresses == addresses_of(field.encode())


@pytest.mark.parametrize(
    "field",
    [
        "a@x.example b@y.example",
        "a@x.example <b@y.example> c@z.example",
        "<a@x.example> <b@y.example>",
        "<a@x.example",
        "a@x.example>",
        "<<a@x.example>>",
        "<@relay.example:a@x.example>",  # a route (RFC 5322 §4.4)
        "a@b@x.example",
        "a @ x . example",
        "a(comment)@x.example",
        "Alice",
        "<>",
        '"unclosed <a@x.example>',
        "(unclosed a@x.example",
        "Staff: a@x.example",
        "a@x.example;",
        "a: b: c@x.example;;",
        "a@x.example\x00",
        'a@"x.example"',
        "x" * 20_000 + "@x.example",
        ",".join(["a@x.example"] * 200),
    ],
)
def test_what_two_readers_could_read_differently_is_no_author(field: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        addresses_of(field)


@given(st.text(st.sampled_from('ab@<>(),;:" \\.[]é'), max_size=30))
def test_what_is_found_is_an_address_with_one_at(field: str) -> None:
    try:
        found = addresses_of(field)
    except ValueError:
        return
    for address in found:
        assert "<" not in address
        assert "@" in address
