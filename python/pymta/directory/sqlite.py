"""
The directory in SQLite, as the server reads it: found by key, remembered until somebody changes the file.

A look into memory costs well below a microsecond, one into the file about ten. Whether the file was changed costs as much
as reading it, so that is asked once in `LOOK_AGAIN_S` at most: a change by the command line is seen within that time,
without a signal.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Final, TypeVar

import apsw
import msgspec

from pymta.directory.database import DirectoryBusy, open_for_reading, open_for_writing
from pymta.directory.editor import DirectoryEditor
from pymta.directory.nouns import Account, Alias, Domain, Password
from pymta.mail.secret import Secret

__all__ = ["SqliteLookup"]

T = TypeVar("T")

LOOK_AGAIN_S: Final = 0.02
# Entries kept in memory of each kind, known and unknown ones; about 1 KiB each.
ENTRIES_MAX: Final = 8192
# What a domain's keys for SCRAM look like is judged by so many accounts.
SAMPLE_MAX: Final = 512

_addresses = msgspec.json.Decoder(tuple[str, ...])


class SqliteLookup:
    """`Lookup` over a file. Used from one thread only."""

    def __init__(self, file: Path, *, monotonic: Callable[[], float] = monotonic) -> None:
        """
        Args:
            file: Made where it does not exist.
            monotonic: A clock, in seconds.

        Raises:
            DirectoryUnusable, DirectoryBusy: As `database.open_for_writing`.
        """
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        open_for_writing(file).close()
        self._file = file
        self._connection = open_for_reading(file)
        self._monotonic = monotonic
        self._look_again_s = 0.0
        self._version = -1
        self._domains: dict[str, Domain | None] = {}
        self._accounts: dict[str, Account | None] = {}
        self._aliases: dict[str, Alias | None] = {}

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def domain(self, name: str) -> Domain | None:
        return self._found(self._domains, name, self._read_domain)

    def account(self, name: str) -> Account | None:
        return self._found(self._accounts, name, self._read_account)

    def alias(self, address: str) -> Alias | None:
        return self._found(self._aliases, address, self._read_alias)

    def passwords(self, account: str) -> Sequence[Password]:
        """Never remembered: a login is rare beside a recipient, and what is not in memory cannot leak from there."""
        rows = self._rows(
            "SELECT label, stored FROM passwords WHERE account = ? ORDER BY label, scheme", account
        )
        return [Password(label=str(label), stored=Secret(str(stored))) for label, stored in rows]

    def scram_sample(self, domain: str) -> Sequence[str]:
        """Stored keys for SCRAM of the domain's first `SAMPLE_MAX` accounts by name."""
        rows = self._rows(
            "SELECT stored FROM (SELECT name FROM accounts WHERE domain = ? ORDER BY name LIMIT ?)"
            " JOIN passwords ON account = name AND label = '' AND scheme = 'scram'",
            domain,
            SAMPLE_MAX,
        )
        return [str(stored) for (stored,) in rows]

    def replace_stored(self, account: str, label: str, before: Sequence[str], after: Sequence[str]) -> bool:
        """Store a password in better forms (`DirectoryEditor.replace_stored`). For any thread: it opens its own file."""
        editor = DirectoryEditor(self._file)
        try:
            return editor.replace_stored(account, label, before, after)
        finally:
            editor.close()

    # ---- memory

    def _found(self, known: dict[str, T | None], key: str, read: Callable[[str], T | None]) -> T | None:
        now_s = self._monotonic()
        if now_s >= self._look_again_s:
            self._look_again_s = now_s + LOOK_AGAIN_S
            self._forget_if_changed()
        try:
            return known[key]
        except KeyError:
            pass
        if len(known) >= ENTRIES_MAX:
            known.clear()  # rare, and what is in use comes back for the price of a read each
        entry = known[key] = read(key)
        return entry

    def _forget_if_changed(self) -> None:
        try:
            version = self._connection.pragma("data_version")
        except apsw.Error as error:
            raise DirectoryBusy(str(error)) from error
        if version != self._version:
            self._version = version
            self._domains.clear()
            self._accounts.clear()
            self._aliases.clear()

    # ---- the file

    def _rows(self, query: str, *values: str | int) -> list[tuple[object, ...]]:
        try:
            return self._connection.execute(query, values).fetchall()
        except apsw.Error as error:
            raise DirectoryBusy(str(error)) from error

    def _read_domain(self, name: str) -> Domain | None:
        for catch_all, suspended in self._rows(
            "SELECT catch_all, suspended FROM domains WHERE name = ?", name
        ):
            return Domain(name=name, catch_all=_addresses.decode(str(catch_all)), suspended=bool(suspended))
        return None

    def _read_account(self, name: str) -> Account | None:
        query = (
            "SELECT addresses, quota_octets, quota_messages, mail_folder, suspended, receives_mail"
            " FROM accounts WHERE name = ?"
        )
        for addresses, octets, messages, folder, suspended, receives in self._rows(query, name):
            return Account(
                name=name,
                addresses=_addresses.decode(str(addresses)),
                quota_octets=octets if isinstance(octets, int) else None,
                quota_messages=messages if isinstance(messages, int) else None,
                mail_folder=str(folder),
                suspended=bool(suspended),
                receives_mail=bool(receives),
            )
        return None

    def _read_alias(self, address: str) -> Alias | None:
        query = "SELECT targets, members_may_send FROM aliases WHERE address = ?"
        for targets, members_may_send in self._rows(query, address):
            return Alias(
                address=address,
                targets=_addresses.decode(str(targets)),
                members_may_send=bool(members_may_send),
            )
        return None
