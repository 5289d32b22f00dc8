"""
The directory's SQLite file: how it is opened, what tables it has, how they grow with new versions.

One row an entry; the names in it are canonical. Write-ahead logging, so that a reader never waits for a writer;
`synchronous = FULL`, because a password that was changed must stay changed. SQLite is apsw's own (3.51.3 or newer:
older ones have a race that corrupts such files, https://sqlite.org/wal.html "WAL-reset bug").
"""

from pathlib import Path
from typing import Final

import apsw

from pymta.mail.errors import PymtaError, TemporaryFailure
from pymta.runtime.shared_database import open_shared_database

__all__ = ["DirectoryBusy", "DirectoryUnusable", "open_for_reading", "open_for_writing"]

# "pymD": what `file` and SQLite's own tools see in the file's head.
APPLICATION_ID: Final = 0x70796D44
BUSY_MS_MAX: Final = 5_000

# Each entry brings the file from the version of its index to the next. Never change one that was released.
_MIGRATIONS: Final = (
    """
    CREATE TABLE domains (
        name TEXT PRIMARY KEY,
        catch_all TEXT NOT NULL DEFAULT '[]',  -- addresses, as JSON
        suspended INTEGER NOT NULL DEFAULT 0,
        created_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE accounts (
        name TEXT PRIMARY KEY,
        domain TEXT NOT NULL REFERENCES domains (name),
        addresses TEXT NOT NULL DEFAULT '[]',  -- what else it may use, as JSON
        quota_octets INTEGER,
        mail_folder TEXT NOT NULL UNIQUE,
        suspended INTEGER NOT NULL DEFAULT 0,
        receives_mail INTEGER NOT NULL DEFAULT 1,
        created_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX accounts_of_domain ON accounts (domain);

    CREATE TABLE passwords (
        account TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
        label TEXT NOT NULL,  -- '' is the account's own, others are for applications
        scheme TEXT NOT NULL,  -- a password may be stored in two forms: for PLAIN and for SCRAM
        stored TEXT NOT NULL,
        changed_ms INTEGER NOT NULL,
        PRIMARY KEY (account, label, scheme)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE aliases (
        address TEXT PRIMARY KEY,
        domain TEXT NOT NULL REFERENCES domains (name),
        targets TEXT NOT NULL,  -- addresses, as JSON
        members_may_send INTEGER NOT NULL,
        created_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX aliases_of_domain ON aliases (domain);
    """,
    "ALTER TABLE accounts ADD COLUMN quota_messages INTEGER",
)


class DirectoryUnusable(PymtaError):
    """The file is no directory of ours, or of a newer version; the text says which."""


class DirectoryBusy(TemporaryFailure):
    """The file could not be read or written just now."""


def open_for_writing(file: Path) -> apsw.Connection:
    """
    Open the directory, made and brought to this version's form where needed.

    Raises:
        DirectoryUnusable: See there.
        DirectoryBusy: Somebody else has been writing for too long, or the disk has trouble.
    """
    try:
        connection = open_shared_database(file, synchronous="full", busy_ms_max=BUSY_MS_MAX)
        connection.pragma("foreign_keys", True)
        _migrate(connection, file)
    except apsw.NotADBError:
        raise DirectoryUnusable(f"{file} is not an SQLite database") from None
    except OSError as error:
        raise DirectoryBusy(f"{file}: {error.strerror or error}") from error
    except apsw.Error as error:
        raise DirectoryBusy(f"{file}: {error}") from error
    return connection


def open_for_reading(file: Path) -> apsw.Connection:
    """A second connection to a directory that `open_for_writing` has opened once; nothing can be changed by it."""
    try:
        connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(BUSY_MS_MAX)
        connection.pragma("query_only", True)
    except apsw.Error as error:
        raise DirectoryBusy(f"{file}: {error}") from error
    return connection


def _migrate(connection: apsw.Connection, file: Path) -> None:
    version = connection.pragma("user_version")
    identity = connection.pragma("application_id")
    if identity not in (0, APPLICATION_ID) or (identity == 0 and version):
        raise DirectoryUnusable(f"{file} is another program's database")
    if version > len(_MIGRATIONS):
        raise DirectoryUnusable(
            f"{file} was written by a newer pymta (version {version}, known is {len(_MIGRATIONS)})"
        )
    if version == len(_MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    with_version: int = connection.pragma("user_version")  # somebody else may have been quicker
    for migration in _MIGRATIONS[with_version:]:
        connection.execute(migration)
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", len(_MIGRATIONS))
    connection.execute("COMMIT")
