"""
One account's calls leave threads to the others, and what was begun keeps its thread until it ends.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from threading import Event
from typing import cast

import pytest

from pymta._core import ImapAccounts
from pymta.access.imap.chores import Chores
from pymta.access.imap.idle import Wakes
from pymta.access.imap.mailboxes import THREADS, THREADS_PER_ACCOUNT_MAX, Mailboxes
from pymta.observe.log import Log


class Slow:
    """Calls that are at it until they may end."""

    def __init__(self) -> None:
        self.may_end = Event()
        self.begun_count = 0

    def __call__(self) -> None:
        self.begun_count += 1
        assert self.may_end.wait(20)


class NothingToDo:
    """Accounts for which there is nothing to do when nobody waits."""

    has_chores = False


@pytest.fixture
async def mailboxes() -> AsyncIterator[Mailboxes]:
    log = cast(Log, None)
    chores = Chores(cast(ImapAccounts, NothingToDo()), lambda: 0, log)
    made = Mailboxes(cast(ImapAccounts, None), Wakes(log), lambda: 0, chores=chores)
    yield made
    made.close()


async def at_work(mailboxes: Mailboxes, call: Callable[[], None]) -> list["asyncio.Task[None]"]:
    """More calls of alice's than there are threads; bob's is answered meanwhile."""
    tasks = [asyncio.create_task(mailboxes.call("alice", call)) for _ in range(2 * THREADS)]
    for _ in range(THREADS):
        assert "bob's" == await asyncio.wait_for(mailboxes.call("bob", lambda: "bob's"), 10)
    return tasks


async def test_an_account_leaves_threads_to_the_others(mailboxes: Mailboxes) -> None:
    slow = Slow()
    try:
        tasks = await at_work(mailboxes, slow)
        assert THREADS_PER_ACCOUNT_MAX == slow.begun_count
    finally:
        slow.may_end.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 10)
    assert 2 * THREADS == slow.begun_count


async def test_who_goes_away_gets_no_other_thread_before_his_call_ends(mailboxes: Mailboxes) -> None:
    slow = Slow()
    try:
        for _ in range(3):
            tasks = await at_work(mailboxes, slow)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            del tasks, task
        assert THREADS_PER_ACCOUNT_MAX == slow.begun_count
    finally:
        slow.may_end.set()
    assert "alice's" == await asyncio.wait_for(mailboxes.call("alice", lambda: "alice's"), 10)
