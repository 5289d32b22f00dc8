"""
One line for each thing that happened, whatever a peer sent, and never at the cost of mail.
"""

import fcntl
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymta.observe.events import (
    EVENTS,
    Accept,
    Admin,
    Attempt,
    Auth,
    Connect,
    Done,
    Event,
    Refuse,
    Report,
    Trouble,
)
from pymta.observe.line import TEXT_OCTETS_MAX, json_line, text_line
from pymta.observe.log import Log
from pymta.observe.writer import BATCH_OCTETS_MAX, Writer
from tests.partners.waiting import wait_until_async

AT_MS = 1_795_422_301_042  # 2026-11-23T08:25:01.042Z

# One of each, as they look in life, and the line that each must give.
LINES: list[tuple[Event, str, str]] = [
    (
        Connect(
            sid="7f3a-1", listener="relay", peer="192.0.2.7:40112", hello="mx.example.net",
            tls="TLSv1.3 TLS_AES_256_GCM_SHA384", accepted=2, commands=9, end="quit", took_s=0.214,
        ),
        '"verb":"connect","sid":"7f3a-1","listener":"relay","peer":"192.0.2.7:40112","hello":"mx.example.net",'
        '"tls":"TLSv1.3 TLS_AES_256_GCM_SHA384","accepted":2,"commands":9,"end":"quit","took_s":0.214',
        "connect  sid=7f3a-1 listener=relay peer=192.0.2.7:40112 hello=mx.example.net "
        'tls="TLSv1.3 TLS_AES_256_GCM_SHA384" accepted=2 commands=9 end=quit took_s=0.214',
    ),
    (
        Auth(sid="7f3a-1", peer="192.0.2.7:40112", mechanism="PLAIN", outcome="failed", cause="no such account"),
        '"verb":"auth","sid":"7f3a-1","peer":"192.0.2.7:40112","mechanism":"PLAIN","outcome":"failed",'
        '"cause":"no such account"',
        'auth     sid=7f3a-1 peer=192.0.2.7:40112 mechanism=PLAIN outcome=failed cause="no such account"',
    ),
    (
        Refuse(
            sid="7f3a-1", peer="192.0.2.7:40112", stage="rcpt", reply="550 5.7.1 relaying denied",
            cause="relay check", reverse_path="a@example.net", forward_path="b@example.com",
        ),
        '"verb":"refuse","sid":"7f3a-1","peer":"192.0.2.7:40112","stage":"rcpt","reply":"550 5.7.1 relaying denied",'
        '"cause":"relay check","reverse_path":"a@example.net","forward_path":"b@example.com"',
        'refuse   sid=7f3a-1 peer=192.0.2.7:40112 stage=rcpt reply="550 5.7.1 relaying denied" cause="relay check" '
        "reverse_path=a@example.net forward_path=b@example.com",
    ),
    (
        Accept(
            sid="7f3a-1", spool_id="1c5hq2x9v0000", peer="192.0.2.7:40112", reverse_path="", recipients=1,
            forward_path="b@example.org", size_octets=4096, took_s=0.006,
        ),
        '"verb":"accept","sid":"7f3a-1","spool_id":"1c5hq2x9v0000","peer":"192.0.2.7:40112","reverse_path":"",'
        '"recipients":1,"forward_path":"b@example.org","size_octets":4096,"took_s":0.006',
        'accept   sid=7f3a-1 spool_id=1c5hq2x9v0000 peer=192.0.2.7:40112 reverse_path="" recipients=1 '
        "forward_path=b@example.org size_octets=4096 took_s=0.006",
    ),
    (
        Attempt(
            spool_id="1c5hq2x9v0000", forward_path="b@example.org", transport="smtp",
            next_hop="mx.example.org[198.51.100.4]:25", site="mx.example.org", outcome="deferred",
            reply="451 4.7.1 greylisted", attempt=1, took_s=0.4, age_s=0.5,
        ),
        '"verb":"attempt","spool_id":"1c5hq2x9v0000","forward_path":"b@example.org","transport":"smtp",'
        '"next_hop":"mx.example.org[198.51.100.4]:25","site":"mx.example.org","outcome":"deferred",'
        '"reply":"451 4.7.1 greylisted","attempt":1,"took_s":0.4,"age_s":0.5',
        "attempt  spool_id=1c5hq2x9v0000 forward_path=b@example.org transport=smtp "
        "next_hop=mx.example.org[198.51.100.4]:25 site=mx.example.org outcome=deferred "
        'reply="451 4.7.1 greylisted" attempt=1 took_s=0.400 age_s=0.500',
    ),
    (
        Done(spool_id="1c5hq2x9v0000", delivered=1, age_s=301.5),
        '"verb":"done","spool_id":"1c5hq2x9v0000","delivered":1,"age_s":301.5',
        "done     spool_id=1c5hq2x9v0000 delivered=1 age_s=301.500",
    ),
    (
        Report(spool_id="1c5hq2x9v0001", about="1c5hq2x9v0000", action="failed", forward_path="a@example.net"),
        '"verb":"report","spool_id":"1c5hq2x9v0001","about":"1c5hq2x9v0000","action":"failed",'
        '"forward_path":"a@example.net"',
        "report   spool_id=1c5hq2x9v0001 about=1c5hq2x9v0000 action=failed forward_path=a@example.net",
    ),
    (
        Admin(action="drop", detail="domain example.org", count=3, by="control"),
        '"verb":"admin","action":"drop","detail":"domain example.org","count":3,"by":"control"',
        'admin    action=drop detail="domain example.org" count=3 by=control',
    ),
    (
        Trouble(what="hook raised", error="KeyError: 'x'", where="policy.py:12"),
        '"verb":"trouble","what":"hook raised","error":"KeyError: \'x\'","where":"policy.py:12"',
        "trouble  what=\"hook raised\" error=\"KeyError: 'x'\" where=policy.py:12",
    ),
]  # fmt: skip


def test_every_verb_has_its_line_here() -> None:
    assert set(EVENTS) == {type(event) for event, _, _ in LINES}


@pytest.mark.parametrize(("event", "body", "text"), LINES, ids=lambda value: type(value).__name__)
def test_each_verb_has_one_canonical_line(event: Event, body: str, text: str) -> None:
    assert f'{{"time":"2026-11-23T08:25:01.042Z",{body}}}\n' == json_line(event, AT_MS).decode()
    assert f"08:25:01.042 {text}\n" == text_line(event, AT_MS).decode()


def test_the_same_key_has_the_same_type_in_every_verb() -> None:
    """
    Same key, same meaning. `outcome`, `end`, `action` and `stage` are closed sets of their own.
    """
    kinds: dict[str, set[str]] = {}
    for kind in EVENTS:
        for name, hint in kind.__annotations__.items():
            if not hint.startswith(("Literal", "ClassVar")):
                kinds.setdefault(name, set()).add(hint)

    assert {} == {name: hints for name, hints in kinds.items() if len(hints) > 1}


# ---- what peers send -------------------------------------------------------------------------------------------------

HOSTILE = [
    "a\r\nb",
    '{"verb":"accept"}\n{"verb":"accept"',
    "\x1b[2J\x1b[31mred",
    "\x9b31m",
    "\x00\x7f\x85",
    "line\u2028separator\u2029here",
    "\u202egnp.exe",
    "zero\u200bwidth\ufeff",
    "\udcff\udc80 not UTF-8",
    'quote " backslash \\ equals=sign',
    "x" * 100_000,
    "\u202e" * 100_000,
    "😀 bücher.example",
    "\U000e0041 tag",
]


def is_harmless(line: bytes) -> bool:
    text = line.decode()
    return text.endswith("\n") and text[:-1].isprintable() and len(text) < 24 * TEXT_OCTETS_MAX


@pytest.mark.parametrize("peer_text", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_what_a_peer_sends_cannot_break_a_line(peer_text: str) -> None:
    """
    Attack: log injection. One line, printable, bounded, and as JSON still what it was meant to be.
    """
    event = Refuse(sid="s", peer="p", stage="hello", reply=peer_text, cause=peer_text, forward_path=peer_text)

    as_json, as_text = json_line(event, AT_MS), text_line(event, AT_MS)

    assert is_harmless(as_json)
    assert is_harmless(as_text)
    decoded = json.loads(as_json)
    assert ["time", "verb", "sid", "peer", "stage", "reply", "cause", "forward_path"] == list(decoded)
    assert "refuse" == decoded["verb"]
    if peer_text.isprintable() and len(peer_text) <= TEXT_OCTETS_MAX:
        assert peer_text == decoded["reply"]


ANY_TEXT = st.text(st.characters(codec=None, categories=None), max_size=600)


@given(ANY_TEXT, ANY_TEXT)
def test_no_text_at_all_can_break_a_line(first: str, second: str) -> None:
    event = Attempt(
        spool_id="i", forward_path=first, transport="smtp", outcome="failed", reply=second, attempt=1, took_s=0.1, age_s=1.0
    )  # fmt: skip

    for line in (json_line(event, AT_MS), text_line(event, AT_MS)):
        text = line.decode()
        assert text.endswith("\n")
        assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", text[:-1])
    assert "failed" == json.loads(json_line(event, AT_MS))["outcome"]


def test_a_traceback_is_one_value_in_json_and_indented_lines_in_text(tmp_path: Path) -> None:
    log = Log(Writer(tmp_path / "log"), format="json", now_ms=lambda: AT_MS)
    try:
        raise KeyError("evil\r\n\x1b[2J")
    except KeyError as error:
        log.trouble("hook raised", error, where="policy.py:3")
    log.close()

    (line,) = (tmp_path / "log").read_bytes().splitlines()
    event = json.loads(line)
    assert "KeyError" in event["error"]
    assert "test_log.py" in event["traceback"]
    assert "\x1b" not in event["traceback"]
    text = text_line(Trouble(what="x", traceback=event["traceback"]), AT_MS).decode().splitlines()
    assert all(row.startswith("    ") for row in text[1:])
    assert len(text) > 2


# ---- which events are written ----------------------------------------------------------------------------------------


def verbs_in(file: Path) -> list[str]:
    return [json.loads(line)["verb"] for line in file.read_text().splitlines()]


def test_levels_choose_by_verb_and_trouble_is_always_written(tmp_path: Path) -> None:
    log = Log(
        Writer(tmp_path / "log"),
        format="json",
        verbs={
            "connect": "none",
            "attempt": "problems",
            "done": "problems",
            "trouble": "none",
            "admin": "none",
        },
    )
    for event, _, _ in LINES:
        log.emit(event)
    log.close()

    assert ["auth", "refuse", "accept", "attempt", "report", "admin", "trouble"] == verbs_in(tmp_path / "log")


# ---- the writer ------------------------------------------------------------------------------------------------------


async def test_lines_of_one_wake_up_are_one_write(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "log")
    for number in range(100):
        writer.write(b"%d\n" % number)

    assert b"" == (tmp_path / "log").read_bytes()
    await wait_until_async(lambda: (tmp_path / "log").read_bytes(), "it is written")
    assert 100 == len((tmp_path / "log").read_bytes().splitlines())
    writer.close()


async def test_a_disk_that_stalls_holds_up_the_log_and_not_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Lines wait meanwhile, up to the limit; what came later is in the file later, and what was dropped is counted there.
    """
    stalls, goes_on, write = threading.Event(), threading.Event(), os.write

    def stalling(fd: int, octets: bytes) -> int:
        stalls.set()
        assert goes_on.wait(20)
        return write(fd, octets)

    monkeypatch.setattr("pymta.observe.writer.os.write", stalling)
    writer = Writer(tmp_path / "log", pending_octets_max=100)
    writer.write(b"first\n")
    await wait_until_async(stalls.is_set, "the disk stalls")
    for number in range(50):
        writer.write(b"%05d\n" % number)
    assert 50 - (100 - 6) // 6 == writer.dropped_total
    assert b"" == (tmp_path / "log").read_bytes()
    goes_on.set()
    await wait_until_async(lambda: b"dropped" in (tmp_path / "log").read_bytes(), "the rest is written")
    writer.close()

    lines = (tmp_path / "log").read_bytes().splitlines()
    assert [b"first", *(b"%05d" % number for number in range(15))] == [
        line for line in lines if b"dropped" not in line
    ]
    assert 1 == lines.count(b"35 lines dropped")


async def test_a_large_batch_does_not_wait(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "log")
    for _ in range(BATCH_OCTETS_MAX // 1000 + 1):
        writer.write(b"x" * 999 + b"\n")

    await wait_until_async(
        lambda: (tmp_path / "log").stat().st_size >= BATCH_OCTETS_MAX or None, "it is written"
    )
    writer.close()


def test_half_a_line_of_a_killed_process_does_not_take_the_next_with_it(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"whole\nha")

    for line in (b"first\n", b"second\n"):
        writer = Writer(file)
        writer.write(line)
        writer.close()

    assert b"whole\nha\nfirst\nsecond\n" == file.read_bytes()


def test_without_a_loop_lines_are_written_at_once(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "log")
    writer.write(b"before the loop\n")

    assert b"before the loop\n" == (tmp_path / "log").read_bytes()
    writer.close()


async def test_after_rotation_the_file_is_made_again(tmp_path: Path) -> None:
    file = tmp_path / "log"
    writer = Writer(file)
    writer.write(b"old\n")
    file.rename(tmp_path / "log.1")
    writer.reopen()
    writer.write(b"new\n")
    writer.close()

    assert (b"old\n", b"new\n") == ((tmp_path / "log.1").read_bytes(), file.read_bytes())
    assert 0o640 == file.stat().st_mode & 0o777


async def test_rotation_into_a_folder_that_is_gone_keeps_the_old_file(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = Log(Writer(folder / "log"), format="json")
    folder.rename(tmp_path / "moved")
    log.reopen()
    log.close()

    (line,) = (tmp_path / "moved" / "log").read_text().splitlines()
    assert "log file not opened again" in line


@contextmanager
def stderr_as_pipe() -> Iterator[int]:
    """Standard error of this process becomes a small pipe; what comes is its reading end. (No fixture: pytest's
    capture puts its own back before the test.)"""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    saved = os.dup(2)
    os.dup2(writing, 2)
    os.close(writing)
    try:
        yield reading
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(reading)


async def test_a_reader_that_does_not_read_never_blocks_us() -> None:
    """
    The pipe is full: lines wait, then are dropped and counted; when it is read again the count is told.
    """
    with stderr_as_pipe() as stderr_pipe:
        os.set_blocking(stderr_pipe, False)
        log = Log(Writer(pending_octets_max=10_000), format="json")
        for _ in range(1000):
            log.emit(Admin(action="noise", detail="x" * 50))
            log.writer.flush()
        dropped = log.writer.dropped_total
        received = b""
        for _ in range(1000):
            try:
                received += os.read(stderr_pipe, 65536)
            except BlockingIOError:
                if b"log lines dropped" in received:
                    break
            log.writer.flush()
        log.close()

    lines = [json.loads(line) for line in received.splitlines()]
    kept = [line for line in lines if line["verb"] == "admin"]
    (told,) = [line for line in lines if line["verb"] == "trouble"]
    assert dropped > 500
    assert dropped == told["count"]
    assert 1000 == len(kept) + told["count"]


def test_a_closed_standard_error_is_no_error() -> None:
    """
    Both ways: closed before we start, and closed by its reader while we run.
    """
    program = (
        "from pymta.observe.log import Log\n"
        "from pymta.observe.events import Admin\n"
        "import signal; signal.signal(signal.SIGPIPE, signal.SIG_IGN)\n"
        "log = Log.open(format='json')\n"
        "for _ in range(3): log.emit(Admin(action='x'))\n"
        "log.close(); print('alive')\n"
    )
    command = [sys.executable, "-c", program]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "python")}

    before = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", *command], stdout=subprocess.PIPE, env=environment, timeout=30
    )
    reading, writing = os.pipe()
    os.close(reading)
    while_running = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=writing, env=environment, timeout=30
    )
    os.close(writing)

    assert (b"alive\n", b"alive\n") == (before.stdout, while_running.stdout)


def test_colours_only_for_a_terminal_that_wants_them() -> None:
    event = LINES[4][0]

    assert b"\x1b[" not in text_line(event, AT_MS)
    coloured = text_line(event, AT_MS, colour=True)
    assert text_line(event, AT_MS) == re.sub(rb"\x1b\[\d*m", b"", coloured)
