"""A full mailbox is known at RCPT, by the file that the store keeps; what is old or odd is not believed."""

import os
from pathlib import Path

import pytest

from pymta.config.settings.directory import MailboxesSettings
from pymta.deliver.quota import MailboxQuota
from pymta.directory import Account

NOW_S = 1_800_000_000.0
ALICE = Account(name="a@x.example", quota_octets=1000)


def quota(folder: Path, text: str | None, *, age_s: float = 0, over_quota: str = "refuse") -> MailboxQuota:
    if text is not None:
        file = folder / "x.example" / "a" / "maildirsize"
        file.parent.mkdir(parents=True)
        file.write_text(text)
        os.utime(file, (NOW_S - age_s, NOW_S - age_s))
    settings = MailboxesSettings(over_quota=over_quota)  # type: ignore[arg-type] # one of the two
    return MailboxQuota(folder, settings, now_s=lambda: NOW_S)


@pytest.mark.parametrize(
    ("text", "octets", "full"),
    [
        ("1000S\n900 1\n", 100, False),
        ("1000S\n900 1\n", 101, True),
        ("1000S\n900 1\n", 0, False),
        ("1000S\n 900 1\n 100 1\n", 0, True),
        ("1000S\n1000 2\n-500 -1\n", 500, False),
        ("1000S\n", 1001, True),  # larger than all of it
        ("", 2000, True),
        (None, 1000, False),
        ("1000S\nnonsense\n", 1000, False),
        ("1000S\n" + "1 1\n" * 10_000, 0, False),
    ],
)
def test_a_message_that_does_not_fit_is_refused(
    tmp_path: Path, text: str | None, octets: int, full: bool
) -> None:
    reply = quota(tmp_path, text).why_full(ALICE, octets)

    assert ("552 5.2.2 mailbox full" if full else "None") == str(reply)


def test_what_is_said_is_the_operator_s_choice(tmp_path: Path) -> None:
    assert "452 4.2.2" == str(quota(tmp_path, "\n1000 1\n", over_quota="defer").why_full(ALICE, 0))[:9]


def test_an_old_file_is_not_believed(tmp_path: Path) -> None:
    """
    Somebody's mail program may have removed mail without saying so: the delivery counts anew.
    """
    assert quota(tmp_path, "\n1000 1\n", age_s=16 * 60).why_full(ALICE, 0) is None


def test_without_a_quota_nothing_is_read(tmp_path: Path) -> None:
    assert quota(tmp_path, "\n1000 1\n").why_full(Account(name="a@x.example"), 10**9) is None


def test_what_is_larger_than_the_quota_fits_into_no_mailbox(tmp_path: Path) -> None:
    """Also where nobody knows what is in it."""
    assert quota(tmp_path, None).why_full(ALICE, 1000) is None
    assert "552 5.2.2 mailbox full" == str(quota(tmp_path, None).why_full(ALICE, 1001))


@pytest.mark.parametrize(
    ("text", "octets", "full"),
    [
        ("1000S,3C\n100 2\n", 100, False),
        ("1000S,3C\n100 2\n100 1\n", 0, True),
        ("1000S,3C\n100 3\n-50 -1\n", 100, False),
        ("1000S,3C\n950 1\n", 100, True),
        ("3C\n950\n", 100, False),  # of another form, so not believed
        (None, 100, False),
    ],
)
def test_messages_are_counted_beside_octets(
    tmp_path: Path, text: str | None, octets: int, full: bool
) -> None:
    both = Account(name="a@x.example", quota_octets=1000, quota_messages=3)

    assert full == (quota(tmp_path, text).why_full(both, octets) is not None)


def test_a_bound_of_messages_alone_lets_any_size_in(tmp_path: Path) -> None:
    only_messages = Account(name="a@x.example", quota_messages=3)
    asked = quota(tmp_path, "3C\n100 2\n")

    assert asked.why_full(only_messages, 10**9) is None
    assert asked.why_full(ALICE, 10**9) is not None
