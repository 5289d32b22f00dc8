"""
A program on a screen, as somebody sits before it: tmux holds the terminal, keys go in, and what stands there is read.

Not for what a program can be told on its command line; and tmux's server is this test's own, with a socket and without
the configuration of whoever runs the tests.
"""

import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.partners.program import find_program
from tests.partners.waiting import wait_until

COLUMNS, LINES = 120, 40
COMMAND_S_MAX = 10


class Terminal:
    """One running program and its screen; a context manager that ends both."""

    def __init__(self, *command: str | Path, folder: Path, **environment: str) -> None:
        """Start *command* in *folder*, which is its home as well."""
        # The address of a socket may have 107 octets, which pytest's folders can exceed.
        self._own = Path(tempfile.mkdtemp(prefix="pymta-tmux-"))
        self._environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **environment}
        words = shlex.join([find_program(str(command[0])), *map(str, command[1:])])
        self._tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", str(COLUMNS), "-y", str(LINES), "-c", str(folder),
            f"exec {words}",
        )  # fmt: skip

    def press(self, *keys: str) -> None:
        """Press *keys*: each is one that tmux knows by name (Enter, C-g), or text."""
        for key in keys:
            literal = ["-l"] if len(key) == 1 or not key[0].isupper() else []
            # At the end of a word a semicolon would part two commands of tmux.
            escaped = f"{key[:-1]}\\;" if key.endswith(";") else key
            self._tmux("send-keys", *literal, "--", escaped)

    def screen(self) -> str:
        """What stands on it."""
        return self._tmux("capture-pane", "-p")

    def wait_for(self, *texts: str) -> str:
        """Return the screen as soon as all of *texts* stand on it; AssertionError with the screen where they never do."""
        try:
            return wait_until(lambda: self._screen_with(texts), f"{texts} stand on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.screen()}") from None

    def wait_ended(self) -> None:
        """Return when the program has ended by itself."""
        wait_until(lambda: not self._runs(), "the program has ended")

    def _screen_with(self, texts: tuple[str, ...]) -> str | None:
        screen = self.screen()
        return screen if all(text in screen for text in texts) else None

    def _runs(self) -> bool:
        # With its only program tmux's server ends.
        return self._run("has-session").returncode == 0

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [find_program("tmux"), "-S", str(self._own / "socket"), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=COMMAND_S_MAX,
            check=False,
            env=self._environment,
        )

    def _tmux(self, *words: str) -> str:
        done = self._run(*words)
        assert 0 == done.returncode, f"tmux {shlex.join(words)}: {done.stdout}"
        return done.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run("kill-server")
        shutil.rmtree(self._own)
