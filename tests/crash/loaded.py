"""
A server under load by clients that do not give up, and the count at the end: what got its 250 arrived, once and whole.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from pymta.selfcheck.swarm import Sent, Swarm
from tests.crash.hop import Hop
from tests.partners.pymta import Pymta, Table, next_hop
from tests.partners.waiting import wait_until_async

# Some programs share the processors with a test like this.
LIMIT_S = 60.0

NOT_STORED = "451 4.3.0 message could not be stored, try again later"
NO_ROOM = "452 4.3.1 insufficient storage, try again later"
BUSY = "451 4.3.0 storage is busy, try again later"


def start(folder: Path, hop: Hop, *, routes: Sequence[Table] | None = None, **sections: Any) -> Pymta:
    """A server that hands everything to *hop*, and keeps small segments, so that one is begun often."""
    return Pymta(
        folder,
        routes=[next_hop(hop.port)] if routes is None else routes,
        **{
            "queue": {"retry_s_min": 1, "retry_s_max": 1},
            "spool": {"segment_octets": 2 << 20, "spill_octets": 64 << 10, "free_octets_min": 1 << 20},
            **sections,
        },
    )


class Loaded:
    """A server with clients at it that do not give up; an async context manager."""

    def __init__(self, server: Pymta, name: str, sent: Sent, random: Random) -> None:
        self.server = server
        self.sent = sent
        self.swarm = Swarm(server.port, name, sent, random, comes_back=True)

    async def __aenter__(self) -> "Loaded":
        self._running = asyncio.create_task(self.swarm.run())
        await self.more_accepted(20)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.swarm.stop()
        await asyncio.wait_for(self._running, 60)

    async def more_accepted(self, count: int, *, limit_s: float = LIMIT_S) -> None:
        """Return when *count* more messages got a 250."""
        await self._more(lambda: self.sent.messages_accepted, count, "accepted", limit_s)

    async def more_deferred(self, count: int, *, limit_s: float = LIMIT_S) -> None:
        """Return when *count* more 4yz were heard."""
        await self._more(lambda: self.sent.deferred_count, count, "deferred", limit_s)

    async def _more(self, counted: Callable[[], int], count: int, what: str, limit_s: float) -> None:
        wanted = counted() + count

        def reached() -> bool:
            if self._running.done():
                self._running.result()
                raise AssertionError("the clients have ended")
            return counted() >= wanted

        await wait_until_async(reached, f"{count} more {what}", limit_s=limit_s)


def finish(server: Pymta, hop: Hop, sent: Sent, *, killed: bool = False) -> None:
    """
    Let the queue drain, stop, and count.

    Where it was *killed* in trouble, what was refused a moment before may arrive: nobody knows what a sync that failed has
    left on the disk, and the segment was not given up durably yet. Nothing is lost by that, as its client comes back.
    """
    try:
        server.wait_queue_empty(limit_s=LIMIT_S)
    finally:
        server.kill() if sys.exc_info()[0] else server.stop()
    arrived = hop.arrivals.read()
    twice = {key: copies for key, copies in arrived.by_key.items() if len(copies) > 1}
    print(
        f"{len(sent.accepted)} accepted, {len(sent.refused)} refused, {sent.deferred_count} deferred, "
        f"{len(arrived.by_key)} arrived, {len(twice)} of them twice; {dict(sent.replies)}"
    )
    assert [] == arrived.damaged
    assert set() == sent.accepted - arrived.by_key.keys(), "lost"
    allowed = sent.accepted | sent.unanswered | (sent.refused if killed else set())
    assert set() == arrived.by_key.keys() - allowed, "refused or never sent, and arrived all the same"
    for key, copies in twice.items():
        assert killed, f"{key} arrived twice: {copies}"
        assert 1 == len({copy.spool_id for copy in copies}), f"{key} was spooled twice"


def fill(folder: Path) -> Path:
    """Take all that is left; somebody else's file."""
    file = folder / "somebody-else"
    with file.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(1 << 16))
        except OSError:
            return file
