"""
Opening an SQLite file that several processes share: owner only, with write-ahead logging, whoever comes first.

A new file is turned to write-ahead logging once, by whoever opens it first. SQLite refuses that turn at once where another
connection is in the file, whatever its busy timeout (https://sqlite.org/pragma.html#pragma_journal_mode): workers that
start together would fail. So it is tried again here, with a limit.
"""

import os
import time
from pathlib import Path
from typing import Final, Literal

import apsw

__all__ = ["open_shared_database"]

# Whoever makes the file needs some syncs for it, of which one takes a millisecond or so.
_TRY_AGAIN_S: Final = 0.005


def open_shared_database(
    file: Path, *, synchronous: Literal["full", "normal"], busy_ms_max: int
) -> apsw.Connection:
    """
    Open *file* for reading and writing; made, for its owner only, where it does not exist.

    Args:
        file: SQLite gives the files beside it the same mode.
        synchronous: `full` where what was committed must outlive a power failure.
        busy_ms_max: For how long each statement waits for others, in milliseconds, and this at most twice as long. The
            thread is blocked meanwhile.

    Raises:
        apsw.Error: It is no database, others were in it for too long, or the disk has trouble.
        OSError: It cannot be made or opened.
    """
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = apsw.Connection(str(file))
    try:
        connection.set_busy_timeout(busy_ms_max)
        _write_ahead(connection, until_s=time.monotonic() + busy_ms_max / 1000)
        connection.pragma("synchronous", synchronous)
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: apsw.Connection, *, until_s: float) -> None:
    while True:
        try:
            connection.pragma("journal_mode", "wal")
            return
        except apsw.BusyError:
            if time.monotonic() >= until_s:
                raise
        time.sleep(_TRY_AGAIN_S)
