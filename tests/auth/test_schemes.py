"""Stored passwords of all forms: known answers, what never matches, and what a login replaces."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymta.auth.schemes import (
    PASSWORD_OCTETS_MAX,
    HashCost,
    UnknownScheme,
    make,
    make_generated,
    make_scram,
    needs_upgrade,
    prepared,
    scheme_of,
    verify,
)
from pymta.auth.scram import ScramKeys

CHEAP = HashCost(memory_kib=64, passes=1, scram_iterations=4096)


def ssha(name: str, password: str, salt: bytes) -> str:
    digest = hashlib.new(name, password.encode() + salt).digest()
    return base64.b64encode(digest + salt).decode()


KNOWN = [
    # RFC 7677 §3: "pencil"; the keys are those of PostgreSQL's documentation of the same exchange
    (
        "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "pencil",
        "scram-sha-256",
    ),
    # `openssl passwd -6 -salt saltstring`, and -5
    (
        "$6$saltstring$vt07nw9m6Xiigy7OAYMFYFStcMP54FaSB00tTxeQSkZz2ZvVejm72AYT0rU/3qNGSeb9bNXz0xDGYP2E4Fm6Y.",
        "Hello wörld",
        "sha512-crypt",
    ),
    ("{CRYPT}$5$saltstring$grzNMyqc6S4QzhP2t88.0GBmlP9fTvXWWjIbGIZkHd.", "Hello wörld", "sha256-crypt"),
    # Drepper's SHA-crypt specification
    (
        "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/"
        "YTBmSK6H9qs/y3RnOaw5v.",
        "Hello world!",
        "sha512-crypt",
    ),
    # John the Ripper's test vectors
    ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", "bcrypt"),
    ("{BLF-CRYPT}$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", "bcrypt"),
    ("{SSHA}" + ssha("sha1", "pässword", b"salt"), "pässword", "ssha"),
    ("{ssha256}" + ssha("sha256", "secret", b"0123456789"), "secret", "ssha256"),
    ("{SSHA512}" + ssha("sha512", "secret", b"x"), "secret", "ssha512"),
    ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "password", "sha"),
]


@pytest.mark.parametrize(("stored", "password", "scheme"), KNOWN)
def test_a_password_brought_from_elsewhere_verifies(stored: str, password: str, scheme: str) -> None:
    assert scheme == scheme_of(stored)
    assert verify(stored, password)
    assert not verify(stored, password + "x")
    assert needs_upgrade(stored, CHEAP)


def test_what_we_make_verifies_and_stays() -> None:
    stored = make("correct horse", CHEAP)

    assert stored.startswith("$argon2id$")
    assert verify(stored, "correct horse")
    assert not verify(stored, "correct horsf")
    assert not needs_upgrade(stored, CHEAP)
    assert needs_upgrade(stored, HashCost(memory_kib=128, passes=1))
    assert stored != make("correct horse", CHEAP)


def test_keys_for_scram_are_read_as_they_were_written() -> None:
    stored = make_scram("correct horse", CHEAP)

    assert stored == ScramKeys.parse(stored).stored()
    assert verify(stored, "correct horse")
    assert not verify(stored, "wrong")


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "secret",
        "{PLAIN}secret",
        "{CLEARTEXT}secret",
        "{MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==",
        "$1$abcdefgh$irWbblnpmw.5z7wgBnprh0",
        "{SSHA}",
        "{SSHA}!!!!",
        "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9",
        "{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",  # without a salt it is no salted one
        "$6$rounds=999999999$salt$x",  # would compute for a day
        "$2b$31$" + "a" * 53,
        "$argon2id$nonsense",
        "{SCRAM-SHA-256}0,c2FsdA==,x,y",
        "{SCRAM-SHA-256}99999999999,c2FsdA==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=",
        "{SSHA256}\x00",
    ],
)
def test_a_broken_or_unsafe_entry_lets_nobody_in(stored: str) -> None:
    for password in ("secret", "password", "", stored):
        assert not verify(stored, password)


def test_an_unknown_scheme_is_named_without_the_secret() -> None:
    with pytest.raises(UnknownScheme) as caught:
        scheme_of("{PLAIN}hunter2")
    assert "hunter2" not in str(caught.value)


def test_a_password_has_an_end() -> None:
    longest = "x" * PASSWORD_OCTETS_MAX
    stored = make(longest, CHEAP)

    assert verify(stored, longest)
    assert not verify(make(longest + "x", CHEAP), longest + "x")
    assert not verify(stored, "")


@pytest.mark.parametrize(
    ("one", "other"), [("cafe\u0301", "caf\u00e9"), ("a\u00a0b", "a b"), ("I\u00adX", "IX"), ("\u2168", "IX")]
)
def test_two_keyboards_write_the_same_password(one: str, other: str) -> None:
    assert prepared(one) == prepared(other)
    assert verify(make(one, CHEAP), other)


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader(stored: str) -> None:
    assert not verify(stored, "password")


def test_what_we_have_made_ourselves_is_quick_to_verify() -> None:
    stored = make_generated("x" * 24)
    assert "ssha512" == scheme_of(stored)
    assert verify(stored, "x" * 24)
    assert not verify(stored, "x" * 23)
    assert stored != make_generated("x" * 24)
