"""
A process from its start to its end: log, loop, signals, privileges, the doors for operators, then `Server`.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pymta.admin.control_server import ControlServer
from pymta.admin.http import HttpServer
from pymta.app import uncaught
from pymta.app.control import ServerControl
from pymta.app.server import Server
from pymta.config.settings import Settings
from pymta.mail.errors import ConfigError, PymtaError
from pymta.observe.events import Admin, Trouble
from pymta.observe.exposition import Exposition
from pymta.observe.log import Log
from pymta.observe.metrics import Metrics
from pymta.observe.trace import Trace
from pymta.runtime import lag, loop, memory, open_files, privileges, signals
from pymta.sink.server import Sink, SinkOptions

__all__ = ["run"]

# Certificates are looked at for replacement so often.
CERTIFICATES_EVERY_S = 60.0

LoadAgain = Callable[[], Settings]
Announce = Callable[[Sequence[tuple[str, str]]], None]


def run(settings: Settings, *, version: str, load_again: LoadAgain, announce: Announce) -> None:
    """
    Run a server until SIGTERM or SIGINT.

    Args:
        settings: What it is told.
        version: Of pymta, for those who ask.
        load_again: Reads the settings anew, for a reload.
        announce: Called with (role, address) of the open doors when it is ready.

    Raises:
        ConfigError, SpoolError, OSError: It cannot start; one line says why.
    """
    log = Log.open(
        file=settings.log.file,
        format=settings.log.format,
        verbs=settings.log.verbs,
        pending_octets_max=settings.log.pending_octets_max,
    )
    try:
        loop.run(_Process(settings, log, version, load_again, announce).main())
    finally:
        log.close()


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
        _make_folder(Path(settings.server.data_folder))
        self._server = server = Server(settings, log=log, metrics=self._metrics, trace=self._trace)
        self._control = ServerControl(server, load_again=self._load_again, version=self._version)
        uninstall = signals.install(running, on_stop=self._on_stop, on_reload=self._on_reload)
        stop_lag = lag.watch(running, self._metrics.loop_late_s.observe)
        closers: list[Callable[[], object]] = []
        try:
            await self._start_sink(closers)
            await server.start(before_accepting=self._drop_privileges)
            await self._start_doors(closers)
            self._watch_certificates()
            memory.settle()
            self._announce([(door.role, door.address) for door in self._control.status().listeners])
            await self._stop_asked.wait()
        finally:
            stop_lag()
            uninstall()
            await server.stop()
            for close in reversed(closers):
                result = close()
                if asyncio.iscoroutine(result):
                    await result
            stop_reporting()

    # ---- parts

    async def _start_sink(self, closers: list[Callable[[], object]]) -> None:
        sink, data_folder = self._settings.sink, Path(self._settings.server.data_folder)
        if sink.address is None:
            return
        options = SinkOptions(
            host=sink.address.address,
            port=sink.address.port,
            hostname=f"sink.{self._settings.server.hostname.name}",
            folder=sink.folder or data_folder / "sink",
            messages_max=sink.messages_max,
        )
        server = Sink(options)
        await server.start()
        closers.append(server.stop)

    async def _start_doors(self, closers: list[Callable[[], object]]) -> None:
        control = ControlServer(Path(self._settings.server.data_folder), self._control, self._door_trouble)
        await control.start()
        closers.append(control.stop)
        if not self._settings.http.enabled:
            return
        exposition = Exposition(
            self._metrics,
            version=self._version,
            start_time_s=time.time(),
            spool_stats=self._server.spool.stats,
            dns_counts=lambda: self._server.resolver.cache_counts,
            hop_connections=lambda: sum(site.connection_count for site in self._server.sites),
            log_lines_dropped=lambda: self._log.writer.dropped_total,
        )
        http = HttpServer(
            self._settings.http.address,
            exposition=exposition,
            why_not_ready=self._server.why_not_ready,
            on_trouble=self._door_trouble,
        )
        await http.start()
        closers.append(http.stop)

    def _drop_privileges(self) -> None:
        host = self._settings.server
        if host.user is None:
            return
        try:
            uid, gid = privileges.ids_of(host.user, host.group)
        except privileges.UnknownUserError as error:
            raise ConfigError(str(error), option="server.user") from None
        privileges.give_folder(Path(host.data_folder), uid, gid)
        privileges.drop(uid, gid, host.user)

    def _watch_certificates(self) -> None:
        try:
            self._server.reload_certificates()
        except PymtaError as error:  # a certificate is often replaced in two steps: the next look may succeed
            self._log.emit(Trouble(what="certificate not reloaded", error=str(error)))
        asyncio.get_running_loop().call_later(CERTIFICATES_EVERY_S, self._watch_certificates)

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


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
