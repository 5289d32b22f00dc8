"""
`kill -9` at random moments under load: every message that got its 250 arrives, undamaged.

A kill leaves the kernel's cache alone, so this is about our order of doing things; what a power failure may take is tried
on the spool's simulated disk (rust/pymta-spool). Duplicates are allowed (ARCHITECTURE.md, "Delivery is at least once"),
but each must be explained by a kill, and they are printed.

PYMTA_CRASH_SEED repeats a run.
"""

import asyncio
import sys
import time
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from tests.crash.arrivals import Arrivals, Hop
from tests.crash.swarm import Sent, Swarm
from tests.partners.pymta import Pymta, next_hop

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
