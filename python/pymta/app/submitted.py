"""
What accounts have submitted today, kept in a small SQLite file for the next start.

    take  →  a dictionary  →  every WRITE_EVERY_S, in a thread: one transaction  →  the start of any worker

Each worker adds what it has taken itself, so all of them share the file. Rule: nobody waits for it. A process that is killed,
or a host without power, forgets what was taken within the last `WRITE_EVERY_S` and the time of one write; one that is
stopped forgets nothing. A file that is damaged is kept beside, for a person to look at, and the day begins anew: mail is
worth more than its count.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw

from pymta.mail.errors import ConfigError
from pymta.policy.checks.rates import ACCOUNTS_MAX, DaySlice, Rates
from pymta.runtime.shared_database import open_shared_database

__all__ = ["SubmittedFile", "SubmittedKeeper"]

WRITE_EVERY_S: Final = 2.0
BUSY_MS_MAX: Final = 2_000
# What may wait while the file cannot be written; beyond it the next start forgets.
WAITING_MAX: Final = ACCOUNTS_MAX
_DAMAGED: Final = (apsw.NotADBError, apsw.CorruptError)

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS submitted (
    slice INTEGER NOT NULL,  -- an hour, from the epoch
    account TEXT NOT NULL,
    messages INTEGER NOT NULL,
    recipients INTEGER NOT NULL,
    PRIMARY KEY (slice, account)
) STRICT, WITHOUT ROWID;
"""


class SubmittedFile:
    """One open file; for any thread, one at a time."""

    def __init__(self, file: Path) -> None:
        """*file* is made, for its owner only, where it does not exist. Raises apsw.Error and OSError, as all here."""
        self._connection = open_shared_database(file, synchronous="full", busy_ms_max=BUSY_MS_MAX)
        try:
            self._connection.execute(_SCHEMA)
        except apsw.Error:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def read(self, first: int) -> list[DaySlice]:
        """The slices from that number on, in their order."""
        rows = self._connection.execute(
            "SELECT slice, account, messages, recipients FROM submitted WHERE slice >= ? ORDER BY slice",
            (first,),
        )
        return [DaySlice(*row) for row in rows]

    def add(self, taken: Iterable[DaySlice], first: int) -> None:
        """Add to what is there, and remove what is older than the slice *first*."""
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        try:
            for one in taken:
                run(
                    "INSERT INTO submitted VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
                    " SET messages = messages + excluded.messages, recipients = recipients + excluded.recipients",
                    (one.number, one.account, one.messages, one.recipients),
                )
            run("DELETE FROM submitted WHERE slice < ?", (first,))
        except BaseException:
            run("ROLLBACK")
            raise
        run("COMMIT")


def _opened(file: Path, first: int) -> tuple[SubmittedFile, list[DaySlice]]:
    opened = SubmittedFile(file)
    try:
        return opened, opened.read(first)
    except apsw.Error:
        opened.close()
        raise


def _seen(file: Path) -> tuple[int, int] | None:
    """Which file it is; another one in its place is another."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _set_aside(file: Path, damaged: tuple[int, int] | None) -> bool:
    """
    Rename a file that was found *damaged*, in the place of an earlier one; whether it was done here.

    The workers find it all at once: one renames it, and the others must not rename what that one has begun since.
    """
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _seen(file) != damaged:
            return False
        # The log first: one that stayed behind would be read as that of the new file.
        aside = file.with_name(f"{file.name}.damaged")
        with suppress(FileNotFoundError):
            aside.with_name(f"{aside.name}-wal").unlink()
        with suppress(FileNotFoundError):
            file.with_name(f"{file.name}-wal").rename(aside.with_name(f"{aside.name}-wal"))
        with suppress(FileNotFoundError):
            file.with_name(f"{file.name}-shm").unlink()
        file.rename(aside)
        return True
    finally:
        os.close(descriptor)


class SubmittedKeeper:
    """Reads the file for some rates, then writes down what they count."""

    def __init__(self, file: Path, rates: Rates, *, on_trouble: Callable[[str, BaseException], None]) -> None:
        """
        Args:
            file: See `SubmittedFile`.
            rates: Go on from what is there.
            on_trouble: Told when it was damaged, and once when it cannot be written, until it can be again.

        Raises:
            ConfigError: It cannot be used.
        """
        try:
            before = _seen(file)
            try:
                self._file, kept = _opened(file, rates.first_slice())
            except _DAMAGED as error:
                if _set_aside(file, before):
                    on_trouble(f"{file} is damaged and was set aside; the day's counts begin anew", error)
                self._file, kept = _opened(file, rates.first_slice())
            rates.restore(kept)
        except (apsw.Error, OSError) as error:
            raise ConfigError(f"{file}: {error}", option="server.data_folder") from error
        self._rates = rates
        self._on_trouble = on_trouble
        self._in_trouble = False
        self._waiting: dict[tuple[int, str], DaySlice] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        rates.on_taken = self._taken

    async def aclose(self) -> None:
        """Write what waits; nothing may be counted afterwards."""
        if self._writing is not None:
            await self._writing
        await self._write()
        if self._timer is not None:
            self._timer.cancel()
        self._file.close()

    def _taken(self, taken: DaySlice) -> None:
        self._wait(taken)
        self._write_soon()

    def _wait(self, taken: DaySlice) -> None:
        key = taken.number, taken.account
        before = self._waiting.get(key)
        if before is not None:
            self._waiting[key] = DaySlice(
                *key, before.messages + taken.messages, before.recipients + taken.recipients
            )
        elif len(self._waiting) < WAITING_MAX:
            self._waiting[key] = taken

    def _write_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WRITE_EVERY_S, self._begin_to_write)

    def _begin_to_write(self) -> None:
        self._timer = None
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())
        else:
            self._write_soon()

    async def _write(self) -> None:
        taken, self._waiting = self._waiting, {}
        if not taken:
            return
        try:
            await asyncio.to_thread(self._file.add, taken.values(), self._rates.first_slice())
        except (apsw.Error, OSError) as error:
            for one in taken.values():  # with the next ones, then
                self._wait(one)
            if not self._in_trouble:
                self._on_trouble("what accounts have submitted cannot be written down", error)
            self._in_trouble = True
            self._write_soon()
        else:
            self._in_trouble = False
