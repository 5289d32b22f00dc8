"""A file that several processes share opens for all of them, whoever comes first."""

from pathlib import Path

import apsw
import pytest

from pymta.runtime import shared_database
from pymta.runtime.shared_database import open_shared_database


def first_opener_of(file: Path) -> apsw.Connection:
    """Somebody who is about to write the new file's first page: SQLite refuses all others at once."""
    connection = apsw.Connection(str(file))
    connection.execute("BEGIN IMMEDIATE")
    return connection


def test_whoever_opens_a_new_file_waits_for_who_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = first_opener_of(tmp_path / "a.db")
    monkeypatch.setattr(shared_database.time, "sleep", lambda _: first.close())

    connection = open_shared_database(tmp_path / "a.db", synchronous="full", busy_ms_max=5_000)

    assert "wal" == connection.pragma("journal_mode")


def test_it_waits_no_longer_than_it_may(tmp_path: Path) -> None:
    first = first_opener_of(tmp_path / "a.db")

    with pytest.raises(apsw.BusyError):
        open_shared_database(tmp_path / "a.db", synchronous="full", busy_ms_max=20)
    first.close()
