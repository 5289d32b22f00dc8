"""
Counters that several processes keep together, in shared memory: a row for each process, which nobody else writes.

So nothing has to be locked, what a process has counted when it dies can be taken back by clearing its row, and a sum may be
wrong for a moment, by as much as is being counted at that moment. Keys share a number of buckets: a sum by key is never
too small, and too large only where two busy keys share a bucket.
"""

from __future__ import annotations

import mmap
import os
import zlib
from typing import Final

__all__ = ["Board"]

_BUCKETS: Final = 16_384
"""Of a row, without the first number, which is of all keys together; 64 KiB a process."""

_NUMBERS: Final = _BUCKETS + 1
_NUMBER_OCTETS: Final = 4


class Board:
    """
    Args:
        fd: Of the shared memory, see `make`; not needed any more afterwards.
        rows: How many processes.
        row: The one of this process, from 0.
    """

    __slots__ = ("_mine", "_numbers", "_rows")

    def __init__(self, fd: int, *, rows: int, row: int) -> None:
        shared = mmap.mmap(fd, rows * _NUMBERS * _NUMBER_OCTETS)
        self._numbers = memoryview(shared).cast("I")
        self._rows = range(0, rows * _NUMBERS, _NUMBERS)
        self._mine = row * _NUMBERS

    @staticmethod
    def make(rows: int) -> int:
        """Shared memory for so many processes, all zero; the descriptor can be inherited."""
        fd = os.memfd_create("pymta-board")
        os.ftruncate(fd, rows * _NUMBERS * _NUMBER_OCTETS)
        return fd

    def add(self, key: str, change: int) -> tuple[int, int]:
        """Count *change*, 1 or -1, for this process; the sums of all processes: of all keys, of *key*."""
        at = _bucket(key)
        numbers, mine = self._numbers, self._mine
        numbers[mine] += change
        numbers[mine + at] += change
        return sum(numbers[row] for row in self._rows), sum(numbers[row + at] for row in self._rows)

    def add_apart(self, key: str, change: int) -> int:
        """The same for what is not one of those that all keys together count; the sum of all processes."""
        at = _bucket(key)
        self._numbers[self._mine + at] += change
        return sum(self._numbers[row + at] for row in self._rows)

    def clear(self, row: int) -> None:
        """Take back what a process counted that has died."""
        begin = row * _NUMBERS
        self._numbers[begin : begin + _NUMBERS] = memoryview(bytes(_NUMBERS * _NUMBER_OCTETS)).cast("I")


def _bucket(key: str) -> int:
    # Not hash(), which differs from process to process.
    return 1 + zlib.crc32(key.encode("utf-8", "surrogateescape")) % _BUCKETS
