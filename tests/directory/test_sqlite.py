"""The directory in SQLite: what is written by another process is seen, and nothing else is."""

import stat
from pathlib import Path

import apsw
import pytest

from pymta.directory import Account, Alias, Domain, database
from pymta.directory.database import DirectoryUnusable, open_for_writing
from pymta.directory.sqlite import LOOK_AGAIN_S, SqliteLookup


class Watch:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_an_empty_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "data" / "directory.db"
    lookup = SqliteLookup(file)

    assert lookup.domain("a.example") is None
    for one in (file, *file.parent.iterdir()):
        assert 0o600 == stat.S_IMODE(one.stat().st_mode), one


def test_what_another_process_writes_is_seen_within_the_time(tmp_path: Path) -> None:
    file, watch = tmp_path / "directory.db", Watch()
    lookup = SqliteLookup(file, monotonic=watch)
    assert lookup.domain("a.example") is None
    writer = open_for_writing(file)
    writer.execute("INSERT INTO domains VALUES ('a.example', '[\"c@a.example\"]', 0, 0)")
    writer.execute(
        "INSERT INTO accounts VALUES ('x@a.example', 'a.example', '[]', 1000, 'a.example/x', 1, 0, 0, 7)"
    )
    writer.execute("INSERT INTO aliases VALUES ('y@a.example', 'a.example', '[\"x@a.example\"]', 1, 0)")

    assert lookup.domain("a.example") is None  # remembered
    watch.now_s += LOOK_AGAIN_S
    assert Domain(name="a.example", catch_all=("c@a.example",)) == lookup.domain("a.example")
    assert Account(
        name="x@a.example", quota_octets=1000, quota_messages=7, suspended=True, receives_mail=False
    ) == lookup.account("x@a.example")
    assert Alias(address="y@a.example", targets=("x@a.example",), members_may_send=True) == lookup.alias(
        "y@a.example"
    )
    writer.execute("UPDATE accounts SET suspended = 0")
    watch.now_s += LOOK_AGAIN_S
    account = lookup.account("x@a.example")
    assert account is not None
    assert not account.suspended


@pytest.mark.parametrize(
    "name",
    ["'||(select name from accounts)--@a.example", "x@a.example' OR '1'='1", 'a"; DROP TABLE accounts'],
)
def test_a_name_is_never_read_as_sql(tmp_path: Path, name: str) -> None:
    """
    SQL injection by a local part (notes/attacks.md, row 13): names are bound, never pasted.
    """
    file = tmp_path / "directory.db"
    lookup = SqliteLookup(file)
    writer = open_for_writing(file)
    writer.execute("INSERT INTO domains VALUES ('a.example', '[]', 0, 0)")
    writer.execute("INSERT INTO accounts VALUES ('x@a.example', 'a.example', '[]', NULL, 'f', 0, 1, 0, NULL)")

    assert lookup.account(name) is None
    assert lookup.alias(name) is None
    assert [] == list(lookup.passwords(name))
    assert lookup.account("x@a.example") is not None


def test_the_server_cannot_change_it_by_accident(tmp_path: Path) -> None:
    lookup = SqliteLookup(tmp_path / "directory.db")

    with pytest.raises(apsw.Error):
        lookup._connection.execute("DELETE FROM domains")


def test_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"x" * 4096)
    with pytest.raises(DirectoryUnusable, match="not an SQLite database"):
        SqliteLookup(tmp_path / "text")
    other = apsw.Connection(str(tmp_path / "other"))
    other.pragma("user_version", 7)
    with pytest.raises(DirectoryUnusable, match="another program's"):
        SqliteLookup(tmp_path / "other")
    newer = open_for_writing(tmp_path / "newer")
    newer.pragma("user_version", 99)
    newer.close()
    with pytest.raises(DirectoryUnusable, match="newer pymta"):
        SqliteLookup(tmp_path / "newer")


def test_a_file_of_an_older_version_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(database, "_MIGRATIONS", database._MIGRATIONS[:1])
        old = open_for_writing(tmp_path / "directory.db")
        old.execute("INSERT INTO domains VALUES ('a.example', '[]', 0, 0)")
        old.execute(
            "INSERT INTO accounts VALUES ('x@a.example', 'a.example', '[]', 5, 'a.example/x', 0, 1, 0)"
        )
        old.close()
    account = SqliteLookup(tmp_path / "directory.db").account("x@a.example")

    assert account is not None
    assert (5, None) == (account.quota_octets, account.quota_messages)
