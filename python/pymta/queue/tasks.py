"""
Recipients that are delivered one by one, each by work that takes its time: a program (deliver/pipe.py), a file with locks
(deliver/mbox.py). In the place of a `Site`, bounded.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from pymta._core import QueuedMessage, Reply
from pymta.mail.route import Route
from pymta.queue.observer import QueueObserver
from pymta.queue.round import Delivery
from pymta.queue.site import SiteOwner
from pymta.queue.turns import STOPPING, Turns

__all__ = ["TaskSite", "Work"]

Work = Callable[[Route, QueuedMessage, int], Awaitable[Reply]]
"""Deliver to one recipient (its index) by that route, and say how it went."""

_TROUBLE: Final = Reply(451, "4.3.0", "local trouble while delivering, trying again later")


class TaskSite(Turns):
    """See the module. One for each route of that kind; all methods run on the loop's thread."""

    def __init__(self, owner: SiteOwner, work: Work, *, tasks_max: int, observer: QueueObserver) -> None:
        """
        Args:
            owner: Hears what became of each delivery.
            work: Does it.
            tasks_max: How many recipients are worked on at once.
            observer: Told of trouble.
        """
        super().__init__()
        self._owner = owner
        self._work = work
        self._tasks_max = tasks_max
        self._observer = observer

    def _pump(self) -> None:
        while self._ready and len(self._tasks) < self._tasks_max:
            self.spawn(self._deliver(self._next_portion(1))).add_done_callback(self._over)

    def _over(self, _: asyncio.Task[None]) -> None:
        if not self._closing:
            self._pump()

    async def _deliver(self, portion: Delivery) -> None:
        began_s = monotonic()
        message, (index,) = portion.round.message, portion.recipients
        try:
            reply = await self._work(portion.route, message, index)
        except asyncio.CancelledError:
            reply = STOPPING
        except Exception as error:  # whatever went wrong, the message must not stay in hand for ever
            self._observer.trouble(f"delivery by {portion.route.transport}", error, spool_id=message.id)
            reply = _TROUBLE
        self._owner.attempted(portion, [(index, reply)], None, dsn_passed=False, took_s=monotonic() - began_s)
