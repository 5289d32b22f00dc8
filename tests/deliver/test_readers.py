"""
Dovecot, mutt and neomutt of Debian read what we write; we read what they write.
"""

import os
import pty
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymta._core import Envelope, IncomingMessage, MaildirStore, Spool
from tests.partners.dovecot import doveadm, doveadm_fetch
from tests.partners.program import find_program
from tests.partners.waiting import wait_until

NOW_MS = 1_795_000_000_000
MAILBOX = "example.test/ann"
SUBJECTS = ["first", "second", "third"]
TYPED_MAX = 5


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MaildirStore]:
    """Three messages in the inbox, one of them seen, and one in a folder."""
    spool = Spool(str(tmp_path / "spool"), now_ms=NOW_MS)
    store = MaildirStore(str(tmp_path / "mail"), hostname="mail.example.test", process=7)
    for subject in [*SUBJECTS, "filed"]:
        content = f"From: author@example.net\r\nSubject: {subject}\r\n\r\n.hello\r\nFrom here\r\n".encode()
        envelope = Envelope("author@example.net", ["ann@example.test"])
        IncomingMessage.from_content(spool, envelope, content).commit(NOW_MS, due_ms=NOW_MS)
        wait_until(lambda: spool.stats()["incoming"] == 1, "it is committed")
        (message,) = spool.take_due(NOW_MS, 1, 100)
        folder = "Lists.pymta" if subject == "filed" else None
        flags = "S" if subject == "second" else ""
        store.deliver(message, 0, MAILBOX, now_ms=NOW_MS, folder=folder, makes_folder=True, flags=flags)
        ended: list[tuple[int, str, str]] = []
        wait_until(lambda ended=ended: ended.extend(store.completions()) or ended, "it is delivered")
        assert "delivered" == ended[0][1]
        spool.settle(message.id, [(0, "delivered", "250")], NOW_MS)
    yield store
    store.close()
    spool.close()


def test_dovecot_reads_our_messages_with_flags_and_sizes(tmp_path: Path, store: MaildirStore) -> None:
    found = doveadm_fetch(
        tmp_path / "mail" / MAILBOX, "uid flags size.physical size.virtual hdr.subject body"
    )

    assert SUBJECTS == [message["hdr.subject"] for message in found]
    assert ["", "\\Seen", ""] == [message["flags"].replace("\\Recent", "").strip() for message in found]
    for message, (name, _, _, octets) in zip(found, store.entries(MAILBOX), strict=True):
        assert str(octets) == message["size.physical"]
        assert f",W={message['size.virtual']}" in name
        assert ".hello\nFrom here" == message["body"].replace("\r", "")


def test_dovecot_reads_our_folders(tmp_path: Path, store: MaildirStore) -> None:
    (filed,) = doveadm_fetch(tmp_path / "mail" / MAILBOX, "hdr.subject", folder="Lists.pymta")

    assert "filed" == filed["hdr.subject"]


def test_we_read_the_flags_and_messages_that_dovecot_writes(tmp_path: Path, store: MaildirStore) -> None:
    mailbox = tmp_path / "mail" / MAILBOX
    octets, count = store.usage(MAILBOX)

    doveadm(mailbox, "flags", "add", "\\Flagged \\Answered", "mailbox", "INBOX", "HEADER", "Subject", "first")
    doveadm(mailbox, "flags", "add", "\\Deleted", "mailbox", "INBOX", "HEADER", "Subject", "third")
    doveadm(mailbox, "save", "-m", "INBOX", stdin=b"Subject: saved\n\nby Dovecot\n")

    entries = store.entries(MAILBOX)
    assert ["FR", "S", "T", ""] == [flags for _, flags, _, _ in entries]
    assert len(b"Subject: saved\n\nby Dovecot\n") == entries[3][3]
    assert count == store.usage(MAILBOX)[1], "what is deleted does not count, what was saved does"
    assert octets + entries[3][3] - entries[2][3] == store.usage(MAILBOX)[0]


@pytest.mark.parametrize("program", ["mutt", "neomutt"])
def test_a_reader_on_the_terminal_shows_each_and_its_flags_are_read(
    tmp_path: Path, store: MaildirStore, program: str
) -> None:
    shown = [shown_by(program, subject, tmp_path) for subject in SUBJECTS]

    assert SUBJECTS == [
        field for text in shown for field in re.findall(r"^Subject: (\w+)", text, re.MULTILINE)
    ]
    assert all(1 == text.count("Delivered-To: ann@example.test\n") for text in shown)
    assert 3 == sum("F" in flags for _, flags, _, _ in store.entries(MAILBOX))


def shown_by(program: str, subject: str, folder: Path) -> str:
    """
    The message as the reader passes it on, which flags it.

    A reader that finds the mailbox changed in the middle of our keys goes to another message; then they are typed again.
    """
    mailbox, kept = folder / "mail" / MAILBOX, folder / "kept"
    keys = f"<limit>~s {subject}<enter><pipe-message>cat > kept<enter><set-flag>!<sync-mailbox><quit>"
    settings = "set pipe_decode=no wait_key=no quit=yes mark_old=no"
    command = [find_program(program), "-n", "-F", "/dev/null", "-f", str(mailbox)]
    for _ in range(TYPED_MAX):
        for place in ("new", "cur"):
            # What changed within this second would be scanned again, which forgets the keys that are waiting.
            os.utime(mailbox / place, (1_700_000_000, 1_700_000_000))
        on_a_terminal([*command, "-e", settings, "-e", f'push "{keys}"'], home=folder)
        if kept.exists() and f"Subject: {subject}\n" in kept.read_text():
            return kept.read_text()
    raise AssertionError(f"{program} did not show {subject!r} in {TYPED_MAX} tries")


def on_a_terminal(command: list[str], *, home: Path) -> None:
    """Run a program that wants a screen, until it ends."""
    terminal, theirs = pty.openpty()
    with subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "vt100", "HOME": str(home), "LC_ALL": "C.UTF-8"},
        cwd=home,
        start_new_session=True,
    ) as running:
        os.close(theirs)
        try:
            while os.read(terminal, 65536):
                pass
        except OSError:
            pass  # it has ended
        finally:
            os.close(terminal)
        assert 0 == running.wait(20)
