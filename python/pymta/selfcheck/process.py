"""
A server of the check's own: `pymta serve` in a process of its own, on loopback, with a folder of its own.

What it did is read from its log and its control socket, as an operator would. Rule: the log is a file that outlives a kill.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pymta
from pymta.admin.client import ControlClient, ControlError, NotRunning
from pymta.admin.control import QueueQuery

__all__ = ["CheckFailed", "ServerProcess", "environment"]

START_S_MAX: Final = 60.0
STOP_S_MAX: Final = 30.0
LOOK_AGAIN_S: Final = 0.01

CONFIGURATION = """\
[server]
hostname = "selfcheck.example.test"
data_folder = "data"
shutdown_grace_s = 5
[log]
file = "log"
format = "json"
[http]
enabled = false
[queue]
retry_s_min = 1
retry_s_max = 1
[delivery]
connections_per_site_max = {connections_per_site_max}
# Small, so that segments are closed, reused and recovered all the time.
[spool]
segment_octets = 2097152
spill_octets = 65536
[[listeners]]
name = "relay"
address = "127.0.0.1:0"
trusted_networks = ["127.0.0.0/8"]
[[routes]]
domain = "*"
next_hops = ["127.0.0.1:{port}"]
tls = "none"
"""


def environment() -> dict[str, str]:
    """Of a process that runs this very pymta, and not one that is installed or lies about elsewhere."""
    return {**os.environ, "PYTHONPATH": str(Path(pymta.__file__).parents[1]), "PYMTA_CONFIG": ""}


class CheckFailed(Exception):
    """The check could not go on; what it says is for a person."""


class ServerProcess:
    """See the module. It may be started again after each end."""

    def __init__(self, folder: Path, next_hop_port: int, *, connections_per_site_max: int) -> None:
        """Write its configuration into *folder*; all mail goes to 127.0.0.1:*next_hop_port*."""
        self.folder = folder
        self.port = 0
        self._process: asyncio.subprocess.Process | None = None
        self._control = ControlClient(folder / "data")
        self._read_octets = 0
        self._events: list[dict[str, Any]] = []
        text = CONFIGURATION.format(port=next_hop_port, connections_per_site_max=connections_per_site_max)
        (folder / "pymta.toml").write_text(text, encoding="utf-8")

    async def start(self) -> float:
        """
        Start it and wait until it is ready.

        Returns:
            How many seconds that took; it reads its spool in that time.
        """
        ready_before = len(self._ready())
        began_s = time.monotonic()
        with (self.folder / "output").open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "pymta", "serve", "--config", str(self.folder / "pymta.toml"),
                env=environment(), stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                # A Ctrl-C is for the check, which ends it; and a kill is for all of its processes.
                start_new_session=True,
            )  # fmt: skip
        await self._until(lambda: len(self._ready()) > ready_before, "it to be ready", START_S_MAX)
        # "... messages in the spool; relay at 127.0.0.1:40123"
        self.port = int(str(self._ready()[-1]["detail"]).rpartition(":")[2])
        return time.monotonic() - began_s

    async def kill(self) -> float:
        """End it as a crash does; the time when it was dead."""
        assert self._process is not None, "start comes first"
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        return time.time()

    async def stop(self) -> None:
        """End it as an operator does."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_S_MAX)
        except TimeoutError:
            await self.kill()
            raise CheckFailed(f"the server did not stop in {STOP_S_MAX:g} s: {self._told()}") from None

    async def wait_queue_empty(self, limit_s: float) -> None:
        """Return when no message is left."""
        end_s = time.monotonic() + limit_s
        while await self._queue_count():
            if time.monotonic() > end_s:
                raise CheckFailed(f"its queue is not empty after {limit_s:g} s: {self._told()}")
            await asyncio.sleep(0.1)

    def events(self, verb: str) -> list[dict[str, Any]]:
        """The lines of its log with that verb, of all starts."""
        self._read_log()
        return [event for event in self._events if event["verb"] == verb]

    async def _queue_count(self) -> int:
        try:
            rows = await asyncio.to_thread(self._control.list_messages, QueueQuery(count_max=1))
        except (OSError, ControlError, NotRunning) as error:
            raise CheckFailed(f"the server does not answer: {error}; {self._told()}") from None
        return len(rows)

    def _ready(self) -> list[dict[str, Any]]:
        return [event for event in self.events("admin") if event["action"] == "ready"]

    def _read_log(self) -> None:
        log = self.folder / "log"
        if not log.exists():
            return
        with log.open("rb") as stream:
            stream.seek(self._read_octets)
            fresh = stream.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._read_octets += len(whole)
        for line in whole.splitlines():
            # A kill may leave half a line behind.
            with suppress(ValueError):
                self._events.append(json.loads(line))

    async def _until(self, condition: Callable[[], bool], what: str, limit_s: float) -> None:
        assert self._process is not None, "start comes first"
        end_s = time.monotonic() + limit_s
        while not condition():
            if self._process.returncode is not None:
                raise CheckFailed(f"the server ended while waiting for {what}: {self._told()}")
            if time.monotonic() > end_s:
                await self.kill()
                raise CheckFailed(f"waited {limit_s:g} s for {what}: {self._told()}")
            await asyncio.sleep(LOOK_AGAIN_S)

    def _told(self) -> str:
        return (self.folder / "output").read_text(encoding="utf-8", errors="replace")[
            -1000:
        ].strip() or "no word"
