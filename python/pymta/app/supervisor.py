"""
Several workers as one server: `server.workers` processes, each with a shard of the spool and a socket of its own at every
address, and this one, which touches no mail: it binds, drops privileges, starts them, starts again those that die, writes
their log, and answers for all of them.

    supervisor ─ control socket, HTTP, log file, (sink)
      ├── worker 1   spool/      SO_REUSEPORT sockets   queue
      ├── worker 2   spool-2/    SO_REUSEPORT sockets   queue
      ...

The workers know nothing of each other. Why it is so: docs/decisions/0011.
"""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pymta.accept.listener import Listener
from pymta.acme.keeper import Keeper, make_ready
from pymta.acme.outcome import Renewal
from pymta.admin.control import NotNow
from pymta.admin.control_server import ControlServer
from pymta.admin.http import HttpServer
from pymta.app import parts, uncaught
from pymta.app.acme import make_keeper
from pymta.app.certificates import shown_files
from pymta.app.everyone import Everyone
from pymta.app.supervised import Supervised
from pymta.app.told import CERTIFICATES_CHANGED, Assignment, Configuration
from pymta.config.load import Loaded
from pymta.mail.errors import PymtaError
from pymta.observe.counted import Counted, total
from pymta.observe.events import Admin, Trouble
from pymta.observe.exposition import Exposition
from pymta.observe.log import Log
from pymta.runtime import open_files, signals
from pymta.runtime.board import Board
from pymta.spool import shards
from pymta.spool.shards import Place
from pymta.tls.end import CertificateEnds

__all__ = ["Supervisor"]

# Beyond the grace that workers give to sessions and deliveries in hand.
STOP_S_MAX = 15.0

START_S_MAX = 600.0
"""Recovering a spool of millions of messages takes a while."""


class Supervisor:
    """What lives as long as the server does."""

    def __init__(
        self,
        loaded: Loaded,
        log: Log,
        version: str,
        *,
        load_again: Callable[[], Loaded],
        announce: Callable[[Sequence[tuple[str, str]]], None],
    ) -> None:
        self._settings = loaded.settings
        self._log = log
        self._version = version
        self._load_again = load_again
        self._announce = announce
        self._configuration = Configuration.of(loaded)
        self._count = loaded.settings.server.workers
        self._started_at_s = time.time()
        self._stop_asked = asyncio.Event()
        self._board_fd = Board.make(self._count)
        self._board = Board(
            self._board_fd, rows=self._count, row=0
        )  # read and cleared here, never counted on
        self._workers: list[Supervised] = []
        self._counted = Counted()  # here, not by any worker
        self._ends = CertificateEnds()
        self._keeper: Keeper | None = None
        self._everyone = Everyone(
            self._workers,
            log,
            began_with=loaded.settings,
            load_again=self._load_ready,
            use=self._use_configuration,
            renew=self._renew,
            version=version,
        )

    async def main(self) -> None:
        """Start all of it, wait, stop all of it."""
        settings, log = self._settings, self._log
        running = asyncio.get_running_loop()
        stop_reporting = uncaught.report_to(log, running)
        open_files.raise_limit(settings.server.open_files_max)
        data_folder = parts.make_data_folder(settings)
        uninstall = signals.install(running, on_stop=self._on_stop, on_reload=self._on_reload)
        closers: list[Callable[[], object]] = []
        try:
            await parts.start_sink(settings, closers)
            sockets = self._bind()
            keeper = self._keeper = make_keeper(
                settings,
                log=log,
                orders=self._counted.metrics.acme_orders,
                version=self._version,
                on_changed=self._certificates_changed,
            )
            closers.append(keeper.stop)
            parts.drop_privileges(settings)
            shards.finish_removals(data_folder)
            await self._start_workers(sockets)
            await keeper.start()
            await self._start_doors(data_folder, closers)
            listeners = (await self._everyone.status()).listeners
            doors = ", ".join(f"{listener.name} at {listener.address}" for listener in listeners)
            log.emit(Admin(action="ready", detail=f"{self._count} workers; {doors}"))
            self._announce([(listener.name, listener.address) for listener in listeners])
            await self._stop_asked.wait()
            self._everyone.stopping = True
        finally:
            uninstall()
            await self._stop_workers()
            await parts.close(closers)
            stop_reporting()
        if all(worker.state == "given up" for worker in self._workers):
            raise PymtaError("every worker ended too often; the log says how")

    # ---- parts

    def _bind(self) -> list[list[socket.socket]]:
        """
        A socket for each worker and listener, bound by whoever may bind it, while we are that.

        Raises:
            OSError: An address is in use or not ours.
        """
        sockets: list[list[socket.socket]] = [[] for _ in range(self._count)]
        for listener in self._settings.listeners:
            Listener.bind(
                listener
            ).close()  # shared ports exclude nobody, so whoever is there is found like this
            port = listener.address.port
            for mine in sockets:
                mine.append(Listener.bind(listener, shared_port=port))
                port = mine[-1].getsockname()[1]
        return sockets

    async def _start_workers(self, sockets: list[list[socket.socket]]) -> None:
        for number, mine in enumerate(sockets, 1):
            self._workers.append(
                Supervised(
                    number,
                    mine,
                    assignment=self._assignment,
                    log=self._log,
                    tell_others=self._tell_others,
                    on_gone=lambda worker: self._board.clear(worker.number - 1),
                    on_given_up=self._on_given_up,
                )
            )
        for worker in self._workers:
            worker.start()
        try:
            async with asyncio.timeout(START_S_MAX):
                failures = await asyncio.gather(*(worker.started for worker in self._workers))
        except TimeoutError:
            raise PymtaError(f"the workers did not start within {START_S_MAX:g} s") from None
        for failure in failures:
            if failure:
                raise PymtaError(failure)

    async def _stop_workers(self) -> None:
        for worker in self._workers:
            worker.stop_accepting()
        wait_s_max = float(self._settings.server.shutdown_grace_s) + STOP_S_MAX
        await asyncio.gather(*(worker.stop(wait_s_max) for worker in self._workers))
        self._log.emit(Admin(action="stop"))

    async def _start_doors(self, data_folder: Path, closers: list[Callable[[], object]]) -> None:
        control = ControlServer(data_folder, self._everyone, self._door_trouble)
        await control.start()
        closers.append(control.stop)
        if not self._settings.http.enabled:
            return
        http = HttpServer(
            self._settings.http.address,
            exposition=self,
            why_not_ready=self._why_not_ready,
            on_trouble=self._door_trouble,
        )
        await http.start()
        closers.append(http.stop)

    def _assignment(self, number: int, sockets: Sequence[socket.socket]) -> Assignment:
        return Assignment(
            Place(number, self._count),
            self._configuration,
            self._version,
            self._log.format,
            tuple(listening.fileno() for listening in sockets),
            self._board_fd,
        )

    def _load_ready(self) -> Loaded:
        loaded = self._load_again()
        make_ready(loaded.settings)
        return loaded

    def _use_configuration(self, loaded: Loaded) -> None:
        self._configuration = Configuration.of(loaded)
        self._settings = loaded.settings
        if self._keeper is not None:
            self._keeper.use(loaded.settings)

    async def _renew(self, names: Sequence[str]) -> list[Renewal]:
        if self._keeper is None:
            raise NotNow("the server is still starting")
        return await self._keeper.renew(names)

    def _certificates_changed(self) -> None:
        for worker in self._workers:
            worker.tell(CERTIFICATES_CHANGED, ())

    # ---- what is asked

    def text(self) -> bytes:
        """/metrics: the workers' numbers of a moment ago, added up."""
        counted = total([self._counted, *(worker.counted for worker in self._workers)])
        return Exposition(
            counted.metrics,
            version=self._version,
            start_time_s=self._started_at_s,
            spool_stats=lambda: counted.spool_stats,
            dns_counts=lambda: counted.dns_counts,
            hop_connections=lambda: counted.hop_connections,
            log_lines_dropped=lambda: counted.log_lines_dropped + self._log.writer.dropped_total,
            certificates=lambda: self._ends.of(shown_files(self._settings)),
            workers=(
                Counter(worker.state for worker in self._workers),
                sum(worker.restarts.count for worker in self._workers),
            ),
        ).text()

    def _why_not_ready(self) -> str | None:
        if self._stop_asked.is_set():
            return "stopping"
        reasons = [worker.why_not_ready for worker in self._workers]
        return next((reason for reason in reasons if reason is not None), None)

    def _door_trouble(self, what: str, traceback: str) -> None:
        self._log.emit(Trouble(what=what, traceback=traceback, where="admin"))

    # ---- what happens

    def _on_stop(self, name: str) -> None:
        if not self._stop_asked.is_set():
            self._log.emit(Admin(action="stopping", detail=name, by="signal"))
            self._stop_asked.set()

    def _on_reload(self) -> None:
        self._everyone.reload_soon(by="signal")

    def _tell_others(self, teller: Supervised, what: str, arguments: tuple[Any, ...]) -> None:
        for worker in self._workers:
            if worker is not teller:
                worker.tell(what, arguments)

    def _on_given_up(self, worker: Supervised) -> None:
        if all(one.state == "given up" for one in self._workers):
            self._stop_asked.set()
