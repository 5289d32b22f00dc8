"""SRS: there and back, by us and by others before us; forged, old and overlong addresses."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymta._core import Address
from pymta.directory import Directory, Domain, Resolution, TableLookup
from pymta.directory.srs import DAY_MS, Srs, load_secret

NOW_MS = 1_795_000_000_000


def srs(now_ms: int = NOW_MS, secret: bytes = b"secret") -> Srs:
    return Srs(secret, now_ms=lambda: now_ms, days_max=21)


@pytest.mark.parametrize(
    "path",
    [
        "author@example.net",
        "o'brien+tag@example.net",
        '"a b"@example.net',
        "a=b@example.net",
        "ü@example.net",
    ],
)
def test_a_forwarded_reverse_path_is_ours_and_leads_back(path: str) -> None:
    address = srs().forward(Address(path), "example.org")

    assert "example.org" == address.domain
    assert address.local_part.strip('"').startswith("SRS0=")
    assert Address(path) == srs().reverse(address.local_part)


def test_case_may_be_lost_on_the_way_back() -> None:
    address = srs().forward(Address("author@example.net"), "example.org")

    assert Address("author@example.net") == srs().reverse(address.local_part.lower())


def test_what_another_forwarder_rewrote_leads_back_to_it() -> None:
    """
    The second forwarder keeps the first one's address, and so does every one after it: it does not grow.
    """
    other = Address("SRS0=abcd=XY=example.net=author@other.example")

    ours = srs().forward(other, "example.org")
    third = srs(secret=b"another").forward(ours, "third.example")

    assert ours.local_part.startswith("SRS1=")
    assert "=other.example==abcd=XY=example.net=author" in ours.local_part
    assert other == srs().reverse(ours.local_part)
    assert third.local_part[len("SRS1=123456") :] == ours.local_part[len("SRS1=123456") :]
    assert other == srs(secret=b"another").reverse(third.local_part)


def test_a_forged_or_changed_address_leads_nowhere() -> None:
    address = srs().forward(Address("author@example.net"), "example.org").local_part

    assert srs(secret=b"other").reverse(address) is None
    assert srs().reverse(address.replace("author", "victim")) is None
    assert srs().reverse("SRS0=AAAAAA=AA=example.net=victim") is None
    assert srs().reverse("SRS1=AAAAAA=other.example==abcd=XY=example.net=victim") is None
    assert srs().reverse("SRS0") is None
    assert srs().reverse("author") is None


def test_an_old_address_stops_leading_back() -> None:
    address = srs().forward(Address("author@example.net"), "example.org").local_part

    assert srs(NOW_MS + 21 * DAY_MS).reverse(address) is not None
    assert srs(NOW_MS + 22 * DAY_MS).reverse(address) is None
    assert srs(NOW_MS - DAY_MS).reverse(address) is None


def test_what_would_get_too_long_is_left_alone() -> None:
    long = Address("a" * 60 + "@example.net")

    assert long == srs().forward(long, "example.org")


@given(st.text(max_size=80))
def test_any_local_part_is_read_without_an_exception(text: str) -> None:
    srs().reverse(text)
    srs().reverse("SRS0=" + text)


def test_the_directory_finds_what_such_an_address_stands_for() -> None:
    directory = Directory(TableLookup([Domain(name="example.org")], [], []), srs=srs())
    address = srs().forward(Address("author@example.net"), "example.org")

    found = directory.resolve(address)
    forged = directory.resolve("SRS0=AAAAAA=AA=example.net=victim@example.org")

    assert isinstance(found, Resolution)
    assert isinstance(forged, Resolution)
    assert (Address("author@example.net"),) == found.forwards
    assert "unknown" == forged.status


def test_the_secret_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "srs.key"

    made = load_secret(file)

    assert 32 == len(made)
    assert made == load_secret(file)
    assert 0o600 == file.stat().st_mode & 0o777
