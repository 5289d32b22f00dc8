"""
Who is away, what their callers are told, and who was told already: a small SQLite file beside the directory.

Who was told is remembered for a while only, and a power failure may forget some of it: at worst somebody is told twice.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Final

import apsw
import msgspec

from pymta.directory.identity import canonical_address
from pymta.mail.errors import PymtaError, TemporaryFailure
from pymta.runtime.shared_database import open_shared_database

__all__ = ["Vacation", "VacationStore", "VacationUnusable"]

DAY_MS: Final = 86_400_000
DAYS_DEFAULT: Final = 7
# RFC 5230 §4.1: at least one day; more than a month is as good as never again.
DAYS_MIN, DAYS_MAX = 1, 31
TEXT_OCTETS_MAX: Final = 16_384
# Who were told, of each account: beyond it nobody more is, until some are forgotten.
TOLD_MAX: Final = 10_000
LOOK_AGAIN_S: Final = 0.5
BUSY_MS_MAX: Final = 2_000

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS vacations (
    account TEXT PRIMARY KEY,
    said TEXT NOT NULL  -- as JSON
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS told (
    account TEXT NOT NULL,
    reverse_path TEXT NOT NULL,
    handle TEXT NOT NULL,  -- of what was said: another text is told anew
    until_ms INTEGER NOT NULL,
    PRIMARY KEY (account, reverse_path, handle)
) STRICT, WITHOUT ROWID;
"""


class VacationUnusable(PymtaError):
    """The file, or what is to be said, cannot be used; the text says why."""


class Vacation(msgspec.Struct, frozen=True, kw_only=True):
    """What an account tells its callers while it is away (RFC 5230 §4)."""

    text: str
    subject: str = ""
    """Empty for `Auto: ` and the subject of the message that is answered."""
    days: int = DAYS_DEFAULT
    """Nobody is told again before so many are over."""
    addresses: tuple[str, ...] = ()
    """Further addresses of the account: only a message that names one of its own in To or Cc is answered."""
    from_ms: int = 0
    until_ms: int | None = None
    """The end of the absence; None for until further notice."""

    def __post_init__(self) -> None:
        if not DAYS_MIN <= self.days <= DAYS_MAX:
            raise VacationUnusable(f"expected from {DAYS_MIN} to {DAYS_MAX} days, got {self.days}")
        if not self.text.strip():
            raise VacationUnusable("expected a text, got an empty one")
        if len(self.text.encode()) > TEXT_OCTETS_MAX:
            raise VacationUnusable(f"expected a text of at most {TEXT_OCTETS_MAX} octets")
        if any(ord(c) < 32 or c == "\x7f" for c in self.subject) or len(self.subject) > 200:
            raise VacationUnusable("expected a subject of one line, of at most 200 characters")

    @property
    def handle(self) -> str:
        """The same for the same words."""
        return hashlib.sha256(f"{self.subject}\n{self.text}".encode()).hexdigest()[:16]

    def holds_at(self, now_ms: int) -> bool:
        """Whether the account is away then."""
        return self.from_ms <= now_ms and (self.until_ms is None or now_ms < self.until_ms)


class VacationStore:
    """One open file. Used from one thread."""

    def __init__(self, file: Path, *, clock_s: Callable[[], float] = monotonic) -> None:
        """
        Args:
            file: Made, for its owner only, where it does not exist.
            clock_s: A clock that never goes back, in seconds.

        Raises:
            VacationUnusable: It is no such file.
        """
        try:
            self._connection = open_shared_database(file, synchronous="normal", busy_ms_max=BUSY_MS_MAX)
            self._connection.execute(_SCHEMA)
        except (apsw.Error, OSError) as error:
            raise VacationUnusable(f"{file}: {error}") from error
        self._clock_s = clock_s
        self._look_again_s = 0.0
        self._version = -1
        self._known: dict[str, Vacation] = {}

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def find(self, account: str, now_ms: int) -> Vacation | None:
        """What the account of that canonical name tells now; None where it is not away. From memory, mostly."""
        now_s = self._clock_s()
        if now_s >= self._look_again_s:
            self._look_again_s = now_s + LOOK_AGAIN_S
            self._read_if_changed()
        vacation = self._known.get(account)
        return vacation if vacation is not None and vacation.holds_at(now_ms) else None

    def told(self, account: str, reverse_path: str, vacation: Vacation, now_ms: int) -> bool:
        """
        Note that *reverse_path* is told now; False where it was told already, or too many were.

        Raises:
            TemporaryFailure: The file could not be written.
        """
        key = (account, canonical_address(reverse_path), vacation.handle)
        try:
            with self._connection:
                is_new = self._note(*key, now_ms, now_ms + vacation.days * DAY_MS)
        except apsw.Error as error:
            raise TemporaryFailure(f"vacations: {error}") from error
        return is_new

    def _note(self, account: str, reverse_path: str, handle: str, now_ms: int, until_ms: int) -> bool:
        run = self._connection.execute
        run("DELETE FROM told WHERE account = ? AND until_ms <= ?", (account, now_ms))
        ((count,),) = run("SELECT count(*) FROM told WHERE account = ?", (account,)).fetchall()
        if int(str(count)) >= TOLD_MAX:
            return False
        run(
            "INSERT INTO told VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (account, reverse_path, handle, until_ms),
        )
        return bool(self._connection.changes())

    # ---- for the command line

    def set(self, account: str, vacation: Vacation) -> None:
        """From now on this is what the account tells."""
        self._run(
            "INSERT INTO vacations VALUES (?, ?) ON CONFLICT DO UPDATE SET said = excluded.said",
            account,
            msgspec.json.encode(vacation).decode(),
        )

    def remove(self, account: str) -> bool:
        """The account is back; False where it was not away. Who was told is forgotten."""
        self._run("DELETE FROM told WHERE account = ?", account)
        self._run("DELETE FROM vacations WHERE account = ?", account)
        return bool(self._connection.changes())

    def get(self, account: str) -> Vacation | None:
        """What was set, whether it holds now or not."""
        self._read_if_changed()
        return self._known.get(account)

    def _run(self, query: str, *values: object) -> None:
        try:
            self._connection.execute(query, tuple(values))
        except apsw.Error as error:
            raise VacationUnusable(str(error)) from error
        self._version = -1

    def _read_if_changed(self) -> None:
        try:
            version = self._connection.pragma("data_version")
            if version != self._version:
                rows = self._connection.execute("SELECT account, said FROM vacations").fetchall()
                self._known = {
                    str(name): msgspec.json.decode(str(said), type=Vacation) for name, said in rows
                }
                self._version = version
        except (apsw.Error, msgspec.MsgspecError):
            pass  # what was known holds until it can be read again
