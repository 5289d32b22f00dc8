"""The store of Maildirs as Python sees it: handles go in, answers come behind an eventfd, hostile names raise."""

import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymta._core import Envelope, IncomingMessage, MaildirStore, QueuedMessage, Recipient, Spool
from tests.partners.waiting import wait_until

NOW_MS = 1_795_000_000_000
CONTENT = b"From: author@example.net\r\nSubject: hello\r\n\r\nhello\r\n"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(str(tmp_path / "spool"), now_ms=NOW_MS, spill_octets=65536)
    yield spool
    spool.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MaildirStore]:
    store = MaildirStore(str(tmp_path / "mail"), hostname="mail.example.test", process=7)
    yield store
    store.close()


def spooled(spool: Spool, content: bytes = CONTENT, body: str = "7BIT") -> QueuedMessage:
    recipients = [Recipient("user+tag@example.test"), Recipient("other@example.test")]
    envelope = Envelope("author@example.net", recipients, body=body)  # type: ignore[arg-type]  # one of three words
    IncomingMessage.from_content(spool, envelope, content).commit(NOW_MS, due_ms=NOW_MS)
    taken: list[QueuedMessage] = []
    wait_until(
        lambda: taken.extend(spool.take_due(NOW_MS, 1, 100) + spool.loaded()) or taken,
        "the message is in hand",
    )
    return taken[0]


def completed(store: MaildirStore, count: int) -> list[tuple[int, str, str]]:
    ended: list[tuple[int, str, str]] = []
    while len(ended) < count:
        assert select.select([store.wake_fd], [], [], 20)[0], "no wake-up"
        store.drain_wake()
        ended += store.completions()
    return ended


def test_a_message_is_delivered_to_each_recipient_with_its_own_fields(
    tmp_path: Path, spool: Spool, store: MaildirStore
) -> None:
    message = spooled(spool)

    tokens = {
        store.deliver(message, 0, "example.test/user", now_ms=NOW_MS),
        store.deliver(message, 1, "example.test/other", now_ms=NOW_MS),
    }

    ended = completed(store, 2)
    assert tokens == {token for token, _, _ in ended}
    assert {"delivered"} == {word for _, word, _ in ended}
    for account, forward_path in (("user", "user+tag"), ("other", "other")):
        (file,) = (tmp_path / "mail/example.test" / account / "new").iterdir()
        expected = (
            f"Return-Path: <author@example.net>\nDelivered-To: {forward_path}@example.test\n".encode()
            + CONTENT.replace(b"\r\n", b"\n")
        )
        assert expected == file.read_bytes()
        assert f",S={len(expected)},W={len(expected) + expected.count(10)}" in file.name
        assert [(file.name, "", True, len(expected))] == store.entries(f"example.test/{account}")


def test_content_of_any_size_and_kind_arrives_as_it_was(
    tmp_path: Path, spool: Spool, store: MaildirStore
) -> None:
    large = CONTENT + b"0123456789abcde\r\n" * 100_000
    binary = CONTENT + bytes(range(256)) * 1000

    store.deliver(spooled(spool, large), 0, "example.test/large", now_ms=NOW_MS)
    store.deliver(spooled(spool, binary, "BINARYMIME"), 0, "example.test/binary", now_ms=NOW_MS)

    completed(store, 2)
    (file,) = (tmp_path / "mail/example.test/large/new").iterdir()
    assert file.read_bytes().endswith(large.replace(b"\r\n", b"\n"))
    (file,) = (tmp_path / "mail/example.test/binary/new").iterdir()
    assert file.read_bytes().endswith(binary)


def test_what_does_not_fit_is_told_and_leaves_nothing(
    tmp_path: Path, spool: Spool, store: MaildirStore
) -> None:
    message = spooled(spool)

    store.deliver(message, 0, "example.test/user", now_ms=NOW_MS, quota_octets=10)

    ((_, word, cause),) = completed(store, 1)
    assert "over_quota" == word
    assert "over quota" in cause
    assert [] == list((tmp_path / "mail/example.test/user/new").iterdir())
    assert [] == list((tmp_path / "mail/example.test/user/tmp").iterdir())
    assert (0, 0) == store.usage("example.test/user")


@pytest.mark.parametrize(
    "mailbox", ["", "..", "../x", "/etc", "example.test/..", "a//b", "a/.b", "a/b\0c", "a/b\\c"]
)
def test_a_mailbox_outside_of_the_root_is_refused(spool: Spool, store: MaildirStore, mailbox: str) -> None:
    with pytest.raises(ValueError, match="not a name for a mailbox"):
        store.deliver(spooled(spool), 0, mailbox, now_ms=NOW_MS)


@pytest.mark.parametrize("folder", ["", ".", "..", "../x", "a/b", "a..b", "/", "a\0", "\N{SNOWMAN}"])
def test_a_folder_outside_of_the_mailbox_is_refused(spool: Spool, store: MaildirStore, folder: str) -> None:
    with pytest.raises(ValueError, match="not a name for a folder"):
        store.deliver(spooled(spool), 0, "example.test/user", now_ms=NOW_MS, folder=folder)


def test_a_folder_is_made_only_where_that_is_asked_for(
    tmp_path: Path, spool: Spool, store: MaildirStore
) -> None:
    message = spooled(spool)

    store.deliver(message, 0, "example.test/user", now_ms=NOW_MS, folder="Lists.pymta")
    completed(store, 1)
    store.deliver(
        message, 0, "example.test/user", now_ms=NOW_MS, folder="Lists.pymta", makes_folder=True, flags="S"
    )
    completed(store, 1)

    assert 1 == len(store.entries("example.test/user"))
    ((_, flags, is_new, _),) = store.entries("example.test/user", "Lists.pymta")
    assert ("S", False) == (flags, is_new)
    assert (tmp_path / "mail/example.test/user/.Lists.pymta/maildirfolder").exists()


def test_a_message_is_copied_for_other_recipients_with_fields_on_top(spool: Spool) -> None:
    large = CONTENT + b"0123456789abcde\r\n" * 100_000
    message = spooled(spool, large)

    copy = IncomingMessage.from_message(
        spool,
        Envelope("srs@example.test", ["out@example.net"]),
        message,
        [("Delivered-To", "a@b.c"), ("X", "y")],
    )

    assert b"Delivered-To: a@b.c\r\nX: y\r\n" + large == copy.content(10_000_000)
    assert [b"hello"] == message.fields("subject")
    assert large[60:70] == message.content(10, offset=60)
    assert b"" == message.content(10, offset=len(large))
