"""
Fills a spool with deferred messages, without a server: what a relay has in its queue after a long outage.

Not a load generator. The messages go through the spool's own door, each is tried once and deferred, so the log holds
what it would hold: a message record and a status record each.
"""

import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pymta._core import Envelope, IncomingMessage, QueuedMessage, Spool

DOMAINS = 50_000
SWALLOWING = "swallowing.example"
BATCH_MAX = 2_000
FAR_MS = 30 * 86_400_000
DEFERRED: tuple[int, Literal["deferred"], str] = (0, "deferred", "451 4.4.1 the next hop does not answer")
CONTENT = (
    b"Subject: deep\r\nMessage-ID: <deep@example.test>\r\n\r\n"
    + b"A line of a message in a deep queue.\r\n" * 8
)


def fill(folder: Path, count: int, progress: Callable[[int], None]) -> int:
    """
    Put *count* messages into the spool in *folder*, evenly to DOMAINS domains of which one is SWALLOWING.

    Those for SWALLOWING are due at once, all others in a month.

    Returns:
        Octets of memory that index and schedule take for them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # For the spool no time passes meanwhile: what is due a moment later is not handed out here, but to the server.
    now_ms = int(time.time() * 1000)
    spool = Spool(str(folder), now_ms=now_ms)
    try:
        for done in range(0, count, BATCH_MAX):
            batch = min(BATCH_MAX, count - done)
            for number in range(done, done + batch):
                place = number % DOMAINS
                domain = f"d{place}.example" if place else SWALLOWING
                envelope = Envelope("author@example.test", [f"reader@{domain}"])
                IncomingMessage.from_content(spool, envelope, CONTENT).commit(now_ms, due_ms=now_ms)
            _commit(spool, batch)
            for message in _take(spool, batch, now_ms):
                is_due = message.by_domain()[0][0] == SWALLOWING
                spool.settle(message.id, [DEFERRED], now_ms + (1 if is_due else FAR_MS))
            progress(done + batch)
        return spool.stats()["index_octets"]
    finally:
        spool.close()


def _wait(spool: Spool) -> None:
    readable, _, _ = select.select([spool.wake_fd], [], [], 60)
    if not readable:
        raise SystemExit("the spool does not answer")
    spool.drain_wake()


def _commit(spool: Spool, count: int) -> None:
    while count:
        for _, answer in spool.completions():
            if not isinstance(answer, str):
                raise SystemExit(f"the spool refused a message: {answer}")
            count -= 1
        if count:
            _wait(spool)


def _take(spool: Spool, count: int, now_ms: int) -> list[QueuedMessage]:
    taken: list[QueuedMessage] = []
    while len(taken) < count:
        fresh = spool.take_due(now_ms, count - len(taken), count) + spool.loaded()
        taken += fresh
        if not fresh:
            _wait(spool)
    return taken
