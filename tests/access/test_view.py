"""
What a view tells the loop costs the loop little.
"""

from pathlib import Path

from pymta import _core
from pymta._core import ImapAccounts, ImapCommandEvent, ImapLoginEvent, ImapSession, ImapSettings

NOW_MS = 1_764_061_234_000


def test_what_is_watched_are_names_as_the_system_has_them(tmp_path: Path) -> None:
    """Objects of pathlib's, of which there may be a thousand, would hold up the loop for several milliseconds a look."""
    view = ImapAccounts(str(tmp_path), hostname="h", process=1).open("alice", "alice", NOW_MS)
    session = ImapSession(ImapSettings(login=True), secure=True)
    session.greet()
    session.receive(b"a LOGIN alice secret\r\n")
    assert isinstance(session.next_event(), ImapLoginEvent)
    session.open()
    session.receive(b"b NOTIFY SET (personal (MessageNew MessageExpunge))\r\n")
    event = session.next_event()
    assert isinstance(event, ImapCommandEvent)
    assert view.run(event.command, NOW_MS).startswith(b"b OK")
    assert str(tmp_path / "alice" / "new") in view.watched


def test_the_index_waits_for_its_own_data_and_not_for_the_journal() -> None:
    """
    SQLite calls fsync where nobody told it of fdatasync (.cargo/config.toml), and then every commit waits for what other
    programs write as well. Only SQLite asks the C library for it: the spool calls the system by itself.
    """
    assert b"\0fdatasync\0" in Path(_core.__file__).read_bytes()
