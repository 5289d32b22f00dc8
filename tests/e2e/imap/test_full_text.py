"""
A server that keeps texts for searches finds the same as one that does not, also while it is still reading them.
"""

import imaplib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.imap.conftest import ALICE, Reading, message, ok
from tests.e2e.imap.corpus import MESSAGES
from tests.partners.waiting import wait_until

Start = Callable[..., Reading]

TEXTS = ["GRÜßE", "lo wor", "world\r\nsec", '"b "', "xyz", "of", "* OR"]


def answers(imap: imaplib.IMAP4) -> list[bytes]:
    found = []
    for text in TEXTS:
        for key in ("BODY", "TEXT", "NOT BODY"):
            imap.literal = text.encode()
            status, data = imap.uid("SEARCH", "CHARSET", "UTF-8", *key.split())
            assert "OK" == status
            found.append(b"%s %s" % (key.encode(), data[0]))
    return found


def known(file: Path) -> int:
    """How many messages' texts are kept. SQLite's locks are not for who reads in another process."""
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as texts:
        return int(texts.execute("SELECT count(*) FROM message_docsize").fetchone()[0])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_search_finds_the_same_with_texts_kept(start_reading: Start, workers: int) -> None:
    without = start_reading()
    reading = start_reading(imap={"full_text": True}, server={"workers": workers})
    for one in (without, reading):
        for number, content in enumerate(MESSAGES):
            one.put(f"{number}.a", content)
    file = reading.accounts.mailbox(ALICE) / "pymta.search"
    count = len(MESSAGES)
    with without.client() as imap:
        ok(imap.select())
        expected = answers(imap)
    assert not (without.accounts.mailbox(ALICE) / "pymta.search").exists()
    with reading.client() as imap:
        ok(imap.select())
        assert expected == answers(imap)
        wait_until(lambda: file.exists() and known(file) == count, "the texts are kept")
        assert expected == answers(imap)
        reading.put("new.a", message(1, subject="pear"))
        ok(imap.noop())
        assert [b"%d" % (count + 1)] == ok(imap.uid("SEARCH", "TEXT", "pear"))
        wait_until(lambda: known(file) == count + 1, "the new text is kept")
        assert [b"%d" % (count + 1)] == ok(imap.uid("SEARCH", "TEXT", "pear"))
