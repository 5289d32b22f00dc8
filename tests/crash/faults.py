"""
Trouble with the disk of a running server, made by strace: system calls that fail, or take long, while a block runs.

strace attaches to the process and lets go of it again, so a fault begins and ends when a test says so. Not for what a
crash leaves on a disk: that is the spool's simulated disk (rust/pymta-spool).
"""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests.partners.program import Program, find_program
from tests.partners.waiting import wait_until

# What only the spool and the mailboxes call, and what only the spool (everybody else writes with write(2)).
SYNC = "fdatasync,fsync,syncfs"
WRITE = "pwritev,pwrite64"
# What only the mailboxes call.
RENAME = "rename,renameat,renameat2"


@contextmanager
def calls(pid: int, names: str, how: str, output: Path) -> Iterator[Program]:
    """
    While open, those system calls of the process behave as *how* says (strace's `-e inject`).

    Args:
        pid: Of the process; all of its threads are meant.
        names: As `SYNC`.
        how: "error=EIO", "error=ENOSPC:when=3+7", "delay_enter=2s".
        output: Where strace may write.
    """
    _need_strace()
    with Program(
        "strace", "-f", "-o", output.with_suffix(".calls"), "-p", str(pid),
        "-e", f"trace={names}", "-e", f"inject={names}:{how}", output=output,
    ) as strace:  # fmt: skip
        wait_until(lambda: " attached" in strace.text(), "strace is attached")
        yield strace


def injected(output: Path) -> int:
    """How many calls were made to fail or to wait by `calls`, which has ended."""
    return sum("(INJECTED)" in line or "(DELAYED)" in line for line in _lines(output.with_suffix(".calls")))


def _lines(file: Path) -> Sequence[str]:
    return file.read_text(encoding="utf-8", errors="replace").splitlines()


@cache
def _may_trace() -> bool:
    done = subprocess.run(
        [
            find_program("strace"),
            "-o",
            "/dev/null",
            "-e",
            "inject=getppid:error=EIO",
            shutil.which("true") or "true",
        ],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def _need_strace() -> None:
    if not _may_trace():
        pytest.skip("no process may be traced here (ptrace), so no system call can be made to fail")
