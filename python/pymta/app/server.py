"""
The objects of a server, put together, started, reloaded and stopped.

    spool ─ intake ─ doors ─ listeners          (accept)
      │
      └── manager ─ routing ─ sites ─ reports   (queue)

Both sides are woken by the spool's one eventfd and know nothing of each other (ARCHITECTURE.md, invariant 3).
"""

import asyncio
import itertools
import secrets
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from pymta._core import Spool
from pymta.accept.descriptors import Descriptors
from pymta.accept.door import Admission, Door
from pymta.accept.intake import Intake
from pymta.accept.listener import Listener
from pymta.app.directory import open_directory, open_lookup
from pymta.config.settings import ListenerSettings, Settings
from pymta.deliver.tls_policy import ClientContexts
from pymta.dns import ResolverSettings, StubResolver
from pymta.mail.errors import ConfigError
from pymta.observe.events import Admin, Trouble
from pymta.observe.log import Log
from pymta.observe.metrics import Metrics
from pymta.observe.trace import Trace
from pymta.policy.checks.relay import RelayDomains
from pymta.policy.pipeline import TroubleKind
from pymta.policy.script import PolicyHolder
from pymta.queue.manager import QueueManager
from pymta.queue.observer import QueueObserver
from pymta.queue.reports import QueueReporter
from pymta.queue.routing import PolicyRouting
from pymta.queue.sites import SiteTable
from pymta.report import ReportSettings
from pymta.route.router import Router
from pymta.runtime import open_files
from pymta.runtime.clock import Clock, SystemClock
from pymta.tls.server import CertificateFiles, ServerTls

__all__ = ["Server"]


class Server:
    """
    A whole server in one process.

    Use: `Server(settings)`, `await start()`, wait for a signal, `await stop()`.
    """

    def __init__(
        self, settings: Settings, *, log: Log, metrics: Metrics, trace: Trace, clock: Clock | None = None
    ) -> None:
        self.settings = settings
        self.log = log
        self.metrics = metrics
        self.trace = trace
        self.clock = clock or SystemClock()
        self.started_at_ms = self.clock.now_ms()
        self._sids = itertools.count(1)
        # Sessions of different runs must not share a name in the log.
        self._sid_prefix = secrets.token_hex(3)
        self._admission = Admission()
        self._tls: dict[str, ServerTls] = {}
        self.listeners: list[Listener] = []
        self.stopping = False
        self._started = False

    # ---- starting

    async def start(self, *, before_accepting: Callable[[], None] = lambda: None) -> None:
        """
        Bind, recover the spool, begin to deliver, begin to accept.

        Args:
            before_accepting: Called when all ports are bound and nothing was touched yet: privileges are dropped here.

        Raises:
            ConfigError: A script or certificate that cannot be used.
            SpoolError: The spool is in use or unreadable.
            OSError: An address cannot be bound.
        """
        settings = self.settings
        self._loop = asyncio.get_running_loop()
        self.policies = PolicyHolder(
            settings.policy.script, report=self._policy_trouble, limits=settings.policy
        )
        bound = [Listener.bind(listener) for listener in settings.listeners]
        before_accepting()
        self.spool = self._open_spool()
        self._lookup = open_lookup(settings)
        self.directory = open_directory(settings, self._lookup)
        self._descriptors = Descriptors(open_files.open_files_max(), in_use=open_files.in_use, log=self.log)
        hostname = settings.server.hostname.name
        self.intake = Intake(
            self.spool,
            hostname=hostname,
            header_octets_max=self._header_limits()[0],
            log=self.log,
            metrics=self.metrics,
            now_ms=self.clock.now_ms,
        )
        self._build_queue(hostname)
        doors = [self._door(listener) for listener in settings.listeners]
        self.listeners = [Listener(door) for door in doors]
        self._loop.add_reader(self.spool.wake_fd, self._spool_woke)
        self._started = True
        self.manager.wake()
        for listener, socket in zip(self.listeners, bound, strict=True):
            await listener.start(socket)
        where = ", ".join(f"{listener.settings.name} at {listener.where}" for listener in self.listeners)
        self.log.emit(
            Admin(action="ready", detail=f"{self.spool.recovery['messages']} messages in the spool; {where}")
        )

    def _open_spool(self) -> Spool:
        settings = self.settings.spool
        header_octets_max, header_fields_max = self._header_limits()
        folder = Path(self.settings.server.data_folder) / "spool"
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Spool(
            str(folder),
            now_ms=self.clock.now_ms(),
            segment_octets=settings.segment_octets,
            spill_octets=settings.spill_octets,
            memory_octets_max=settings.memory_octets_max,
            free_octets_min=settings.free_octets_min,
            pending_octets_max=settings.pending_octets_max,
            header_octets_max=header_octets_max,
            header_fields_max=header_fields_max,
        )

    def _header_limits(self) -> tuple[int, int]:
        """Octets and fields of the largest header section that any listener takes; intake keeps each to its own."""
        limits = [self.settings.limits, *map(self.settings.limits_of, self.settings.listeners)]
        return max(one.header_octets_max for one in limits), max(one.header_fields_max for one in limits)

    def _build_queue(self, hostname: str) -> None:
        settings = self.settings
        hello = settings.delivery.hello_name
        self.resolver = StubResolver(ResolverSettings.from_settings(settings.dns), now_ms=self.clock.now_ms)
        self.routing = PolicyRouting(
            self.policies, Router.from_settings(settings, self.resolver, now_ms=self.clock.now_ms)
        )
        self.sites = SiteTable(
            settings.delivery,
            hello_name=hostname if hello is None else hello.name,
            contexts=ClientContexts(settings.delivery.ca_file),
        )
        self.observer = QueueObserver(self.log, self.metrics, self.trace, self.policies, self.clock.now_ms)
        self.manager = QueueManager(
            self.spool,
            settings.queue,
            routing=self.routing,
            sites=self.sites,
            reporter=QueueReporter(
                ReportSettings.from_settings(settings),
                inject=self.intake.inject,
                log=self.log,
                metrics=self.metrics,
            ),
            observer=self.observer,
            now_ms=self.clock.now_ms,
        )
        self.sites.belong_to(self.manager)

    def _door(self, listener: ListenerSettings) -> Door:
        settings = self.settings
        return Door(
            listener,
            settings.limits_of(listener),
            hostname=settings.server.hostname.name,
            relay_domains=RelayDomains(str(domain) for domain in settings.domains.relay_domains),
            directory=self.directory,
            policies=self.policies,
            spool=self.spool,
            intake=self.intake,
            admission=self._admission,
            descriptors=self._descriptors,
            log=self.log,
            metrics=self.metrics,
            now_ms=self.clock.now_ms,
            tls_context=self._tls_context(listener),
            sids=self._sids,
            sid_prefix=self._sid_prefix,
        )

    def _tls_context(self, listener: ListenerSettings) -> Callable[[], ssl.SSLContext] | None:
        if listener.tls == "none":
            return None
        assert listener.certificate_file is not None, "checked with the configuration"
        tls = self._tls.get(listener.name)
        if tls is None:
            tls = self._tls[listener.name] = ServerTls(
                (CertificateFiles(listener.certificate_file, listener.key_file or listener.certificate_file),)
            )
        return lambda: tls.context

    # ---- while it runs

    def _spool_woke(self) -> None:
        """Commits ended, messages that were read from disk are there, or a person should know something."""
        self.spool.drain_wake()
        self.intake.settle()
        self.manager.wake()
        for text in self.spool.troubles():
            self.log.emit(Trouble(what="the spool has trouble", error=text, where="spool"))

    def reload(self, settings: Settings | None = None) -> None:
        """
        Take over a new policy script, and new settings where some are given; sessions in progress keep the old ones.

        Everything new is made before anything old is given up, so that what is refused changes nothing.

        Raises:
            ConfigError: Something cannot be used; all stays as it was.
        """
        if not self._started:
            raise ConfigError("the server is still starting")
        new = settings or self.settings
        for before, after in itertools.zip_longest(_fixed(self.settings), _fixed(new)):
            if before != after:
                name = (before or after or ("",))[0]
                raise ConfigError(
                    f'listener "{name}": name, address, tls, certificate and whether it has proxy_networks cannot be '
                    f"changed by a reload, only by a restart",
                    option="listeners",
                )
        router = Router.from_settings(new, self.resolver, now_ms=self.clock.now_ms)
        for tls in self._tls.values():
            tls.reload()
        self.policies.replace(new.policy.script, new.policy)
        before = self.settings, self._lookup, self.directory
        try:
            self.settings = new
            if (new.directory.source, new.directory_file) != (
                before[0].directory.source,
                before[0].directory_file,
            ):
                self._lookup = open_lookup(new)
            self.directory = open_directory(new, self._lookup)
            doors = [self._door(listener) for listener in new.listeners]
        except BaseException:
            self.settings, self._lookup, self.directory = before
            raise
        for listener, door in zip(self.listeners, doors, strict=True):
            listener.use_door(door)
        self.routing.router = router
        self.manager.use_settings(new.queue)

    def reload_certificates(self) -> None:
        """Read certificates anew where the files changed; CertificateError leaves all as they were."""
        for tls in self._tls.values():
            tls.reload_if_changed()

    def why_not_ready(self) -> str | None:
        """None while new mail is accepted, else the reason."""
        if self.stopping:
            return "stopping"
        if self._descriptors.are_scarce:
            return "file descriptors are running out"
        admission = self.intake.admission()
        return None if admission == "ok" else f"the spool is {admission}"

    def _policy_trouble(
        self, kind: TroubleKind, *, hook: str, error: str, where: str, detail: str, sid: str
    ) -> None:
        self.metrics.hook_failures.add(hook or "script")
        self.log.emit(
            Trouble(what=f"policy {kind}", error=error, where=where or hook, traceback=detail, sid=sid)
        )

    # ---- stopping

    async def stop(self) -> None:
        """Finish what is in hand within the grace, end the rest; nothing that got a 250 is lost."""
        self.stopping = True
        if not self._started:
            return
        grace_s = float(self.settings.server.shutdown_grace_s)
        began = time.monotonic()
        self._descriptors.close()
        await asyncio.gather(*(listener.stop(grace_s) for listener in self.listeners))
        left_s = max(grace_s - (time.monotonic() - began), 0.5)
        await self.manager.stop(left_s)
        await self.sites.close()
        await self.manager.close()
        await self.resolver.aclose()
        self._loop.remove_reader(self.spool.wake_fd)
        self.spool.close()
        self.log.emit(Admin(action="stop"))


def _fixed(settings: Settings) -> list[tuple[object, ...]]:
    """What of each listener its socket was made with, the name first."""
    return [
        (
            listener.name,
            str(listener.address),
            listener.tls,
            listener.certificate_file,
            listener.key_file,
            bool(listener.proxy_networks),
        )
        for listener in settings.listeners
    ]
