"""
Views of mailboxes, asked off the loop: a disk that is slow, or a search that is long, holds up who waits for it and nobody
else.

A few threads for all sessions. What waits for one is one call a session at most, so it is bounded by them. An account has a
few of the threads at a time, so that its long searches leave the others to other accounts.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, ParamSpec, TypeVar
from weakref import WeakValueDictionary

from pymta._core import ImapAccounts, ImapView
from pymta.access.imap.chores import Chores
from pymta.access.imap.idle import Wakes
from pymta.config.settings.imap import ImapDoorSettings
from pymta.directory import Account
from pymta.runtime.board import Board

__all__ = ["Mailboxes"]

# Most calls wait for the disk or run without the interpreter's lock; more than a few would only take turns.
THREADS: Final = 16
# Of these, at work for one account. As many may wait for them, to close what lost its connection in a call.
THREADS_PER_ACCOUNT_MAX: Final = 4

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
        chores: Chores,
        board: Board | None = None,
    ) -> None:
        """
        Args:
            accounts: Where the mailboxes are.
            wakes: Tells who waits that something has changed.
            now_ms: The clock.
            chores: What is done when nobody waits for it.
            board: Counts the sessions of all workers together, where there are several.
        """
        self._accounts = accounts
        self.wakes = wakes
        self.now_ms = now_ms
        self._board = board
        self._chores = chores
        self._sessions: dict[str, int] = {}
        # Whoever uses one or waits for it keeps it.
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
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

    async def open(
        self, name: str, account: Account, *, append_octets_max: int | None, settings: ImapDoorSettings
    ) -> ImapView:
        """
        A view for a session of that account, which may append what is not larger.

        Raises:
            OSError, ValueError: Its mailboxes cannot be used.
        """
        return await self.call(
            name,
            lambda: self._accounts.open(
                account.mail_folder,
                name,
                self.now_ms(),
                quota_octets=account.quota_octets,
                quota_messages=account.quota_messages,
                append_octets_max=append_octets_max,
                shares=settings.shared_mailboxes,
                shares_with_anyone=settings.share_with_anyone,
            ),
        )

    async def call(self, account: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What may wait for the disk, when it is that account's turn."""
        loop = asyncio.get_running_loop()
        turns = self._turns.get(account)
        if turns is None:
            turns = self._turns[account] = asyncio.Semaphore(THREADS_PER_ACCOUNT_MAX)

        def is_over() -> None:
            turns.release()
            self._chores.go_on(self._threads)

        def ended(_: Future[Any]) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(is_over)

        await turns.acquire()
        try:
            future = self._threads.submit(call, *args, **kwargs)
        except BaseException:
            turns.release()
            raise
        # Who waits may be cancelled; the thread is at it until the call ends.
        future.add_done_callback(ended)
        return await asyncio.wrap_future(future)

    def later(self, call: Callable[[], None]) -> None:
        """The same for what nobody waits for."""
        try:
            self._threads.submit(call)
        except RuntimeError:
            pass  # the server stops: the end of the object does the same

    def close(self) -> None:
        """The server stops; nobody waits any more. What was begun is carried out."""
        self.wakes.close()
        self._chores.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
