"""`pymta mailbox`, as an operator types it who comes from Dovecot, and who leaves again."""

import io
import json
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from click.testing import CliRunner, Result

from pymta._core import MailboxUpkeep
from pymta.cli import command_line, mailbox
from tests.partners.waiting import wait_until

ACCOUNT = "alice@example.org"


def run(data: Path, *words: str, fails: bool = False) -> Result:
    result = CliRunner().invoke(command_line, [*words, "--no-config", "--data", str(data)])
    assert fails is (result.exit_code != 0), result.output
    return result


@pytest.fixture
def data(tmp_path: Path) -> Path:
    run(tmp_path, "domain", "add", "example.org")
    run(tmp_path, "account", "add", ACCOUNT, "--no-password")
    return tmp_path


@pytest.fixture
def maildir(data: Path) -> Path:
    folder = data / "mail" / "example.org" / "alice"
    for name in ("cur", "new", "tmp", ".Sent/cur", ".Sent/new", ".Sent/tmp"):
        (folder / name).mkdir(parents=True)
    (folder / "cur" / "1700000001.M1P1.h:2,Sa").write_text("Subject: one\n\n1\n")
    (folder / "new" / "1700000002.M1P1.h").write_text("Subject: two\n\n2\n")
    (folder / "dovecot-uidlist").write_text("3 V1234567890 N8 G0\n7 :1700000001.M1P1.h:2,S\n")
    (folder / "dovecot-keywords").write_text("0 work\n")
    return folder


def test_an_account_moves_in_and_out_with_its_uids(data: Path, maildir: Path) -> None:
    assert "2 messages in 2 mailboxes, 1 UID kept\n" == run(data, "mailbox", "import", ACCOUNT).output
    assert "2 messages in 2 mailboxes, 0 UIDs kept\n" == run(data, "mailbox", "import", ACCOUNT).output
    assert "2 messages in 2 mailboxes\n" == run(data, "mailbox", "export", ACCOUNT).output
    lines = (maildir / "dovecot-uidlist").read_text().splitlines()

    assert lines[0].startswith("3 V1234567890 N9 G")
    assert ["7", "8"] == [line.split(" ")[0] for line in lines[1:]]
    assert "0 work\n" == (maildir / "dovecot-keywords").read_text()
    assert 0o600 == (maildir / "pymta.index").stat().st_mode & 0o777


def test_texts_are_kept_for_searches(data: Path, maildir: Path) -> None:
    assert "2 messages in 2 mailboxes\n" == run(data, "mailbox", "index", ACCOUNT).output
    assert 0o600 == (maildir / "pymta.search").stat().st_mode & 0o777


def test_a_check_tells_differences_and_a_repair_takes_them_in(data: Path, maildir: Path) -> None:
    def inbox() -> dict[str, int]:
        report = json.loads(run(data, "mailbox", "check", ACCOUNT, "--json").output)
        assert [] == report["damage"]
        found: dict[str, int] = next(one for one in report["mailboxes"] if one["name"] == "INBOX")
        return found

    assert 2 == inbox()["unknown_files"]
    assert "repaired\n" == run(data, "mailbox", "repair", ACCOUNT).output
    assert (0, 2) == (inbox()["unknown_files"], inbox()["messages"])
    assert "INBOX" in run(data, "mailbox", "check", ACCOUNT).output


def test_a_damaged_index_is_made_anew(data: Path, maildir: Path) -> None:
    run(data, "mailbox", "import", ACCOUNT)
    (maildir / "pymta.index").write_bytes(b"no index at all\n" * 1000)

    for words in ([], ["--json"]):
        checked = run(data, "mailbox", "check", ACCOUNT, *words, fails=True)
        assert (1, 1) == (checked.exit_code, len(checked.output.splitlines()))
        assert "the index is damaged" in checked.output
    assert b"no index" == (maildir / "pymta.index").read_bytes()[:8]
    assert not (maildir / "pymta.index.damaged").exists()
    assert "made anew\n" == run(data, "mailbox", "repair", ACCOUNT).output
    assert (maildir / "pymta.index.damaged").exists()
    assert "repaired\n" == run(data, "mailbox", "repair", ACCOUNT).output


def test_what_is_wrong_is_said_in_one_line(data: Path) -> None:
    unknown = run(data, "mailbox", "check", "nobody@example.org", fails=True)
    assert 1 == len(unknown.output.splitlines())
    (data / "mail").write_text("in the way")
    assert 1 == len(run(data, "mailbox", "check", ACCOUNT, fails=True).output.splitlines())


class Terminal(io.StringIO):
    """Somebody looks at it."""

    def isatty(self) -> bool:
        return True


class Upkeep:
    """What an upkeep says of itself."""

    progress = SimpleNamespace(mailboxes=1, messages=2, records=3, known=0, octets=5, octets_total=10)


@pytest.mark.parametrize("error", [None, TimeoutError("of the disk")])
def test_a_person_sees_how_far_it_is_and_the_line_is_ended(
    monkeypatch: pytest.MonkeyPatch, error: TimeoutError | None
) -> None:
    seen, terminal = threading.Event(), Terminal()

    def work() -> None:
        wait_until(lambda: "2 messages" in terminal.getvalue() or None, "progress is told")
        seen.set()
        if error is not None:
            raise error

    monkeypatch.setattr(mailbox, "_PROGRESS_S", 0.01)
    monkeypatch.setattr(sys, "stderr", terminal)
    with nullcontext() if error is None else pytest.raises(TimeoutError, match="of the disk"):
        mailbox._watched(cast(MailboxUpkeep, Upkeep()), work)
    assert seen.is_set()
    assert "3 records" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")  # the line of progress is taken away again
