"""
Tasks that somebody looks after: none is forgotten, none dies unheard, all end when the server does.

For the few tasks that live long (the queue's rounds, reload, timers that await) and for what is done once in a while.
Nothing on the way of a usual message is a task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

__all__ = ["Tasks"]

TASKS_MAX: Final = 100_000

OnCrash = Callable[[str, BaseException], None]
"""(name of the task, what it raised)."""


class Tasks:
    """
    Holds tasks until they end.

    Args:
        on_crash: Told of each task that ended with an exception: writes a trouble line, counts. A crash ends that
            task and nothing else, unless it is *vital*.
        on_vital_crash: Told, after *on_crash*, when a task that the server cannot do without has ended by itself.
    """

    __slots__ = ("_on_crash", "_on_vital_crash", "_tasks", "_vital")

    def __init__(self, on_crash: OnCrash, on_vital_crash: Callable[[], None] | None = None) -> None:
        self._on_crash = on_crash
        self._on_vital_crash = on_vital_crash
        self._tasks: set[asyncio.Task[Any]] = set()
        self._vital: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, Any], *, name: str, vital: bool = False) -> asyncio.Task[Any]:
        """
        Start *work*; its result is nobody's.

        Raises:
            RuntimeError: More than `TASKS_MAX` are running, which is a bug of whoever spawns them.
        """
        if len(self._tasks) >= TASKS_MAX:
            work.close()
            raise RuntimeError(f"more than {TASKS_MAX} tasks")
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        if vital:
            self._vital.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self, grace_s: float) -> int:
        """
        Wait up to *grace_s* for all to end, then cancel those that have not.

        Returns:
            How many had to be cancelled.
        """
        self._vital.clear()
        if not self._tasks:
            return 0
        if grace_s > 0:
            await asyncio.wait(set(self._tasks), timeout=grace_s)
        late = [task for task in self._tasks if not task.done()]
        for task in late:
            task.cancel()
        if late:
            # Who does not end when cancelled is left behind: the process is about to end anyway.
            await asyncio.wait(late, timeout=1.0)
        return len(late)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        was_vital = task in self._vital
        self._vital.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._on_crash(task.get_name(), error)
        if was_vital and self._on_vital_crash is not None:
            self._on_vital_crash()
