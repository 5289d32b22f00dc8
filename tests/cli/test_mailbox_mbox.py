"""`pymta mailbox import|export --mbox`, against readers and writers of mbox that are not ours."""

import mailbox
import subprocess
import threading
from contextlib import closing
from email.message import EmailMessage
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pymta.cli import command_line

ACCOUNT = "alice@example.org"
BODY = "From the start\n>From quoted\nend\n"


def run(data: Path, *words: str, fails: bool = False) -> Result:
    result = CliRunner().invoke(
        command_line, ["mailbox", *words, ACCOUNT, "--no-config", "--data", str(data)]
    )
    assert fails is (result.exit_code != 0), result.output
    return result


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for words in (("domain", "add", "example.org"), ("account", "add", ACCOUNT, "--no-password")):
        made = CliRunner().invoke(command_line, [*words, "--no-config", "--data", str(tmp_path)])
        assert 0 == made.exit_code, made.output
    return tmp_path


@pytest.fixture
def of_python(tmp_path: Path) -> Path:
    """An mbox of Python's, which is mboxo: three messages, of which one is seen and answered, and has a keyword."""
    path = tmp_path / "of-python"
    box = mailbox.mbox(path)
    for number, flags in enumerate(("", "RO", "ROA")):
        content = EmailMessage()
        content["Subject"] = f"message {number}"
        if "A" in flags:
            content["X-Keywords"] = "work"
        content.set_content(BODY)
        message = mailbox.mboxMessage(content)
        message.set_from("bob@example.net", (2023, 11, 16, 10, 0, number, 3, 320, 0))
        message.set_flags(flags)
        box.add(message)
    box.close()
    return path


def test_what_python_wrote_is_taken_in_with_flags_and_dates(data: Path, of_python: Path) -> None:
    said = run(data, "import", "--mboxo", "--mbox", str(of_python)).output
    assert "3 messages in 1 mailbox, 0 more were there already\n" == said
    folder = data / "mail" / "example.org" / "alice"
    box = mailbox.Maildir(folder, create=False)
    found = sorted(box, key=lambda message: str(message["Subject"]))

    assert ["", "S", "RS"] == [message.get_flags() for message in found]
    assert ["new", "cur", "cur"] == [message.get_subdir() for message in found]
    assert [1700128800.0, 1700128801.0, 1700128802.0] == [message.get_date() for message in found]
    # Python cannot say in an mbox that it escaped a line of which one `>` is the author's own.
    assert {BODY.replace(">From", "From")} == {message.get_payload() for message in found}
    assert {None} == {message["Status"] or message["X-Keywords"] for message in found}


def test_what_was_interrupted_may_be_repeated(data: Path, of_python: Path) -> None:
    text = of_python.read_bytes()
    of_python.write_bytes(text[: text.index(b"message 1")])
    run(data, "import", "--mbox", str(of_python))
    of_python.write_bytes(text)
    said = run(data, "import", "--mbox", str(of_python)).output

    assert said.endswith("more were there already\n")
    subjects = [
        str(message["Subject"]) for message in mailbox.Maildir(data / "mail" / "example.org" / "alice")
    ]
    assert {"message 0", "message 1", "message 2"} <= set(subjects)


def exported(data: Path, of_python: Path) -> Path:
    run(data, "import", "--mboxo", "--mbox", str(of_python), "--mailbox", "Old/2023")
    assert "3 messages in 2 mailboxes\n" == run(data, "export", "--mbox", str(data / "out")).output
    return data / "out" / "Old" / "2023.mbox"


def test_python_reads_what_was_written(data: Path, of_python: Path) -> None:
    with closing(mailbox.mbox(exported(data, of_python), create=False)) as box:
        found = list(box)

    assert ["message 0", "message 1", "message 2"] == [str(message["Subject"]) for message in found]
    assert ["O", "RO", "ROA"] == [message.get_flags() for message in found]
    assert ["MAILER-DAEMON Thu Nov 16 10:00:00 2023"] == [message.get_from() for message in found][:1]
    assert "work" == found[2]["X-Keywords"]
    assert not (data / "out" / "INBOX.mbox").read_bytes()


def test_nothing_is_written_over(data: Path, of_python: Path) -> None:
    path = exported(data, of_python)
    for words in ([str(data / "out")], [str(path), "--mailbox", "Old/2023"]):
        assert "is there already" in run(data, "export", "--mbox", *words, fails=True).output
    assert (
        "no mailbox New"
        in run(data, "export", "--mbox", str(data / "x"), "--mailbox", "New", fails=True).output
    )


def test_formail_parts_what_was_written(data: Path, of_python: Path) -> None:
    path = exported(data, of_python)
    with path.open("rb") as source:
        parted = subprocess.run(
            ["formail", "-s", "formail", "-zx", "Subject"],
            stdin=source,
            capture_output=True,
            timeout=20,
            check=True,
        )
    assert b"message 0\nmessage 1\nmessage 2\n" == parted.stdout


def test_what_is_no_mbox_is_said_in_one_line(data: Path) -> None:
    path = data / "x"
    path.write_text("Subject: x\n\nx\n")
    said = run(data, "import", "--mbox", str(path), fails=True).output
    assert (1, True) == (len(said.splitlines()), "not an mbox" in said)
    (data / "tree").mkdir()
    path.rename(data / "tree" / "x")
    said = run(data, "import", "--mbox", str(data / "tree")).output
    assert "x: no mbox, passed over" in said.splitlines()[0]


def test_who_interrupts_keeps_what_is_in(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C, which reaches us while we look how far it is: the work ends at once, with whole messages."""
    path = data / "large"
    message = "From a@b.c Thu Nov 16 10:00:00 2023\nSubject: {}\n\nx\n\n"
    path.write_text("".join(message.format(number) for number in range(1_500)))
    interrupted = threading.Event()

    def wait(*_: object) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    monkeypatch.setattr("pymta.cli.mailbox.futures_wait", wait)
    said = run(data, "import", "--mbox", str(path), fails=True).output
    assert interrupted.is_set()
    assert "stopped: what was done stays" in said
    monkeypatch.undo()
    said = run(data, "import", "--mbox", str(path)).output
    new, known = int(said.split()[0]), int(said.split(", ")[1].split()[0])
    assert (1_500, True) == (new + known, new > 0)
    folder = data / "mail" / "example.org" / "alice"
    assert 1_500 == len(list((folder / "new").iterdir()))
    assert not list((folder / "tmp").iterdir())
