"""
Look up passwords in an SQLite database, without holding up anybody else while it is read.

Both the database and scrypt would block the loop, so they run in a thread and the hook is `async def`. Only this hook
says who may log in: returning None, or an error, lets nobody in. To make an account:

    python auth_from_database.py accounts.sqlite alice@example.test
"""

import asyncio
import getpass
import hashlib
import hmac
import os
import sqlite3
import sys
from pathlib import Path

from pymta.policy import Credentials, Session, Verdict, accept, refuse

DATABASE = Path(os.environ.get("PYMTA_ACCOUNTS", Path(__file__).with_name("accounts.sqlite")))
FAILURES_MAX = 3


def digest(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


def is_right(account: str, password: str) -> bool:
    connection = sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True)
    try:
        row = connection.execute("SELECT salt, digest FROM account WHERE name = ?", (account,)).fetchone()
    finally:
        connection.close()
    # The same work for an account that does not exist, or the time it takes would tell which ones do.
    salt, expected = row or (b"no such account.", b"")
    return hmac.compare_digest(expected, digest(password, salt))


async def auth(session: Session, credentials: Credentials) -> Verdict:
    if await asyncio.to_thread(is_right, credentials.account.lower(), credentials.password.reveal()):
        return accept(reason="password")
    failures = session.state["failures"] = session.state.get("failures", 0) + 1
    if failures >= FAILURES_MAX:
        return refuse("535 5.7.8 authentication failed, too often", reason=f"{failures} failures")
    return refuse("535 5.7.8 authentication failed", reason="wrong account or password")


def add_account(database: str | Path, account: str, password: str) -> None:
    salt = os.urandom(16)
    with sqlite3.connect(database) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY, salt BLOB, digest BLOB)"
        )
        row = (account.lower(), salt, digest(password, salt))
        connection.execute("INSERT OR REPLACE INTO account VALUES (?, ?, ?)", row)
    connection.close()


if __name__ == "__main__":
    add_account(sys.argv[1], sys.argv[2], getpass.getpass("Password: "))
