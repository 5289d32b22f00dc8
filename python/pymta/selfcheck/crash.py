"""
Kill -9 at random moments under load, on the disk in question: every message that got its 250 arrives, once and whole.

A kill leaves the kernel's cache alone, so this is about what the server does before it says 250, about its start after a
crash, and about the file system; what a power failure may take from a disk that lies is not seen by it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from pymta.selfcheck.arrivals import Arrivals
from pymta.selfcheck.process import CheckFailed, ServerProcess, environment
from pymta.selfcheck.swarm import Sent, Swarm, UnexpectedReply
from pymta.selfcheck.verdict import Count, count

__all__ = ["CrashCheck", "CrashReport", "Options"]

FIRST_ACCEPTED_S_MAX: Final = 60.0
DRAIN_S_MAX: Final = 120.0
CLIENTS_END_S_MAX: Final = 30.0

# What a site may have in flight when the process dies: each connection has one transaction, and one behind it.
CONNECTIONS_PER_SITE_MAX: Final = 8

DEFERRED_SHARE: Final = 0.03
"""Of the sink's replies, so that there is a queue to recover."""

RECENT_MAX: Final = 10


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What to do."""

    folder: Path
    """Empty; all that the check writes is in it."""
    rounds: int = 50
    clients: int = 8
    seed: int = 0
    kill_s_min: float = 0.05
    kill_s_max: float = 0.7
    """From the first 250 of a round to its kill."""


class CrashReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    ok: bool
    folder: str
    seed: int
    rounds: int
    messages_accepted: int
    deferred: int
    """4yz replies: the clients would come back."""
    recipients: Count
    start_s_max: float
    """The longest start, from its command to its first reply."""
    troubles: tuple[str, ...]
    """What the server said was wrong on its side."""
    took_s: float


class CrashCheck:
    """One run; what it has reached so far can be looked at meanwhile."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._random = Random(options.seed)  # noqa: S311 - a check wants to be repeated, not to be secret
        self.sent = Sent()
        self.rounds_done = 0
        self.phase = "starting"
        self._kills_s: list[float] = []
        self._start_s_max = 0.0

    async def run(self) -> CrashReport:
        """
        Do all of it.

        Raises:
            CheckFailed: It could not go on.
        """
        began_s = time.monotonic()
        arrivals = Arrivals(self._options.folder / "arrivals")
        arrivals.file.touch()
        sink, port = await _start_sink(arrivals.file)
        server = ServerProcess(self._options.folder, port, connections_per_site_max=CONNECTIONS_PER_SITE_MAX)
        try:
            await self._rounds(server)
            self.phase = "delivering what is left"
            await server.wait_queue_empty(DRAIN_S_MAX)
            await server.stop()
        except BaseException:
            await server.kill()
            raise
        finally:
            sink.kill()
            await sink.wait()
        return self._report(server, arrivals.read(), time.monotonic() - began_s)

    async def _rounds(self, server: ServerProcess) -> None:
        self._start_s_max = await server.start()
        for number in range(self._options.rounds):
            self.phase = f"round {number + 1} of {self._options.rounds}"
            await self._round(server, f"{number}")
            self._start_s_max = max(self._start_s_max, await server.start())
            self.rounds_done = number + 1

    async def _round(self, server: ServerProcess, name: str) -> None:
        """Load it, and kill it at a random moment."""
        options = self._options
        swarm = Swarm(server.port, name, self.sent, self._random, clients=options.clients)
        running = asyncio.create_task(swarm.run())
        accepted = asyncio.create_task(swarm.first_accepted.wait())
        try:
            # Clients end by themselves only where something is wrong.
            await asyncio.wait(
                (running, accepted), timeout=FIRST_ACCEPTED_S_MAX, return_when=asyncio.FIRST_COMPLETED
            )
            if not accepted.done() and not running.done():
                raise CheckFailed(f"nothing was accepted in {FIRST_ACCEPTED_S_MAX:g} s")
            await asyncio.sleep(self._random.uniform(options.kill_s_min, options.kill_s_max))
        finally:
            accepted.cancel()
            self._kills_s.append(await server.kill())
        try:
            await asyncio.wait_for(running, CLIENTS_END_S_MAX)
        except UnexpectedReply as error:
            raise CheckFailed(f"the server refused what it should take: {error}") from None

    def _report(self, server: ServerProcess, arrivals: Arrivals, took_s: float) -> CrashReport:
        recipients = count(self.sent, arrivals, self._kills_s)
        troubles = [f"{event['what']}: {event.get('error', '')}" for event in server.events("trouble")]
        # Nothing may have failed or expired in so short a time.
        troubles += [f"a report about {event['about']}" for event in server.events("report")]
        return CrashReport(
            ok=recipients.ok and not troubles,
            folder=str(self._options.folder),
            seed=self._options.seed,
            rounds=self.rounds_done,
            messages_accepted=self.sent.messages_accepted,
            deferred=self.sent.deferred_count,
            recipients=recipients,
            start_s_max=round(self._start_s_max, 3),
            troubles=tuple(troubles[:RECENT_MAX]),
            took_s=round(took_s, 1),
        )


async def _start_sink(arrivals: Path) -> tuple[asyncio.subprocess.Process, int]:
    """The next hop, a process of its own that nobody kills, and its port."""
    sink = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "pymta.selfcheck.counting_sink", str(arrivals), str(DEFERRED_SHARE),
        env=environment(), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert sink.stdout is not None, "it is a pipe"
    line = await sink.stdout.readline()
    if not line:
        raise CheckFailed("the sink did not start")
    return sink, int(line)
