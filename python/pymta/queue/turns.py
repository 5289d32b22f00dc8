"""
Deliveries that take turns: what stands in the place of a `Site` where no connection is needed (local.py, tasks.py).

Fair between messages: each has its turn with a portion of its recipients and goes to the end then, so that one for fifty
thousand does not hold up one for one.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Coroutine
from typing import Any, Final

from pymta._core import Reply
from pymta.queue.round import Delivery
from pymta.queue.site import SiteOwner

__all__ = ["STOPPING", "Turns"]

# What is being worked on may take so long at the end.
CLOSE_S_MAX: Final = 5.0

STOPPING: Final = Reply(451, "4.3.2", "shutting down, trying again later")


class Turns(ABC):
    """See the module. All methods run on the loop's thread."""

    _owner: SiteOwner

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready: deque[Delivery] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    def put(self, delivery: Delivery) -> None:
        """Make a delivery ready."""
        if self._closing:
            self._owner.postponed(delivery, STOPPING, 0.0)
            return
        self._ready.append(delivery)
        self._pump()

    async def close(self) -> None:
        """Stop: what is ready is postponed, what runs may end, the rest is ended and tried again."""
        self._closing = True
        while self._ready:
            self._owner.postponed(self._ready.popleft(), STOPPING, 0.0)
        tasks = tuple(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_S_MAX)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @abstractmethod
    def _pump(self) -> None:
        """Begin what can be begun now."""

    def _next_portion(self, recipients_max: int) -> Delivery:
        """Of the delivery whose turn it is; its rest waits for the next one."""
        delivery = self._ready.popleft()
        portion = delivery.portion(recipients_max)
        if delivery.recipients:
            self._ready.append(delivery)
        return portion

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run what has to wait; `close` waits for it."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
