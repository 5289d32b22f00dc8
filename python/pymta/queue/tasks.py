"""
Recipients that are delivered one by one, each by work that takes its time: a program (deliver/pipe.py), a file with locks
(deliver/mbox.py). In the place of a `Site`: fair between messages, bounded.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from pymta._core import QueuedMessage, Reply
from pymta.mail.route import Route
from pymta.queue.observer import QueueObserver
from pymta.queue.round import Delivery
from pymta.queue.site import SiteOwner

__all__ = ["TaskSite", "Work"]

Work = Callable[[Route, QueuedMessage, int], Awaitable[Reply]]
"""Deliver to one recipient (its index) by that route, and say how it went."""

CLOSE_S_MAX: Final = 5.0
_STOPPING: Final = Reply(451, "4.3.2", "shutting down, trying again later")
_TROUBLE: Final = Reply(451, "4.3.0", "local trouble while delivering, trying again later")


class TaskSite:
    """See the module. One for each route of that kind; all methods run on the loop's thread."""

    def __init__(self, owner: SiteOwner, work: Work, *, tasks_max: int, observer: QueueObserver) -> None:
        """
        Args:
            owner: Hears what became of each delivery.
            work: Does it.
            tasks_max: How many recipients are worked on at once.
            observer: Told of trouble.
        """
        self._owner = owner
        self._work = work
        self._tasks_max = tasks_max
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._ready: deque[Delivery] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    def put(self, delivery: Delivery) -> None:
        """Make a delivery ready."""
        if self._closing:
            self._owner.postponed(delivery, _STOPPING, 0.0)
            return
        self._ready.append(delivery)
        self._pump()

    async def close(self) -> None:
        """Stop: what is ready is postponed, what runs may end, the rest is ended and tried again."""
        self._closing = True
        while self._ready:
            self._owner.postponed(self._ready.popleft(), _STOPPING, 0.0)
        tasks = tuple(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_S_MAX)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _pump(self) -> None:
        while self._ready and len(self._tasks) < self._tasks_max:
            delivery = self._ready.popleft()
            portion = delivery.portion(1)
            if delivery.recipients:
                self._ready.append(delivery)
            task = self._loop.create_task(self._deliver(portion))
            self._tasks.add(task)
            task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._closing:
            self._pump()

    async def _deliver(self, portion: Delivery) -> None:
        began_s = monotonic()
        message, (index,) = portion.round.message, portion.recipients
        try:
            reply = await self._work(portion.route, message, index)
        except asyncio.CancelledError:
            reply = _STOPPING
        except Exception as error:  # whatever went wrong, the message must not stay in hand for ever
            self._observer.trouble(f"delivery by {portion.route.transport}", error, spool_id=message.id)
            reply = _TROUBLE
        self._owner.attempted(portion, [(index, reply)], None, dsn_passed=False, took_s=monotonic() - began_s)
