"""
Mailboxes with several workers: sessions of one account in different processes see each other's changes.
"""

import imaplib
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.e2e.conftest import authority, start_pymta
from tests.e2e.imap.conftest import Reading, message, ok, start_reading

__all__ = ["authority", "start_pymta", "start_reading"]

WORKERS = 2
SESSIONS = 8
EACH = 5


def test_sessions_in_several_workers_agree(start_reading: Callable[..., Reading]) -> None:
    reading = start_reading(server={"workers": WORKERS})
    with ExitStack() as stack:
        sessions = [stack.enter_context(reading.client()) for _ in range(SESSIONS)]
        for session in sessions:
            ok(session.select())
        for number in range(EACH):
            for index, session in enumerate(sessions):
                content = message(number * SESSIONS + index).replace(b"\n", b"\r\n")
                ok(session.append("INBOX", None, None, content))
        seen = set()
        for session in sessions:
            ok(session.noop())
            seen.add(tuple(ok(session.uid("SEARCH", "ALL"))[0].split()))
        assert 1 == len(seen)
        (uids,) = seen
        assert SESSIONS * EACH == len(uids)
        ok(sessions[0].store("1:10", "+FLAGS", "(\\Deleted)"))
        ok(sessions[-1].expunge())
        for session in sessions:
            ok(session.noop())
            assert SESSIONS * EACH - 10 == len(ok(session.uid("SEARCH", "ALL"))[0].split())


def test_sessions_of_an_account_are_counted_over_all_workers(start_reading: Callable[..., Reading]) -> None:
    reading = start_reading(server={"workers": WORKERS}, imap={"sessions_per_account_max": 3})
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(reading.client())
        for _ in range(3):
            with pytest.raises(imaplib.IMAP4.error, match="LIMIT"):
                stack.enter_context(reading.client())
