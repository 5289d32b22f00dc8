"""
A shard whose worker no longer exists: its messages are delivered, nothing comes in, and when it is empty it goes.

It shares routing, sites, reports and limits with the process's own queue; reports about its messages are made durable in
the process's own shard.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from pymta._core import Reply, Spool
from pymta.mail.route import Hop
from pymta.observe.events import Admin, Trouble
from pymta.observe.log import Log
from pymta.queue.manager import QueueManager
from pymta.queue.round import Delivery
from pymta.queue.site import Site, SiteOwner
from pymta.spool import shards

__all__ = ["ByRound", "LeftOver"]

# How often it is looked at whether it is empty.
LOOK_S = 2.0


class LeftOver:
    """
    Args:
        shard: Its number.
        folder: Where it is.
        spool: It, open.
        manager: The queue over it.
        on_removed: Called when it is gone.
    """

    def __init__(
        self,
        shard: int,
        folder: Path,
        spool: Spool,
        manager: QueueManager,
        *,
        log: Log,
        on_removed: Callable[["LeftOver"], None],
    ) -> None:
        self.shard = shard
        self.spool = spool
        self.manager = manager
        self._folder = folder
        self._log = log
        self._on_removed = on_removed
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(spool.wake_fd, self._spool_woke)
        self._timer = self._loop.call_later(LOOK_S, self._look)
        count = spool.recovery["messages"]
        log.emit(Admin(action="drain shard", detail=f"shard {shard}: {count} messages of a worker that was"))
        manager.wake()

    @property
    def is_empty(self) -> bool:
        """Whether no message is in it."""
        stats = self.spool.stats()
        return not any(stats[state] for state in ("incoming", "active", "deferred", "hold"))

    async def stop(self, grace_s: float) -> None:
        """Take nothing more; wait for what is in hand, at most *grace_s*."""
        self._timer.cancel()
        await self.manager.stop(grace_s)

    async def close(self) -> None:
        """After `stop`, and after the sites are closed."""
        await self.manager.close()
        self._loop.remove_reader(self.spool.wake_fd)
        is_empty = self.is_empty
        self.spool.close()
        if is_empty:
            self._remove()

    def _spool_woke(self) -> None:
        self.spool.drain_wake()
        self.manager.wake()
        for text in self.spool.troubles():
            self._log.emit(Trouble(what="the spool has trouble", error=text, where=self._folder.name))

    def _look(self) -> None:
        if not self.is_empty:
            self._timer = self._loop.call_later(LOOK_S, self._look)
            return
        self._ending = self._loop.create_task(self._end())

    async def _end(self) -> None:
        await self.manager.stop(0)  # nothing is in hand, and nothing comes in
        self._on_removed(self)
        await self.close()

    def _remove(self) -> None:
        try:
            is_removed = shards.remove(self._folder)
        except OSError as error:
            self._log.emit(Trouble(what="a drained shard cannot be removed", error=str(error)))
            return
        if is_removed:
            self._log.emit(Admin(action="shard drained", detail=f"shard {self.shard}"))
        else:
            self._log.emit(
                Trouble(what="a drained shard keeps damaged parts", where=str(self._folder / "corrupt"))
            )


class ByRound:
    """The owner of sites that several queues share: what a site says is for the queue that the message is from."""

    def __init__(self, own: SiteOwner) -> None:
        self._own = own

    def attempted(
        self,
        delivery: Delivery,
        outcomes: list[tuple[int, Reply]],
        hop: Hop | None,
        *,
        dsn_passed: bool,
        took_s: float,
    ) -> None:
        """Of that message's queue."""
        self._of(delivery).attempted(delivery, outcomes, hop, dsn_passed=dsn_passed, took_s=took_s)

    def postponed(self, delivery: Delivery, reply: Reply, wait_s: float) -> None:
        """Of that message's queue."""
        self._of(delivery).postponed(delivery, reply, wait_s)

    def site_suspended(self, site: Site, wait_s: float, reply: Reply) -> None:
        """Of all."""
        self._own.site_suspended(site, wait_s, reply)

    def is_crowded(self) -> bool:
        """Whether the queue of its own is."""
        return self._own.is_crowded()

    def may_open_more(self) -> bool:
        """Of all."""
        return self._own.may_open_more()

    def _of(self, delivery: Delivery) -> SiteOwner:
        owner = delivery.round.owner
        return self._own if owner is None else owner
