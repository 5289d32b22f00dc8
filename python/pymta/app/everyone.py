"""
What the operator's doors can ask of all workers: `Control` over the channels to them.

Whatever is asked of messages goes to every worker, and the answers are put together (admin/span.py). Where one cannot be
asked just now, there is no answer, rather than one that leaves out its messages; one that was given up is left out.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pymta.acme.outcome import Renewal
from pymta.admin.control import (
    Action,
    ActionResult,
    ListenerStatus,
    MessageDetail,
    NotNow,
    QueueQuery,
    QueueRow,
    ReloadResult,
    RenewRequest,
    Selection,
    Status,
    SuspendRequest,
    WorkerStatus,
)
from pymta.admin.span import merged_explanation, merged_result, merged_rows, merged_status, named
from pymta.app.control import acted, suspended
from pymta.app.supervised import Supervised
from pymta.app.told import Configuration
from pymta.config.load import Loaded
from pymta.config.restart import waiting_for_restart
from pymta.config.settings import Settings
from pymta.mail.errors import PymtaError
from pymta.observe.events import Admin, Trouble
from pymta.observe.log import Log
from pymta.runtime.channel import ChannelLost, Declined, NoAnswer

__all__ = ["Everyone"]

STATUS_S_MAX = 10.0
PREPARE_S_MAX = 120.0


class Everyone:
    """
    Args:
        workers: Those that there are; a list that may still grow.
        log: Told what the operator does.
        load_again: Reads the configuration anew.
        use: Told of a configuration that all workers have taken over.
        renew: Asks the authority for certificates.
        version: For those who ask.
    """

    def __init__(
        self,
        workers: list[Supervised],
        log: Log,
        *,
        began_with: Settings,
        load_again: Callable[[], Loaded],
        use: Callable[[Loaded], None],
        renew: Callable[[Sequence[str]], Awaitable[list[Renewal]]],
        version: str,
    ) -> None:
        self._workers = workers
        self._began_with = began_with
        self._log = log
        self._load_again = load_again
        self._use = use
        self._renew = renew
        self._version = version
        self._started_at_ms = time.time_ns() // 1_000_000
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[ReloadResult]] = set()
        self.stopping = False

    async def status(self) -> Status:
        """How all are."""
        answers = await asyncio.gather(
            *(worker.ask("status", wait_s_max=STATUS_S_MAX) for worker in self._asked()),
            return_exceptions=True,
        )
        parts = [answer for answer in answers if isinstance(answer, Status)]
        ours = Status(
            version=self._version,
            pid=os.getpid(),
            started_at_ms=self._started_at_ms,
            stopping=self.stopping,
            listeners=_listeners(parts),
            connections_open=0,
            spool={},
            suspended={},
            workers=tuple(
                WorkerStatus(
                    number=worker.number, pid=worker.pid, state=worker.state, restarts=worker.restarts.count
                )
                for worker in self._workers
            ),
        )
        return merged_status([ours, *parts])

    async def list_messages(self, query: QueueQuery) -> list[QueueRow]:
        """A page of all messages."""
        return merged_rows(await self._all("list", query), query.count_max)

    async def show(self, spool_id: str) -> MessageDetail | None:
        """One message, wherever it is."""
        return next((detail for detail in await self._all("show", spool_id) if detail is not None), None)

    async def act(self, action: Action, selection: Selection) -> ActionResult:
        """Do something to messages; one line in the log for all of it."""
        result = merged_result(await self._all("act", action, selection), selection)
        self._log.emit(acted(action, selection, result.done))
        return named(result)

    async def suspend(self, request: SuspendRequest) -> None:
        """Suspend a domain, or go on with it."""
        await self._all("suspend", request)
        self._log.emit(suspended(request))

    async def explain(self, address: str) -> dict[str, Any]:
        """Where mail for *address* would go now; ValueError where it is none."""
        return merged_explanation(await self._all("explain", address))

    async def renew(self, request: RenewRequest) -> list[Renewal]:
        """Ask the authority for certificates now; that is no worker's affair."""
        return await self._renew(request.names)

    # ---- reloading

    def reload_soon(self, *, by: str) -> None:
        """`reload` for who cannot wait: a signal."""
        task = asyncio.get_running_loop().create_task(self._reload(by=by))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def reload(self) -> ReloadResult:
        """Read configuration and policy script again."""
        return await self._reload(by="control")

    async def _reload(self, *, by: str) -> ReloadResult:
        """
        In two steps: all make everything new, and only when all could, all take it over. What one refuses nobody has.

        A worker that dies between the steps is started with what the others have; one that fails in the second step,
        which cannot be, is killed for the same reason.
        """
        async with self._reloading:
            self._log.reopen()  # whatever comes of the rest: logrotate has moved the file away, and counts on it
            try:
                loaded = self._load_again()
                await self._all("prepare reload", Configuration.of(loaded), wait_s_max=PREPARE_S_MAX)
            except (PymtaError, OSError) as error:
                self._log.emit(Trouble(what="reload refused", error=str(error), where=by))
                return ReloadResult(ok=False, problem=str(error))
            self._use(loaded)
            for worker in self._asked():
                try:
                    await worker.ask("use prepared", wait_s_max=STATUS_S_MAX)
                except (ChannelLost, Declined) as error:
                    self._log.emit(
                        Trouble(what="a reload was not taken over", error=str(error), where=worker.name)
                    )
                    worker.kill()
            waiting = waiting_for_restart(self._began_with, loaded.settings)
            result = ReloadResult(ok=True, waiting_for_restart=waiting)
            self._log.emit(Admin(action="reload", detail=result.in_words, by=by))
            return result

    # ---- asking

    def _asked(self) -> list[Supervised]:
        return [worker for worker in self._workers if worker.state != "given up"]

    async def _all(self, question: str, *arguments: Any, **options: Any) -> list[Any]:
        """
        The answer of each worker.

        Raises:
            NotNow: One cannot be asked.
            ValueError: One says that what is asked makes no sense.
        """
        asked = self._asked()
        answers = await asyncio.gather(
            *(_ask(worker, question, *arguments, **options) for worker in asked), return_exceptions=True
        )
        for worker, answer in zip(asked, answers, strict=True):
            if isinstance(answer, Declined) and answer.kind == "ValueError":
                raise ValueError(str(answer))
            if isinstance(answer, ChannelLost | Declined):
                raise NotNow(f"{worker.name}: {answer}")
            if isinstance(answer, BaseException):
                raise answer
        return list(answers)


# What can be asked again without doing anything twice.
_QUESTIONS = ("list", "show", "explain", "suspend", "prepare reload")


async def _ask(worker: Supervised, question: str, *arguments: Any, **options: Any) -> Any:
    """Its answer; a worker that dies over a mere question is asked again when it is back."""
    try:
        return await worker.ask(question, *arguments, **options)
    except ChannelLost as error:
        if question not in _QUESTIONS or isinstance(error, NoAnswer):
            raise
        await worker.wait_gone()
        return await worker.ask(question, *arguments, **options)


def _listeners(parts: list[Status]) -> tuple[ListenerStatus, ...]:
    return parts[0].listeners if parts else ()
