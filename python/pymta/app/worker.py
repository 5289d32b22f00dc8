"""
One of several workers: `python -m pymta.app.worker FD`, started by the supervisor and by nobody else.

It is told all by the supervisor over the channel at FD, which also answers for it: it has no control socket, no HTTP port
and no log file of its own. When the channel ends, the supervisor is gone, and it stops as if told to.
"""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from pymta._core import SpoolError
from pymta.app import uncaught
from pymta.app.control import ServerAnswers
from pymta.app.server import Server
from pymta.app.share import share_of
from pymta.app.told import Assignment, Configuration, Pulse
from pymta.config.settings import Settings
from pymta.mail.errors import ConfigError, PymtaError
from pymta.observe.counted import Counted
from pymta.observe.events import Admin
from pymta.observe.log import Log
from pymta.observe.metrics import Metrics
from pymta.observe.trace import Trace
from pymta.runtime import lag, loop, memory, open_files
from pymta.runtime.board import Board
from pymta.runtime.channel import Channel, ChannelLost, Declined, read_first

ANSWER_S_MAX = 10.0

# What waits to be told to the others; more would be a flood that no limit needs to know of.
TELLING_MAX = 1_000


class _Worker:
    """What lives as long as the process does."""

    def __init__(self, end: socket.socket, assignment: Assignment, log: Log, settings: Settings) -> None:
        self._end = end
        self._assignment = assignment
        self._log = log
        self._metrics = Metrics()
        self._stop_asked = asyncio.Event()
        self._use_prepared: Callable[[], None] | None = None
        self._server = Server(
            settings,
            log=log,
            metrics=self._metrics,
            trace=Trace(),
            place=assignment.place,
            bound=[socket.socket(fileno=fd) for fd in assignment.listening_fds],
            board=Board(assignment.board_fd, rows=assignment.place.count, row=assignment.place.number - 1),
            tell=self._tell,
        )
        self._channel: Channel | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self._control = ServerAnswers(self._server, version=assignment.version)

    async def main(self) -> int:
        """Start, tell the supervisor, wait for the end; the exit status."""
        running = asyncio.get_running_loop()
        stop_reporting = uncaught.report_to(self._log, running)
        open_files.raise_limit(self._server.settings.server.open_files_max)
        running.add_signal_handler(signal.SIGTERM, self._stop, "SIGTERM")
        for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            signal.signal(ignored, signal.SIG_IGN)
        stop_lag = lag.watch(running, self._metrics.loop_late_s.observe)
        channel = self._channel = Channel(
            self._end, handle=self._answer, on_lost=lambda: self._stop("supervisor gone")
        )
        await channel.start()
        failure = ""
        try:
            failure = await self._start()
            if not failure:
                memory.settle()
            with contextlib.suppress(ChannelLost):
                await channel.ask("started", failure, wait_s_max=ANSWER_S_MAX)
            if not failure:
                await self._stop_asked.wait()
        finally:
            stop_lag()
            await self._server.stop()
            await channel.close()
            stop_reporting()
        return 1 if failure else 0

    async def _start(self) -> str:
        """Start the server; why it cannot, in one line."""
        try:
            await self._server.start()
        except (PymtaError, SpoolError, OSError) as error:
            return str(error) or type(error).__name__
        return ""

    def _stop(self, why: str) -> None:
        if not self._stop_asked.is_set():
            self._log.emit(Admin(action="stopping", detail=why, by="supervisor"))
            self._stop_asked.set()

    # ---- what the others are told

    def _tell(self, what: str, *arguments: Any) -> None:
        if len(self._telling) < TELLING_MAX:
            task = asyncio.get_running_loop().create_task(self._tell_others(what, arguments))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell_others(self, what: str, arguments: tuple[Any, ...]) -> None:
        if self._channel is not None:
            with contextlib.suppress(ChannelLost, Declined):
                await self._channel.ask("tell others", what, arguments, wait_s_max=ANSWER_S_MAX)

    # ---- what the supervisor asks

    async def _answer(self, question: str, arguments: tuple[Any, ...]) -> Any:
        control = self._control
        match question:
            case "told":
                return self._server.told(*arguments)
            case "pulse":
                return self._pulse()
            case "status":
                return await control.status()
            case "list":
                return await control.list_messages(*arguments)
            case "show":
                return await control.show(*arguments)
            case "act":
                return await control.act_quietly(*arguments)
            case "suspend":
                return await control.suspend_quietly(*arguments)
            case "explain":
                return await control.explain(*arguments)
            case "prepare reload":
                return self._prepare_reload(*arguments)
            case "use prepared":
                return self._use_reload()
        raise RuntimeError(f"no such question: {question}")

    def _pulse(self) -> Pulse:
        server = self._server
        return Pulse(
            Counted(
                metrics=self._metrics,
                spool_stats=server.spool_stats(),
                dns_counts=dict(server.resolver.cache_counts),
                hop_connections=sum(site.connection_count for site in server.sites),
                log_lines_dropped=self._log.writer.dropped_total,
            ),
            server.why_not_ready(),
        )

    def _prepare_reload(self, configuration: Configuration) -> None:
        self._use_prepared = None
        settings = share_of(configuration.settings(), self._assignment.place)
        self._use_prepared = self._server.prepare_reload(settings)

    def _use_reload(self) -> None:
        use, self._use_prepared = self._use_prepared, None
        if use is None:
            raise ConfigError("nothing was prepared")
        use()


def main() -> int:
    """The process, from its assignment to its end."""
    end = socket.socket(fileno=int(sys.argv[1]))
    try:
        assignment: Assignment = read_first(end)
    except ChannelLost:
        return 1
    settings = share_of(assignment.configuration.settings(), assignment.place)
    log = Log.open(
        format=assignment.log_format,
        verbs=settings.log.verbs,
        pending_octets_max=settings.log.pending_octets_max,
        worker=assignment.place.number,
    )
    try:
        return loop.run(_started(end, assignment, log, settings))
    finally:
        log.close()


async def _started(end: socket.socket, assignment: Assignment, log: Log, settings: Settings) -> int:
    return await _Worker(end, assignment, log, settings).main()


if __name__ == "__main__":
    sys.exit(main())
