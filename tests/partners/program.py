"""
A program that runs beside a test: started in the foreground, its output in a file, ended by its pid.

Not for daemons that detach themselves (Postfix has its own file).
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.partners.ports import is_listening
from tests.partners.waiting import wait_until

STOP_S_MAX = 10
# Debian keeps servers where an ordinary user's PATH does not look.
SEARCHED = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def find_program(name: str) -> str:
    """The path of an installed program; AssertionError (with what to do) where it is missing."""
    path = shutil.which(name, path=SEARCHED)
    assert path is not None, f"{name} is missing: `make partners` installs what the tests talk to"
    return path


def run_to_end(*command: str, folder: Path, limit_s: float = 60, **environment: str) -> str:
    """Run a program to its good end, with *folder* for its home; what it said."""
    done = subprocess.run(
        [find_program(command[0]), *command[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=limit_s,
        check=False,
        cwd=folder,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **environment},
    )
    said = done.stdout.decode("utf-8", "replace")
    assert 0 == done.returncode, said
    return said


def secret_file(folder: Path, name: str, text: str) -> Path:
    """A file for its owner only."""
    file = folder / name
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    return file


class Program:
    """One running process; a context manager that ends it."""

    def __init__(self, *command: str | Path, output: Path, environment: dict[str, str] | None = None) -> None:
        """Start *command*; what it prints, on either stream, goes to the file *output*."""
        self.output = output
        with output.open("wb") as stream:
            self.process = subprocess.Popen(
                [find_program(str(command[0])), *map(str, command[1:])],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=None if environment is None else {**os.environ, **environment},
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def text(self) -> str:
        """What it has printed so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def wait_listening(self, port: int, *, limit_s: float = 15) -> None:
        """Return when 127.0.0.1:*port* accepts; AssertionError, with what was printed, where the program ended instead."""

        def listening() -> bool:
            assert self.process.poll() is None, f"ended with status {self.process.returncode}: {self.text()}"
            return is_listening(port)

        wait_until(listening, f"port {port} is listening", limit_s=limit_s)

    def kill(self) -> None:
        """End it as a power failure would (SIGKILL)."""
        self.process.kill()
        self.process.wait(STOP_S_MAX)

    def stop(self) -> int:
        """End it as an operator would (SIGTERM), killing it after a limit; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
