"""
`kill -9` at random moments under load: every message that got its 250 arrives, undamaged.

A kill leaves the kernel's cache alone, so this is about our order of doing things; what a power failure may take is tried
on the spool's simulated disk (rust/pymta-spool). Duplicates are allowed (ARCHITECTURE.md, "Delivery is at least once"),
but each must be explained by a kill, and they are printed.

PYMTA_CRASH_SEED repeats a run.
"""

import asyncio
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random, SystemRandom
from typing import NamedTuple

import pytest

from tests.crash.swarm import Key, Sent, Swarm
from tests.partners.program import Program
from tests.partners.pymta import PYTHON, Pymta, next_hop
from tests.partners.waiting import wait_until

ROUNDS = 50
KILL_S_MIN, KILL_S_MAX = 0.05, 0.7

# What a site may have in flight when the process dies: each connection has one transaction, and one behind it.
CONNECTIONS_PER_SITE_MAX = 8

# Between a duplicate's first arrival and the kill: a record joins the next commit, and a commit is a few milliseconds.
WINDOW_S_MAX = 1.0

# How long after the death of a process the sink may take to read what that sent; a start takes longer.
READS_ON_S_MAX = 0.25

# The sink may read what was sent just before a kill some time after it: it shares two cores with the load.
SINK_LAG_S_MAX = 1.0


class Arrival(NamedTuple):
    """One line of the sink."""

    at_s: float
    spool_id: str


@dataclass
class Arrivals:
    """What the counting sink wrote down."""

    file: Path
    by_key: dict[Key, list[Arrival]] = field(default_factory=lambda: defaultdict(list))
    damaged: list[str] = field(default_factory=list)
    _read_octets: int = 0

    def read(self) -> "Arrivals":
        """Take in what is new."""
        with self.file.open("rb") as stream:
            stream.seek(self._read_octets)
            fresh = stream.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._read_octets += len(whole)
        for line in whole.decode().splitlines():
            at_ns, message_id, forward_path, spool_id, condition = line.split()
            self.by_key[message_id, forward_path].append(Arrival(int(at_ns) / 1e9, spool_id))
            if condition != "ok":
                self.damaged.append(line)
        return self


class Hop(NamedTuple):
    """The counting sink."""

    port: int
    arrivals: Arrivals


@pytest.fixture
def hop(tmp_path: Path) -> Iterator[Hop]:
    file = tmp_path / "arrivals"
    file.touch()
    program = Path(__file__).with_name("counting_sink.py")
    with Program(
        sys.executable,
        program,
        file,
        "0.03",
        output=tmp_path / "port",
        environment={"PYTHONPATH": str(PYTHON)},
    ) as running:
        wait_until(lambda: running.text().endswith("\n"), "the sink told its port")
        yield Hop(int(running.text()), Arrivals(file))


@pytest.fixture
def random() -> Random:
    seed = int(os.environ.get("PYMTA_CRASH_SEED") or SystemRandom().randrange(1 << 32))
    print(f"PYMTA_CRASH_SEED={seed}")
    return Random(seed)


def start(folder: Path, hop: Hop) -> Pymta:
    return Pymta(
        folder,
        routes=[next_hop(hop.port)],
        queue={"retry_s_min": 1, "retry_s_max": 1},
        delivery={"connections_per_site_max": CONNECTIONS_PER_SITE_MAX},
        # Small, so that segments are closed, reused and recovered all the time.
        spool={"segment_octets": 2 << 20, "spill_octets": 64 << 10},
    )


async def crash(server: Pymta, sent: Sent, random: Random, name: str) -> float:
    """Load it, kill it at a random moment; returns the time of that."""
    swarm = Swarm(server.port, name, sent, random)
    running = asyncio.create_task(swarm.run())
    await asyncio.wait_for(swarm.first_accepted.wait(), 20)
    await asyncio.sleep(random.uniform(KILL_S_MIN, KILL_S_MAX))
    server.program.process.kill()
    await asyncio.to_thread(server.program.process.wait, 10)
    killed_at_s = time.time()
    await asyncio.wait_for(running, 20)
    return killed_at_s


def check_duplicates(arrivals: Arrivals, kills_s: list[float]) -> None:
    """
    Each copy beyond the first is of the same spooled message, and a kill is between it and the one before, so shortly
    after the one before that its record may not have been on disk.
    """
    duplicates, windows_s = 0, []
    for key, copies in arrivals.by_key.items():
        for first, second in pairwise(copies):
            duplicates += 1
            assert first.spool_id == second.spool_id, f"{key} was spooled twice"
            kills = [at_s for at_s in kills_s if first.at_s - SINK_LAG_S_MAX <= at_s <= second.at_s]
            assert kills, f"{key} was delivered twice without a kill in between: {copies}, {kills_s}"
            windows_s.append(kills[0] - first.at_s)
    print(
        f"{duplicates} duplicates in {len(kills_s)} kills; from arrival to kill at most "
        f"{max(windows_s, default=0) * 1000:.0f} ms, of {sum(len(c) for c in arrivals.by_key.values())} arrivals"
    )
    assert max(windows_s, default=0) < WINDOW_S_MAX
    assert duplicates <= len(kills_s) * 2 * CONNECTIONS_PER_SITE_MAX


async def kill_and_start(folder: Path, hop: Hop, random: Random, rounds: int) -> None:
    sent, kills_s = Sent(), []
    server = start(folder, hop)
    try:
        for number in range(rounds):
            kills_s.append(await crash(server, sent, random, f"{number}"))
            await asyncio.to_thread(server.start)
        await asyncio.to_thread(server.wait_queue_empty, limit_s=60)
    finally:
        server.kill() if sys.exc_info()[0] else server.stop()

    arrivals = hop.arrivals.read()
    lost = sent.accepted - arrivals.by_key.keys()
    unanswered = sent.unanswered & arrivals.by_key.keys()
    print(
        f"{sent.messages_accepted} messages for {len(sent.accepted)} recipients got their 250 in {rounds} rounds, "
        f"{len(unanswered)} of {len(sent.unanswered)} unanswered ones arrived, {sent.deferred_count} were deferred"
    )
    assert [] == arrivals.damaged
    assert set() == lost
    assert arrivals.by_key.keys() <= sent.accepted | sent.unanswered
    check_duplicates(arrivals, kills_s)
    assert [] == server.events("trouble")
    assert [] == server.events("report")
    assert rounds * 5 < sent.messages_accepted, "hardly any load"


@pytest.mark.timeout(240)
def test_every_message_that_got_its_250_arrives(tmp_path: Path, hop: Hop, random: Random) -> None:
    """
    Fifty kills, each 50 to 700 ms into the load, while what the kill before left behind is being delivered.
    """
    asyncio.run(kill_and_start(tmp_path / "pymta", hop, random, ROUNDS))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_every_message_that_got_its_250_arrives_a_thousand_times(
    tmp_path: Path, hop: Hop, random: Random
) -> None:
    asyncio.run(kill_and_start(tmp_path / "pymta", hop, random, 1000))
