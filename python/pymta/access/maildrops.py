"""
Mailboxes read off the loop: a disk that is slow holds up who reads, and nobody else.

A few threads for all sessions. What waits for one is one call a session at most, so it is bounded by them.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal, TypeVar

from pymta._core import MaildirStore, Maildrop, Retrieval

__all__ = ["Maildrops"]

THREADS: Final = 8

# What of a message is read, turned and handed to the connection at a time.
PIECE_OCTETS: Final = 64 * 1024

T = TypeVar("T")


class Maildrops:
    """One instance a process."""

    def __init__(self, store: MaildirStore, now_ms: Callable[[], int]) -> None:
        """
        Args:
            store: Where the mailboxes are.
            now_ms: The clock.
        """
        self._store = store
        self._now_ms = now_ms
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="maildrop")

    async def open(self, mailbox: str, *, delay_s: int) -> Maildrop | Literal["in_use", "too_soon"]:
        """
        A mailbox for this caller alone, at most once in *delay_s*.

        Raises:
            OSError, ValueError: It cannot be used.
        """
        return await self._run(
            lambda: self._store.open_maildrop(mailbox, now_ms=self._now_ms(), delay_s=delay_s)
        )

    async def begin(
        self, maildrop: Maildrop, index: int, lines: int | None
    ) -> tuple[Retrieval, bytes] | None:
        """A message and its first octets; None where it is gone. Raises OSError."""

        def opened() -> tuple[Retrieval, bytes] | None:
            retrieval = maildrop.retrieve(index, lines)
            return None if retrieval is None else (retrieval, retrieval.read(PIECE_OCTETS))

        return await self._run(opened)

    async def read(self, retrieval: Retrieval) -> bytes:
        """The next octets. Raises OSError."""
        return await self._run(lambda: retrieval.read(PIECE_OCTETS))

    async def update(self, maildrop: Maildrop, deleted: list[int]) -> None:
        """Remove those messages durably and give the maildrop back. Raises OSError."""

        def updated() -> None:
            try:
                if deleted:
                    maildrop.remove(deleted)
            finally:
                maildrop.close()

        await self._run(updated)

    def close(self) -> None:
        """The server stops; nobody waits any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
