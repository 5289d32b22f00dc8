"""One person is one text: the canonical form of an address (RFC 6531, 5891, 8265; notes/attacks.md, row 35)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymta._core import Address
from pymta.directory import InvalidAddress, canonical_address, canonical_local_part
from pymta.directory.identity import folder_of


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("User@Example.ORG", "user@example.org"),
        ('"user"@example.org', "user@example.org"),
        ('"us\\er"@example.org', "user@example.org"),
        ('"two words"@example.org', '"two words"@example.org'),
        ("K@example.org", "k@example.org"),  # the Kelvin sign
        ("ｕｓｅｒ@example.org", "user@example.org"),  # full-width letters
        ("user@example．org", "user@example.org"),  # a full-width dot
        ("cafe\u0301@example.org", "caf\u00e9@example.org"),  # an accent of its own
        ("ÜSER@BÜCHER.example", "üser@xn--bcher-kva.example"),
        ("user@xn--bcher-kva.example", "user@xn--bcher-kva.example"),
        ("ΟΔΟΣ@example.org", "οδοσ@example.org"),  # whatever sigma stands last
    ],
)
def test_spellings_of_one_address_have_one_form(written: str, canonical: str) -> None:
    assert canonical == canonical_address(written)
    assert canonical == canonical_address(canonical)


@pytest.mark.parametrize(
    ("one", "other"),
    [("straße@example.org", "strasse@example.org"), ("a@straße.example", "a@strasse.example")],
)
def test_what_idna_2008_tells_apart_stays_apart(one: str, other: str) -> None:
    assert canonical_address(one) != canonical_address(other)


@pytest.mark.parametrize(
    "written",
    [
        "user",
        "user@",
        "@example.org",
        "user@[192.0.2.1]",
        "us\u200ber@example.org",  # a space of no width
        "user\u202e@example.org",  # turns the direction of writing
        "user@xn--a.example",
        "a@b@example.org",
        "user\r\n@example.org",
        "u" * 65 + "@example.org",
    ],
)
def test_what_is_no_address_of_anybody_is_refused(written: str) -> None:
    with pytest.raises(InvalidAddress):
        canonical_address(written)


@given(st.text(min_size=1, max_size=20))
def test_a_canonical_local_part_stays_as_it_is(text: str) -> None:
    try:
        once = canonical_local_part(text)
        quoted = once.startswith('"') and once.endswith('"')
        assert quoted or once == canonical_local_part(once)
    except InvalidAddress:
        pass


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=20))
def test_any_canonical_address_is_an_address_and_is_canonical(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    try:
        canonical = canonical_address(f'"{escaped}"@Example.org')
    except InvalidAddress:
        return

    assert canonical == str(Address(canonical))
    assert canonical == canonical_address(canonical)


@pytest.mark.parametrize(
    ("address", "folder"),
    [
        ("alice@example.org", "example.org/alice"),
        ('"../../etc/passwd"@example.org', "example.org/%2E.%2F..%2Fetc%2Fpasswd"),
        ('"."@example.org', "example.org/%2E"),
        ('".."@example.org', "example.org/%2E."),
        ('"a/b"@example.org', "example.org/a%2Fb"),
        ("a%2fb@example.org", "example.org/a%252fb"),
        ("üser@example.org", "example.org/%C3%BCser"),
    ],
)
def test_a_mail_folder_is_two_plain_names(address: str, folder: str) -> None:
    """
    Path traversal by a local part (notes/attacks.md, row 26) has nothing to hold on to.
    """
    assert folder == folder_of(address)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=20))
def test_no_address_leaves_the_root(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    try:
        folder = folder_of(f'"{escaped}"@example.org')
    except InvalidAddress:
        return
    domain, _, name = folder.partition("/")

    assert "example.org" == domain
    assert name
    assert "/" not in name
    assert not name.startswith(".")
    assert name.isascii()
    assert name.isprintable()
