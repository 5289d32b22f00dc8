"""
Programs and files of this host: procmail, maildrop, scripts with every exit status, mboxes under both locks.
"""

import contextlib
import fcntl
import mailbox
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.our_sink import OurSink
from tests.partners.program import find_program
from tests.partners.pymta import Pymta, next_hop
from tests.partners.waiting import wait_until

CONTENT = b"From: author@example.net\r\nSubject: hello\r\n\r\nFrom here\r\n>From there\r\n.\r\n"
READER = "reader@example.org"


def pipe(*command: str | Path) -> dict[str, Any]:
    return {"domain": "example.org", "transport": "pipe", "command": [str(part) for part in command]}


def script(folder: Path, source: str) -> tuple[str, Path]:
    file = folder / "script.py"
    file.write_text(source)
    return sys.executable, file


def send(server: Pymta, *forward_paths: str, content: bytes = CONTENT) -> None:
    with server.client() as client:
        client.sendmail("author@example.net", list(forward_paths), content)


def test_a_program_gets_the_message_once_for_each_recipient(
    start_pymta: Callable[..., Pymta], tmp_path: Path
) -> None:
    keeps = "import sys; open(sys.argv[1] + '/' + sys.argv[2], 'xb').write(sys.stdin.buffer.read())"
    server = start_pymta(routes=[pipe(*script(tmp_path, keeps), tmp_path, "{local_part}")])

    send(server, READER, "other@example.org")

    server.wait_event("done", delivered=2)
    kept = (tmp_path / "reader").read_bytes()
    assert kept.startswith(b"Return-Path: <author@example.net>\nDelivered-To: reader@example.org\nReceived:")
    assert kept.endswith(b"\n\nFrom here\n>From there\n.\n")
    assert b"Delivered-To: other@example.org\n" in (tmp_path / "other").read_bytes()


def test_a_local_part_is_an_argument_and_nothing_else(
    start_pymta: Callable[..., Pymta], tmp_path: Path
) -> None:
    """
    Attack: shell syntax and options in a local part (CVE-2020-7247).
    """
    shows = "import sys; open(sys.argv[1], 'a').write(repr(sys.argv[2:]) + chr(10))"
    kept = tmp_path / "arguments"
    server = start_pymta(
        routes=[pipe(*script(tmp_path, shows), kept, "{local_part}"), {"domain": "*", "transport": "discard"}]
    )

    send(server, '";id>/tmp/x;"@example.org', '"$(id)"@example.org', "-oX@example.org", "|id@example.org")

    server.wait_event("done", delivered=3, failed=1)
    attempt = server.wait_event("attempt", outcome="failed")
    assert ("-oX@example.org", "550 5.1.3") == (attempt["forward_path"], attempt["reply"][:9])
    shown = kept.read_text().splitlines()
    assert {"""['";id>/tmp/x;"']""", """['"$(id)"']""", "['|id']"} == set(shown)


@pytest.mark.parametrize(
    ("ends", "outcome", "reply"),
    [
        ("print('go away'); sys.exit(77)", "failed", "550 5.7.1 go away"),
        ("sys.exit(75)", "deferred", "451 4.3.0"),
        ("raise RuntimeError", "deferred", "451 4.3.0 the program ended with status 1"),
        ("os.kill(os.getpid(), 9)", "deferred", "451 4.3.0 the program ended with signal 9"),
        ("os.fork() or time.sleep(60); time.sleep(60)", "deferred", "451 4.3.0 the program took too long"),
        ("[print('x' * 1000) for _ in range(1000)]; sys.exit(67)", "failed", "550 5.1.1 xxx"),
    ],
)
def test_how_a_program_ends_is_the_outcome(
    start_pymta: Callable[..., Pymta], tmp_path: Path, ends: str, outcome: str, reply: str
) -> None:
    """
    Large input that nobody reads, large output, children that stay: none of it holds up the server.
    """
    server = start_pymta(
        routes=[
            pipe(*script(tmp_path, f"import os, sys, time\n{ends}")),
            {"domain": "*", "transport": "discard"},
        ],
        pipe={"seconds_max": 2},
        queue={"retry_s_min": 60},
    )

    send(server, READER, content=CONTENT + b"0123456789abcde\r\n" * 50_000)

    attempt = server.wait_event("attempt", forward_path=READER, outcome=outcome)
    assert reply in attempt["reply"]


def test_a_program_that_is_not_there_is_tried_again(
    start_pymta: Callable[..., Pymta], tmp_path: Path
) -> None:
    server = start_pymta(routes=[pipe(tmp_path / "program")], queue={"retry_s_min": 1, "retry_s_max": 1})
    send(server, READER)
    server.wait_event("attempt", outcome="deferred")

    (tmp_path / "program").write_text("#!/bin/sh\ncat > /dev/null\n")
    (tmp_path / "program").chmod(stat.S_IRWXU)

    server.wait_event("done", delivered=1)


def test_procmail_and_maildrop_file_what_we_hand_them(
    start_pymta: Callable[..., Pymta], tmp_path: Path
) -> None:
    (tmp_path / "procmailrc").write_text(f"DEFAULT={tmp_path}/procmail/\nLOGFILE={tmp_path}/procmail.log\n")
    (tmp_path / "procmailrc").chmod(0o644)
    (tmp_path / "filter").write_text(f'to "{tmp_path}/maildrop.mbox"\n')
    (tmp_path / "filter").chmod(0o600)
    server = start_pymta(
        routes=[
            pipe(find_program("procmail"), "-f", "{reverse_path}", "-m", tmp_path / "procmailrc"),
            {**pipe(find_program("maildrop"), tmp_path / "filter"), "domain": "maildrop.example"},
        ]
    )

    send(server, READER, "reader@maildrop.example")

    server.wait_event("done", delivered=2)
    (file,) = (tmp_path / "procmail").glob("new/*")
    assert b"Subject: hello\n" in file.read_bytes()
    assert b"Subject: hello\n" in (tmp_path / "maildrop.mbox").read_bytes()


def test_messages_are_appended_to_an_mbox_that_others_can_read(
    start_pymta: Callable[..., Pymta], tmp_path: Path
) -> None:
    server = start_pymta(
        routes=[{"domain": "example.org", "transport": "mbox", "file": f"{tmp_path}/mail-{{local_part}}"}]
    )

    for _ in range(3):
        send(server, READER, '"../../evil"@example.org')

    server.wait_events(3, "done", delivered=2)
    with contextlib.closing(mailbox.mbox(tmp_path / "mail-reader", create=False)) as kept:
        read = list(kept)
    assert ["hello"] * 3 == [message["Subject"] for message in read]
    assert [">From here\n>>From there\n.\n"] * 3 == [str(message.get_payload()) for message in read]
    assert {"mail-reader", "mail-%2E.%2F..%2Fevil"} == {path.name for path in tmp_path.glob("mail-*")}
    assert [] == list(tmp_path.glob("*.lock"))
    assert 0o600 == (tmp_path / "mail-reader").stat().st_mode & 0o777


def test_a_locked_mbox_waits_and_a_forgotten_lock_does_not(
    start_pymta: Callable[..., Pymta], tmp_path: Path
) -> None:
    """
    Under either lock of another program nothing is written; a dot-lock of long ago is nobody's.
    """
    file, lock = tmp_path / "mbox", tmp_path / "mbox.lock"
    server = start_pymta(
        routes=[{"domain": "example.org", "transport": "mbox", "file": str(file)}],
        mbox={"lock_s_max": 1, "stale_lock_s": 3},
        queue={"retry_s_min": 1, "retry_s_max": 1},
    )
    with file.open("wb") as stream:
        fcntl.lockf(stream, fcntl.LOCK_EX)
        send(server, READER)
        attempt = server.wait_event("attempt", outcome="deferred")
        assert "451 4.2.0 mailbox is locked" in attempt["reply"]
        assert 0 == file.stat().st_size
        lock.touch()
    server.wait_event("done", delivered=1)
    with contextlib.closing(mailbox.mbox(file, create=False)) as kept:
        assert 1 == len(kept)


def test_an_mbox_that_is_a_link_is_not_written(
    start_pymta: Callable[..., Pymta], tmp_path: Path, our_sink: OurSink
) -> None:
    """Attack: the file is a symbolic or a hard link to something precious (CVE-2020-8793)."""
    precious = tmp_path / "precious"
    precious.write_text("keep")
    (tmp_path / "mbox-soft").symlink_to(precious)
    (tmp_path / "mbox-hard").hardlink_to(precious)
    server = start_pymta(
        routes=[
            {"domain": "example.org", "transport": "mbox", "file": f"{tmp_path}/mbox-{{local_part}}"},
            next_hop(our_sink.port),
        ],
        queue={"retry_s_min": 60},
    )

    send(server, "soft@example.org", "hard@example.org")

    attempts = server.wait_events(2, "attempt", outcome="deferred")
    assert {"451 4.3.0"} == {attempt["reply"][:9] for attempt in attempts}
    wait_until(lambda: not list(tmp_path.glob("*.lock")), "the locks are released")
    assert "keep" == precious.read_text()
