"""
Small real clients and servers: Postfix's smtp-source and smtp-sink, and swaks.

Not hosts with a queue (postfix.py). smtp-sink keeps what it takes only as text with LF lines; a test that compares octet
for octet reads from a socket of its own.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.partners.ports import free_port
from tests.partners.program import Program, find_program
from tests.partners.waiting import wait_until


class Sink:
    """
    smtp-sink: takes all mail, or refuses and defers it as told, and counts; a context manager that stops it.

    Options worth knowing (smtp-sink(1)): "-f RCPT" refuses (5yz) a command, "-r RCPT" defers it (4yz), "-Q ." says 421
    and hangs up after the content, "-w 2" is slow, "-L" speaks LMTP, "-e" is HELO only, "-8" lacks 8BITMIME, "-p" lacks
    PIPELINING. It never offers STARTTLS.
    """

    def __init__(self, folder: Path, *options: str, port: int | None = None, keeps: bool = False) -> None:
        """
        Start it, its counter and what it keeps under *folder*.

        Args:
            folder: An existing folder of this sink's own.
            options: More of smtp-sink(1).
            port: Where to listen on 127.0.0.1; None picks one.
            keeps: Whether messages are kept for `messages`; it makes a sink much slower.
        """
        self.port = free_port() if port is None else port
        self._kept = folder / "kept"
        arguments = ["smtp-sink", "-c", *options]
        if keeps:
            self._kept.mkdir(exist_ok=True)
            self._kept.chmod(0o777)
            arguments += ["-d", f"{self._kept}/m."]
        if os.geteuid() == 0:
            arguments += ["-u", "nobody" if not keeps else "root"]
        self.program = Program(*arguments, f"127.0.0.1:{self.port}", "1000", output=folder / "sink.txt")
        self.program.wait_listening(self.port)

    def count(self) -> int:
        """Messages so far, as its own counter says: the text after the last carriage return."""
        shown = re.findall(r"mesg=(\d+)", self._tail())
        return int(shown[-1]) if shown else 0

    def wait_count(self, count: int, *, limit_s: float = 20) -> int:
        """`count`, when it is at least *count*."""
        return wait_until(
            lambda: found if (found := self.count()) >= count else None,
            f"{count} messages at the sink",
            limit_s=limit_s,
        )

    def messages(self) -> list[str]:
        """What it kept, each under its X-Client-Addr … X-Rcpt-Args lines (smtp-sink(1), DUMP FILE FORMAT)."""
        files = sorted(self._kept.iterdir(), key=lambda file: file.stat().st_mtime_ns)
        return [file.read_text(encoding="utf-8", errors="surrogateescape") for file in files]

    def stop(self) -> None:
        """Stop it."""
        self.program.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _tail(self) -> str:
        with self.program.output.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - 400))
            return stream.read().decode("ascii", "replace")


def smtp_source(
    port: int,
    count: int,
    *options: str,
    octets: int = 4096,
    sessions: int = 5,
    reverse_path: str = "author@example.test",
    forward_path: str = "reader@example.test",
    limit_s: float = 60,
) -> None:
    """
    Send *count* messages of *octets* to 127.0.0.1:*port* with *sessions* at once; AssertionError where one is refused.

    Without "-d" among *options* every message has a connection of its own.
    """
    command = [
        find_program("smtp-source"),
        "-s",
        str(sessions),
        "-m",
        str(count),
        "-l",
        str(octets),
        *options,
    ]
    command += ["-f", reverse_path, "-t", forward_path, f"127.0.0.1:{port}"]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=limit_s
    )
    assert 0 == done.returncode, done.stdout


@dataclass(frozen=True, slots=True)
class SwaksResult:
    """What a swaks run ended with: 0 is success, 24 RCPT refused, 26 the content refused (swaks(1), EXIT CODES)."""

    exit_status: int
    transcript: str

    @property
    def replies(self) -> list[str]:
        """The lines that the server said."""
        return [
            line[4:] for line in self.transcript.splitlines() if line.startswith(("<-  ", "<** ", "<~  "))
        ]


def swaks(port: int, *options: str, limit_s: float = 30) -> SwaksResult:
    """
    Run swaks against 127.0.0.1:*port*; give it "--from", "--to" and what else swaks(1) has.
    """
    command = [find_program("swaks"), "--server", "127.0.0.1", "--port", str(port), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit_s)
    return SwaksResult(done.returncode, done.stdout.decode("utf-8", "replace"))
