"""
A process from its start to its end: log, loop, signals, privileges, the doors for operators, then `Server`.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pymta.admin.control_server import ControlServer
from pymta.admin.http import HttpServer
from pymta.app import parts, uncaught
from pymta.app.acme import make_keeper
from pymta.app.certificates import shown_files
from pymta.app.control import ServerControl
from pymta.app.server import Server
from pymta.config.load import Loaded
from pymta.config.settings import Settings
from pymta.observe.events import Admin, Trouble
from pymta.observe.exposition import Exposition
from pymta.observe.log import Log
from pymta.observe.metrics import Metrics
from pymta.observe.trace import Trace
from pymta.runtime import lag, loop, memory, open_files, signals
from pymta.tls.end import CertificateEnds

__all__ = ["run"]

LoadAgain = Callable[[], Loaded]
Announce = Callable[[Sequence[tuple[str, str]]], None]


def run(loaded: Loaded, *, version: str, load_again: LoadAgain, announce: Announce) -> None:
    """
    Run a server until SIGTERM or SIGINT: in this process, or in as many as `server.workers` says.

    Args:
        loaded: What it is told.
        version: Of pymta, for those who ask.
        load_again: Reads the configuration anew, for a reload.
        announce: Called with (name, address) of the open doors when it is ready.

    Raises:
        ConfigError, SpoolError, OSError: It cannot start; one line says why.
    """
    settings = loaded.settings
    log = Log.open(
        file=settings.log.file,
        format=settings.log.format,
        verbs=settings.log.verbs,
        pending_octets_max=settings.log.pending_octets_max,
    )
    try:
        if settings.server.workers > 1:
            loop.run(_supervise(loaded, log, version, load_again, announce))
        else:
            loop.run(_Process(settings, log, version, load_again, announce).main())
    finally:
        log.close()


async def _supervise(
    loaded: Loaded, log: Log, version: str, load_again: LoadAgain, announce: Announce
) -> None:
    from pymta.app.supervisor import Supervisor  # only where there are several workers

    await Supervisor(loaded, log, version, load_again=load_again, announce=announce).main()


class _Process:
    """What lives as long as the process does."""

    def __init__(
        self, settings: Settings, log: Log, version: str, load_again: LoadAgain, announce: Announce
    ) -> None:
        self._settings = settings
        self._log = log
        self._version = version
        self._load_again = load_again
        self._announce = announce
        self._metrics = Metrics()
        self._trace = Trace()
        self._stop_asked = asyncio.Event()

    async def main(self) -> None:
        """Start all of it, wait, stop all of it."""
        settings, log = self._settings, self._log
        running = asyncio.get_running_loop()
        stop_reporting = uncaught.report_to(log, running)
        open_files.raise_limit(settings.server.open_files_max)
        parts.make_data_folder(settings)
        self._server = server = Server(settings, log=log, metrics=self._metrics, trace=self._trace)
        keeper = make_keeper(
            settings,
            log=log,
            orders=self._metrics.acme_orders,
            version=self._version,
            on_changed=server.look_at_certificates,
        )
        self._control = ServerControl(
            server, load_again=lambda: self._load_again().settings, version=self._version, keeper=keeper
        )
        uninstall = signals.install(running, on_stop=self._on_stop, on_reload=self._on_reload)
        stop_lag = lag.watch(running, self._metrics.loop_late_s.observe)
        closers: list[Callable[[], object]] = [keeper.stop]
        try:
            await parts.start_sink(settings, closers)
            await server.start(before_accepting=lambda: parts.drop_privileges(settings))
            await keeper.start()
            await self._start_doors(closers)
            memory.settle()
            self._announce([(listener.settings.name, listener.where) for listener in server.listeners])
            await self._stop_asked.wait()
        finally:
            stop_lag()
            uninstall()
            await server.stop()
            await parts.close(closers)
            stop_reporting()

    # ---- parts

    async def _start_doors(self, closers: list[Callable[[], object]]) -> None:
        control = ControlServer(Path(self._settings.server.data_folder), self._control, self._door_trouble)
        await control.start()
        closers.append(control.stop)
        if not self._settings.http.enabled:
            return
        ends = CertificateEnds()
        exposition = Exposition(
            self._metrics,
            version=self._version,
            start_time_s=time.time(),
            spool_stats=self._server.spool_stats,
            dns_counts=lambda: self._server.resolver.cache_counts,
            hop_connections=lambda: sum(site.connection_count for site in self._server.sites),
            log_lines_dropped=lambda: self._log.writer.dropped_total,
            certificates=lambda: ends.of(shown_files(self._server.settings)),
        )
        http = HttpServer(
            self._settings.http.address,
            exposition=exposition,
            why_not_ready=self._server.why_not_ready,
            on_trouble=self._door_trouble,
        )
        await http.start()
        closers.append(http.stop)

    def _door_trouble(self, what: str, traceback: str) -> None:
        self._log.emit(Trouble(what=what, traceback=traceback, where="admin"))

    # ---- signals

    def _on_stop(self, name: str) -> None:
        if not self._stop_asked.is_set():
            self._log.emit(Admin(action="stopping", detail=name, by="signal"))
            self._stop_asked.set()

    def _on_reload(self) -> None:
        # Reading files is quick, and nothing else may see half of a reload.
        self._control.reload_now(by="signal")
