"""
What is done for mailboxes when nobody waits for it: texts are read ahead of searches, much mail that was shown goes from `new`
to `cur`, mailboxes are listed a second time, and the long logs of indexes go into their files.

Bit by bit, by one thread, with pauses: it takes at most a share of one core, whoever waits for whatever.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from time import perf_counter
from typing import Final

from pymta._core import ImapAccounts
from pymta.observe.log import Log

__all__ = ["Chores"]

# What it may take of one core, and the longest pause that makes it so.
SHARE_MAX: Final = 0.25
PAUSE_S_MAX: Final = 5.0


class Chores:
    """One instance a process."""

    def __init__(self, accounts: ImapAccounts, now_ms: Callable[[], int], log: Log) -> None:
        """
        Args:
            accounts: Where the mailboxes are.
            now_ms: The clock.
            log: Told of trouble. What is left undone costs time later and is never wrong.
        """
        self._accounts = accounts
        self._now_ms = now_ms
        self._log = log
        self._task: asyncio.Task[None] | None = None

    def go_on(self, threads: Executor) -> None:
        """Somebody has done something to a mailbox."""
        if self._task is None and self._accounts.has_chores:
            self._task = asyncio.get_running_loop().create_task(self._work(threads))

    def close(self) -> None:
        """The server stops."""
        if self._task is not None:
            self._task.cancel()

    async def _work(self, threads: Executor) -> None:
        loop, accounts = asyncio.get_running_loop(), self._accounts
        try:
            while accounts.has_chores:
                began_s = perf_counter()
                try:
                    await loop.run_in_executor(threads, accounts.do_chore, self._now_ms())
                except OSError as error:
                    self._log.trouble("chores of mailboxes", error, where="access.imap")
                took_s = perf_counter() - began_s
                await asyncio.sleep(min(took_s * (1 / SHARE_MAX - 1), PAUSE_S_MAX))
        finally:
            self._task = None
