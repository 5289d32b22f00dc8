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
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymta._core import Spool, SpoolError
from pymta.accept.door import Door
from pymta.accept.intake import Intake
from pymta.accept.listener import Listener
from pymta.accept.submission import Submission
from pymta.access.door import House, ReadingDoor
from pymta.app.certificates import certificates_of
from pymta.app.directory import DirectoryDomains, open_directory, open_login_secret, open_lookup, open_srs
from pymta.app.leftover import ByRound, LeftOver
from pymta.app.local import LocalDeliveries
from pymta.app.readers import ROLES, Readers
from pymta.app.together import SharedGuard, SharedRates, Tell
from pymta.app.told import CERTIFICATES_CHANGED
from pymta.auth.guard import Guard
from pymta.auth.login import Logins
from pymta.auth.verifier import Verifier
from pymta.config.settings import ListenerSettings, Settings
from pymta.deliver.quota import MailboxQuota
from pymta.deliver.tls_policy import ClientContexts
from pymta.directory import Directory
from pymta.dns import ResolverSettings, StubResolver
from pymta.listen.admission import Admission
from pymta.listen.descriptors import Descriptors
from pymta.mail.errors import ConfigError, PymtaError
from pymta.observe.events import Admin, Trouble
from pymta.observe.log import Log
from pymta.observe.metrics import Metrics
from pymta.observe.trace import Trace
from pymta.policy.checks.rates import Rates
from pymta.policy.checks.relay import RelayDomains
from pymta.policy.script import PolicyHolder
from pymta.policy.trouble import TroubleKind
from pymta.queue.manager import QueueManager
from pymta.queue.observer import QueueObserver
from pymta.queue.reports import QueueReporter
from pymta.queue.routing import PolicyRouting
from pymta.queue.schedule import JITTER_SHARE
from pymta.queue.sites import SiteTable
from pymta.report import ReportSettings
from pymta.route.router import Router
from pymta.runtime import memory, open_files
from pymta.runtime.board import Board
from pymta.runtime.clock import Clock, Steps, SystemClock
from pymta.spool import shards
from pymta.tls.challenge import TlsChallenges
from pymta.tls.server import ServerTls

if TYPE_CHECKING:
    from pymta.app.submitted import SubmittedKeeper

__all__ = ["Server"]

# Certificates are looked at for replacement so often.
CERTIFICATES_EVERY_S = 60.0

# How often the clock is looked at, should nobody else do it.
CLOCK_EVERY_S = 1.0


class Server:
    """
    A whole server in one process.

    Use: `Server(settings)`, `await start()`, wait for a signal, `await stop()`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        log: Log,
        metrics: Metrics,
        trace: Trace,
        clock: Clock | None = None,
        place: shards.Place = shards.ALONE,
        bound: Sequence[socket.socket] | None = None,
        board: Board | None = None,
        tell: Tell | None = None,
    ) -> None:
        """
        Args:
            settings: What it is told.
            log: Told what happens.
            metrics: Counts it.
            trace: Remembers what was decided.
            clock: A test has its own.
            place: Which of several workers it is.
            bound: The listening sockets in the order of the listeners; None: they are made here.
            board: Where the workers count clients' connections together.
            tell: Tells the other workers what has to be counted by all.
        """
        self.settings = settings
        self._place = place
        self._bound = bound
        self._tell = tell
        self.left_over: list[LeftOver] = []
        self.log = log
        self.metrics = metrics
        self.trace = trace
        self.clock = clock or SystemClock()
        self.started_at_ms = self.clock.now_ms()
        self._sids = itertools.count(1)
        # Sessions of different runs must not share a name in the log.
        self._sid_prefix = secrets.token_hex(3)
        self._board = board
        self._admission = Admission(board)
        self._tls: dict[str, ServerTls] = {}
        self.listeners: list[Listener] = []
        self._submitted: SubmittedKeeper | None = None
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
        bound = self._bound or [Listener.bind(listener) for listener in settings.listeners]
        before_accepting()
        data_folder = Path(settings.server.data_folder)
        if self._place.count == 1:
            shards.finish_removals(data_folder)
        self.spool = self._open_spool(shards.folder_of(data_folder, self._place.number))
        self._lookup = open_lookup(settings)
        self._srs = open_srs(settings, now_ms=self.clock.now_ms)
        self.directory = open_directory(settings, self._lookup, self._srs)
        self._descriptors = Descriptors(open_files.open_files_max(), in_use=open_files.in_use, log=self.log)
        self.guard = Guard(settings.auth) if self._tell is None else SharedGuard(settings.auth, self._tell)
        self.verifier = Verifier(
            settings.auth,
            self.directory,
            secret=open_login_secret(settings),
            on_trouble=self.log.trouble,
        )
        self.logins = Logins(settings.auth, self.directory, self.verifier, self.guard)
        self.rates = (
            Rates(settings.submission, now_ms=self.clock.now_ms)
            if self._tell is None
            else SharedRates(settings.submission, now_ms=self.clock.now_ms, tell=self._tell)
        )
        hostname = settings.server.hostname.name
        self.intake = Intake(
            self.spool,
            hostname=hostname,
            header_octets_max=self._header_limits()[0],
            log=self.log,
            metrics=self.metrics,
            now_ms=self.clock.now_ms,
        )
        self._steps = Steps(self.clock, self._clock_was_set)
        self._build_queue(hostname)
        for shard in self._place.left_over(shards.existing(data_folder)):
            self._open_left_over(shard, shards.folder_of(data_folder, shard))
        self._bring_forward()
        self._look_at_clock()
        doors = [
            self._door(listener, settings, self.directory, self.logins) for listener in settings.listeners
        ]
        self.listeners = [Listener(door) for door in doors]
        self._loop.add_reader(self.spool.wake_fd, self._spool_woke)
        self._loop.add_reader(self.local.maildir.wake_fd, self.local.maildir.settle)
        self._started = True
        self.manager.wake()
        for listener, listening in zip(self.listeners, bound, strict=True):
            await listener.start(listening)
        self._watch_certificates()
        where = ", ".join(f"{listener.settings.name} at {listener.where}" for listener in self.listeners)
        self.log.emit(
            Admin(action="ready", detail=f"{self.spool.recovery['messages']} messages in the spool; {where}")
        )

    def _open_spool(self, folder: Path) -> Spool:
        settings = self.settings.spool
        header_octets_max, header_fields_max = self._header_limits()
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
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
                shard=self._place.number - 1,
            )
        except (SpoolError, OSError) as error:
            raise SpoolError(f"{folder}: {error}") from error

    def _header_limits(self) -> tuple[int, int]:
        """Octets and fields of the largest header section that any listener takes; intake keeps each to its own."""
        limits = [self.settings.limits, *map(self.settings.limits_of, self.settings.listeners)]
        return max(one.header_octets_max for one in limits), max(one.header_fields_max for one in limits)

    def _build_queue(self, hostname: str) -> None:
        settings = self.settings
        hello = settings.delivery.hello_name
        # What is kept for a while is kept by a clock that nobody sets.
        self.resolver = StubResolver(
            ResolverSettings.from_settings(settings.dns), now_ms=self.clock.elapsed_ms
        )
        self.routing = PolicyRouting(self.policies, self._router(settings, self.directory))
        self.sites = SiteTable(
            settings.delivery,
            hello_name=hostname if hello is None else hello.name,
            contexts=ClientContexts(settings.delivery.ca_file),
        )
        self.observer = QueueObserver(self.log, self.metrics, self.trace, self.policies, self.clock.now_ms)
        self._reporter = QueueReporter(
            ReportSettings.from_settings(settings),
            inject=self.intake.inject,
            log=self.log,
            metrics=self.metrics,
        )
        self.local = LocalDeliveries(
            settings,
            self.directory,
            self._srs,
            intake=self.intake,
            observer=self.observer,
            log=self.log,
            now_ms=self.clock.now_ms,
        )
        self._readers = Readers(
            settings, self.local.maildir.store, log=self.log, now_ms=self.clock.now_ms, board=self._board
        )
        self.manager = self._manager(self.spool)
        self.sites.use_local(self.local.site)
        self.sites.use_tasks(self.local.task_site)
        self.sites.belong_to(self.manager)

    def _manager(self, spool: Spool) -> QueueManager:
        return QueueManager(
            spool,
            self.settings.queue,
            routing=self.routing,
            sites=self.sites,
            reporter=self._reporter,
            observer=self.observer,
            now_ms=self.clock.now_ms,
            moved=self._steps.moved,
        )

    def _router(self, settings: Settings, directory: Directory) -> Router:
        return Router.from_settings(
            settings,
            self.resolver,
            now_ms=self.clock.elapsed_ms,
            local_domains=DirectoryDomains(directory),
        )

    def _open_left_over(self, shard: int, folder: Path) -> None:
        if not self.left_over:
            self.sites.belong_to(ByRound(self.manager))
        spool = self._open_spool(folder)
        self.left_over.append(
            LeftOver(
                shard, folder, spool, self._manager(spool), log=self.log, on_removed=self.left_over.remove
            )
        )

    def _door(
        self, listener: ListenerSettings, settings: Settings, directory: Directory, logins: Logins
    ) -> Door | ReadingDoor:
        if listener.role in ROLES:
            return self._readers.door(
                listener, settings, self._house(logins), self._tls_of(listener, settings)
            )
        return Door(
            listener,
            settings.limits_of(listener),
            hostname=settings.server.hostname.name,
            relay_domains=RelayDomains(str(domain) for domain in settings.domains.relay_domains),
            directory=directory,
            quota=MailboxQuota(settings.mailboxes_folder, settings.mailboxes),
            logins=logins,
            submission=self._submission(settings, directory) if listener.role == "submission" else None,
            policies=self.policies,
            spool=self.spool,
            intake=self.intake,
            admission=self._admission,
            descriptors=self._descriptors,
            log=self.log,
            metrics=self.metrics,
            now_ms=self.clock.now_ms,
            tls=self._tls_of(listener, settings),
            challenges=_challenges(settings),
            sids=self._sids,
            sid_prefix=self._sid_prefix,
        )

    def _house(self, logins: Logins) -> House:
        return House(
            logins=logins,
            policies=self.policies,
            admission=self._admission,
            descriptors=self._descriptors,
            log=self.log,
            metrics=self.metrics,
            now_ms=self.clock.now_ms,
            sids=self._sids,
            sid_prefix=self._sid_prefix,
        )

    def _submission(self, settings: Settings, directory: Directory) -> Submission:
        if self._submitted is None:
            from pymta.app.submitted import SubmittedKeeper  # a library of megabytes

            self._submitted = SubmittedKeeper(
                settings.submitted_file, self.rates, on_trouble=self.log.trouble
            )
        return Submission(
            settings.submission,
            directory,
            self.rates,
            hostname=settings.server.hostname.name,
            log=self.log,
        )

    def _tls_of(self, listener: ListenerSettings, settings: Settings) -> ServerTls | None:
        if listener.tls == "none":
            return None
        tls = self._tls.get(listener.name)
        if tls is None:
            tls = self._tls[listener.name] = ServerTls(
                certificates_of(listener, settings), client_ca_file=listener.client_ca_file
            )
        return tls

    # ---- while it runs

    def _spool_woke(self) -> None:
        """Commits ended, messages that were read from disk are there, or a person should know something."""
        self.spool.drain_wake()
        self.intake.settle()
        self.manager.wake()
        for text in self.spool.troubles():
            self.log.emit(Trouble(what="the spool has trouble", error=text, where="spool"))

    def _look_at_clock(self) -> None:
        self._clock_timer = self._loop.call_later(CLOCK_EVERY_S, self._look_at_clock)
        self._steps.look()

    def _clock_was_set(self, step_ms: int) -> None:
        way = "forward" if step_ms > 0 else "back"
        self.log.emit(
            Trouble(
                what="the clock was set",
                error=f"{way} by {abs(step_ms) // 1000} s; what waits in the queue is not taken for older than it is",
                where="clock",
            )
        )
        if step_ms < 0:
            self._bring_forward()
        for manager in (self.manager, *(part.manager for part in self.left_over)):
            manager.wake()

    def _bring_forward(self) -> None:
        """Nothing waits for longer than one wait may be: when it was decided, the clock may have been ahead."""
        settings = self.settings
        wait_s_max = max(settings.queue.retry_s_max, settings.delivery.suspend_s_max)
        due_ms_max = self.clock.now_ms() + int(wait_s_max * (1 + JITTER_SHARE) * 1000)
        for spool in (self.spool, *(part.spool for part in self.left_over)):
            spool.bring_forward(due_ms_max)

    def reload(self, new: Settings) -> None:
        """
        Take over *new* settings and the policy script; sessions in progress keep the old ones.

        Raises:
            ConfigError: Something cannot be used; all stays as it was.
        """
        self.prepare_reload(new)()

    def prepare_reload(self, new: Settings) -> Callable[[], None]:
        """
        The first half of `reload`: makes everything new, gives up nothing old.

        Returns:
            The second half, which cannot fail.

        Raises:
            ConfigError: Something cannot be used.
        """
        if not self._started:
            raise ConfigError("the server is still starting")
        for before, after in itertools.zip_longest(_fixed(self.settings), _fixed(new)):
            if before != after:
                name = (before or after or ("",))[0]
                raise ConfigError(
                    f'listener "{name}": name, address, tls, certificate and whether it has proxy_networks cannot be '
                    f"changed by a reload, only by a restart",
                    option="listeners",
                )
        if new.mailboxes_folder != self.settings.mailboxes_folder:
            raise ConfigError("cannot be changed by a reload, only by a restart", option="mailboxes.folder")
        use_certificates = [
            self._tls[listener.name].prepare(certificates_of(listener, new))
            for listener in new.listeners
            if listener.name in self._tls
        ]
        use_policy = self.policies.prepare(new.policy.script, new.policy)
        lookup, now = self._lookup, self.settings
        other = (new.directory.source, new.directory_file) != (now.directory.source, now.directory_file)
        if other or new.directory.source == "file" or new.ldap != now.ldap:
            lookup = open_lookup(new)
        srs = open_srs(new, now_ms=self.clock.now_ms)
        directory = open_directory(new, lookup, srs)
        router = self._router(new, directory)
        logins = Logins(new.auth, directory, self.verifier, self.guard)
        doors = [self._door(listener, new, directory, logins) for listener in new.listeners]

        def use() -> None:
            self.settings, self._lookup, self._srs = new, lookup, srs
            self.directory, self.logins = directory, logins
            self.guard.use_settings(new.auth)
            self.rates.use_settings(new.submission)
            self.verifier.use(new.auth, directory)
            use_policy()
            for use_certificate in use_certificates:
                use_certificate()
            for listener, door in zip(self.listeners, doors, strict=True):
                listener.use_door(door)
            self.routing.router = router
            self.local.use(new, directory, srs)
            for manager in (self.manager, *(part.manager for part in self.left_over)):
                manager.use_settings(new.queue)
            self._loop.call_soon(memory.let_go)

        return use

    def _watch_certificates(self) -> None:
        self.look_at_certificates()
        self._loop.call_later(CERTIFICATES_EVERY_S, self._watch_certificates)

    def look_at_certificates(self) -> None:
        """Show what is in the files now, where it is not what was; also what ACME has brought since."""
        try:
            for listener in self.settings.listeners:
                tls = self._tls.get(listener.name)
                if tls is None:
                    continue
                certificates = certificates_of(listener, self.settings)
                if certificates != tls.certificates:
                    tls.prepare(certificates)()
                else:
                    tls.reload_if_changed()
        except PymtaError as error:  # a certificate is often replaced in two steps: the next look may succeed
            self.log.emit(Trouble(what="certificate not reloaded", error=str(error)))

    def told(self, what: str, arguments: tuple[Any, ...]) -> None:
        """Another worker has counted something for all, or the supervisor has something to say."""
        if what == CERTIFICATES_CHANGED:
            self.look_at_certificates()
            return
        for part in (self.guard, self.rates):
            if isinstance(part, SharedGuard | SharedRates):
                part.told(what, arguments)

    def spool_stats(self) -> dict[str, int]:
        """`Spool.stats`, added up where shards of workers that were are drained."""
        stats = self.spool.stats()
        for part in self.left_over:
            for name, value in part.spool.stats().items():
                stats[name] += value
        return stats

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
        self._clock_timer.cancel()
        await asyncio.gather(*(listener.stop(grace_s) for listener in self.listeners))
        left_s = max(grace_s - (time.monotonic() - began), 0.5)
        left_over = tuple(self.left_over)
        await asyncio.gather(self.manager.stop(left_s), *(part.stop(left_s) for part in left_over))
        await self.sites.close()
        await self.manager.close()
        for part in left_over:
            await part.close()
        await self.resolver.aclose()
        self._readers.close()
        self._loop.remove_reader(self.local.maildir.wake_fd)
        self.local.close()
        await self.verifier.aclose()
        if self._submitted is not None:
            await self._submitted.aclose()
        self._loop.remove_reader(self.spool.wake_fd)
        self.spool.close()
        self.log.emit(Admin(action="stop"))


def _challenges(settings: Settings) -> TlsChallenges | None:
    """What an authority may ask for within handshakes; None where it never does."""
    acme = settings.acme
    return TlsChallenges(settings.acme_folder) if acme.names and acme.challenge == "tls-alpn-01" else None


def _fixed(settings: Settings) -> list[tuple[object, ...]]:
    """What of each listener its socket was made with, the name first."""
    return [
        (
            listener.name,
            str(listener.address),
            listener.tls,
            listener.certificate_file,
            listener.key_file,
            listener.client_ca_file,
            bool(listener.proxy_networks),
        )
        for listener in settings.listeners
    ]
