"""
Views of mailboxes, asked off the loop: a disk that is slow, or a search that is long, holds up who waits for it and nobody
else.

A few threads for all sessions. What waits for one is one call a session at most, so it is bounded by them.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from pymta._core import ImapAccounts, ImapView
from pymta.access.imap.idle import Wakes
from pymta.directory import Account
from pymta.runtime.board import Board

__all__ = ["Mailboxes"]

# Most calls wait for the disk or run without the interpreter's lock; more than a few would only take turns.
THREADS: Final = 16

T = TypeVar("T")
P = ParamSpec("P")


class Mailboxes:
    """One instance a process."""

    def __init__(
        self,
        accounts: ImapAccounts,
        wakes: Wakes,
        now_ms: Callable[[], int],
        *,
        board: Board | None = None,
    ) -> None:
        """
        Args:
            accounts: Where the mailboxes are.
            wakes: Tells who waits that something has changed.
            now_ms: The clock.
            board: Counts the sessions of all workers together, where there are several.
        """
        self._accounts = accounts
        self.wakes = wakes
        self.now_ms = now_ms
        self._board = board
        self._sessions: dict[str, int] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="mailbox")

    def enter(self, account: str) -> int:
        """Count a session of that account; how many there are with it. `leave` is to be called."""
        count = self._sessions[account] = self._sessions.get(account, 0) + 1
        if self._board is None:
            return count
        return self._board.add_apart(f"imap {account}", 1)

    def leave(self, account: str) -> None:
        """A counted session is over."""
        left = self._sessions[account] - 1
        if left:
            self._sessions[account] = left
        else:
            del self._sessions[account]
        if self._board is not None:
            self._board.add_apart(f"imap {account}", -1)

    async def open(self, name: str, account: Account) -> ImapView:
        """
        A view for a session of that account.

        Raises:
            OSError, ValueError: Its mailboxes cannot be used.
        """
        return await self.call(
            lambda: self._accounts.open(
                account.mail_folder,
                name,
                self.now_ms(),
                quota_octets=account.quota_octets,
                quota_messages=account.quota_messages,
            )
        )

    async def call(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What may wait for the disk."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: call(*args, **kwargs))

    def later(self, call: Callable[[], None]) -> None:
        """The same for what nobody waits for."""
        try:
            self._threads.submit(call)
        except RuntimeError:
            pass  # the server stops: the end of the object does the same

    def close(self) -> None:
        """The server stops; nobody waits any more. What was begun is carried out."""
        self.wakes.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
