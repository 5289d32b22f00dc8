"""A full mailbox is known at RCPT, by the file that the store keeps; what is old or odd is not believed."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType

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


def fifo(folder: Path) -> None:
    (folder / "maildirsize").unlink()
    os.mkfifo(folder / "maildirsize")


def link_to_a_file(folder: Path) -> None:
    (folder / "maildirsize").rename(folder / "elsewhere")
    (folder / "maildirsize").symlink_to("elsewhere")


def second_name(folder: Path) -> None:
    (folder / "elsewhere").hardlink_to(folder / "maildirsize")


def link_to_a_mailbox(folder: Path) -> None:
    folder.rename(folder.parent / "b")
    folder.symlink_to("b")


def link_to_a_domain(folder: Path) -> None:
    folder.parent.rename(folder.parent.parent / "y.example")
    folder.parent.symlink_to("y.example")


def hangs(_number: int, _frame: FrameType | None) -> None:
    raise AssertionError("it waits")


def a_folder(folder: Path) -> None:
    (folder / "maildirsize").unlink()
    (folder / "maildirsize").mkdir()


@pytest.mark.parametrize(
    "put", [fifo, link_to_a_file, second_name, link_to_a_mailbox, link_to_a_domain, a_folder]
)
def test_what_others_put_there_is_neither_waited_for_nor_followed(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    """
    An account's user may write into the mailbox; the file is read on the event loop.
    """
    asked = quota(tmp_path, "1000S\n1000 1\n")
    assert asked.why_full(ALICE, 1) is not None
    put(tmp_path / "x.example" / "a")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(5)
    try:
        assert asked.why_full(ALICE, 1) is None
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_the_root_may_be_a_link(tmp_path: Path) -> None:
    """It is the operator's own path."""
    asked = quota(tmp_path / "real", "1000S\n1000 1\n")
    assert asked.why_full(ALICE, 1) is not None
    (tmp_path / "root").symlink_to("real")

    linked = MailboxQuota(tmp_path / "root", MailboxesSettings(), now_s=lambda: NOW_S)
    assert linked.why_full(ALICE, 1) is not None


@pytest.mark.parametrize("mail_folder", ["../x.example/a", "x.example/../x.example/a", "/x.example/a"])
def test_no_mailbox_lies_beside_the_root(tmp_path: Path, mail_folder: str) -> None:
    asked = quota(tmp_path, "1000S\n1000 1\n")

    assert asked.why_full(Account(name="a@x.example", mail_folder=mail_folder, quota_octets=1000), 1) is None


def test_nothing_stays_open(tmp_path: Path) -> None:
    def open_count() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    asked = quota(tmp_path, "1000S\n1000 1\n")
    (tmp_path / "x.example" / "b" / "maildirsize").mkdir(parents=True)
    before = open_count()
    for folder in ("x.example/a", "x.example/b", "x.example/none", "x.example/a/maildirsize", "../x"):
        asked.why_full(Account(name="a@x.example", mail_folder=folder, quota_octets=1000), 1)

    assert open_count() == before
