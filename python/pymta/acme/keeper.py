"""
Who sees to it that there is a certificate for each name, in time: one task, in the one process that asks the authority.

    due? ── no ──> wait (an hour at most; woken by a reload, by `pymta acme renew`)
     └─ yes ─> ask aside (issuer.py) ─┬─> keep it, tell the doors
                                      └─> say why not, wait twice as long as the last time

Mail does not know of it: until there is a certificate the doors show the one of our own making, and afterwards the old one.
"""

import asyncio
import datetime
import importlib
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from pymta.acme.challenges import Challenges
from pymta.acme.outcome import NotIssued, Renewal
from pymta.acme.responder import Responder
from pymta.acme.schedule import renewal_at, retry_wait_s
from pymta.acme.store import Attempts, Store
from pymta.config.settings import Settings
from pymta.config.values import Endpoint
from pymta.mail.errors import ConfigError
from pymta.observe.events import Admin, Trouble
from pymta.observe.log import Log
from pymta.observe.metrics import Counts
from pymta.runtime.aside import aside

__all__ = ["Issue", "Keeper", "check_installed", "make_ready"]

LOOK_S_MAX: Final = 3600.0
"""A clock may be set, and a file taken away, without our being told."""

# What an attempt may take beyond its own end, which is looked at between one answer and the next.
ATTEMPT_MORE_S: Final = 60.0

Issue = Callable[[str, Settings, Callable[[str, str], None]], bytes]
"""(name, settings, told each step): key and chain in PEM, or NotIssued."""


def check_installed(settings: Settings) -> None:
    """
    Whether the library is there, where it is needed.

    Raises:
        ConfigError: It is not.
    """
    if not settings.acme.names:
        return
    try:
        # Now, and not when it is needed first: that may be after an upgrade of what is installed, and as another user.
        importlib.import_module("pymta.acme.issuer")
    except ImportError as error:
        raise ConfigError(
            f'needs the library acme: pip install "pymta-server[acme]" ({error})', option="acme.names"
        ) from None


def make_ready(settings: Settings) -> None:
    """
    Make what the doors need before any certificate was issued.

    Raises:
        ConfigError: The library is not installed.
        OSError: The data folder cannot be written.
    """
    if settings.acme.names:
        check_installed(settings)
        Store(settings.acme_folder).prepare([settings.server.hostname.name, *map(str, settings.acme.names)])


class Keeper:
    """See the module. Use: `start`, then `renew` and `use` as one is told, `stop`."""

    def __init__(
        self,
        settings: Settings,
        responder: Responder,
        *,
        addresses: Sequence[Endpoint],
        issue: Issue,
        log: Log,
        orders: Counts,
        now_ms: Callable[[], int],
        on_changed: Callable[[], None],
    ) -> None:
        """
        Args:
            settings: What it is told.
            responder: Answers the authority, where it comes to addresses of our own.
            addresses: Those that the responder is bound to.
            issue: Asks for a certificate; called in a thread.
            log: Told what happens.
            orders: Counts what became of it.
            now_ms: The date, in milliseconds since 1970.
            on_changed: Called when there is another certificate in a file.
        """
        self._settings = settings
        self._responder = responder
        self._addresses = tuple(addresses)
        self._issue = issue
        self._log = log
        self._orders = orders
        self._now_ms = now_ms
        self._on_changed = on_changed
        self._store = Store(settings.acme_folder)
        self._attempts: dict[str, Attempts] = {}
        self._wake = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look after the certificates."""
        self._attempts = self._store.attempts()
        if self._settings.acme.names:
            Challenges(self._store.folder).clear()
        await self._responder.use(self._settings.acme.challenge)
        self._task = asyncio.get_running_loop().create_task(self._run(), name="acme")

    async def stop(self) -> None:
        """Ask no more; what is being asked is left to itself."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
        self._responder.close()

    def use(self, settings: Settings) -> None:
        """After a reload; the folder and the addresses stay those of the start."""
        self._settings = settings
        self._wake.set()

    async def renew(self, names: Sequence[str]) -> list[Renewal]:
        """
        Ask for certificates now, also where it is not time, and although it failed a moment ago.

        Raises:
            ValueError: A name is none of ours.
        """
        ours = [str(name) for name in self._settings.acme.names]
        strange = [name for name in names if name not in ours]
        if strange:
            raise ValueError(f"{strange[0]} is none of acme.names")
        if not ours:
            raise ValueError("acme.names is empty")
        return [Renewal(name, await self._attempt(name)) for name in names or ours]

    # ---- when

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            await self._look()
            try:
                async with asyncio.timeout(self._wait_s()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _look(self) -> None:
        """Ask for what is due."""
        try:
            self._bound_waits()
            await self._responder.use(self._settings.acme.challenge)
            for name in map(str, self._settings.acme.names):
                if self._is_due(name):
                    await self._attempt(name, only_if_due=True)
        except Exception as error:  # whatever it is, it shall not be the last look
            self._log.trouble("looking after certificates", error, where="acme")

    def _wait_s(self) -> float:
        now_ms = self._now_ms()
        due_ms = [self._due_ms(str(name)) for name in self._settings.acme.names]
        until_s = (min(due_ms) - now_ms) / 1000 if due_ms else LOOK_S_MAX
        return min(max(until_s, 1.0), LOOK_S_MAX)

    def _is_due(self, name: str) -> bool:
        return self._due_ms(name) <= self._now_ms()

    def _due_ms(self, name: str) -> int:
        attempts = self._attempts.get(name, Attempts())
        wanted_ms = self._wanted_ms(name, attempts)
        if not attempts.failures and self._is_of_another(attempts):
            return wanted_ms  # what is waited for after a success is waited for with the one that gave it
        return max(wanted_ms, attempts.next_at_ms)

    def _bound_waits(self) -> None:
        """Where the clock was ahead when a wait was noted, it is no longer than the longest one, from now on."""
        latest_ms = self._now_ms() + self._settings.acme.retry_s_max * 1000
        for name, attempts in self._attempts.items():
            if attempts.next_at_ms > latest_ms:
                self._attempts[name] = msgspec.structs.replace(attempts, next_at_ms=latest_ms)

    def _is_of_another(self, attempts: Attempts) -> bool:
        """Whether the certificate is of another authority than the one that is asked now."""
        return attempts.directory_url not in ("", self._settings.acme.directory_url)

    def _wanted_ms(self, name: str, attempts: Attempts) -> int:
        """When another certificate is wanted, whatever came of the last attempt."""
        certificate = self._store.certificate(name)
        if certificate is None or self._is_of_another(attempts):
            return 0
        at = renewal_at(
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
            before_days=self._settings.acme.renew_before_days,
        )
        return int(at.timestamp() * 1000)

    # ---- how

    async def _attempt(self, name: str, *, only_if_due: bool = False) -> str:
        """Ask for one certificate and keep it; why there is none, or an empty text."""
        async with self._one_at_a_time:
            if only_if_due and not self._is_due(name):
                return ""  # somebody has asked for it while this waited
            settings, say = self._settings, self._say_from_thread()
            try:
                self._check_addresses(settings)
                async with asyncio.timeout(settings.acme.attempt_s_max + ATTEMPT_MORE_S):
                    pem = await aside(lambda: self._issue(name, settings, say), name="acme")
                self._store.put_certificate(name, pem)
            except (NotIssued, OSError) as error:  # TimeoutError is one
                problem = str(error) or "the authority did not come to an end in time"
                self._failed(name, problem, getattr(error, "retry_after_s", 0.0))
                return problem
            except Exception as error:  # a bug, of ours or of the library's; mail has to go on
                self._log.trouble("certificate not issued", error, where=name)
                self._failed(name, f"{type(error).__name__}: {error}", 0.0, is_told=True)
                return f"{type(error).__name__}: {error}"
            self._issued(name, settings)
            return ""

    def _check_addresses(self, settings: Settings) -> None:
        """The authority would come in vain, and allows few failures."""
        if settings.acme.addresses != self._addresses and settings.acme.challenge == "http-01":
            raise NotIssued("acme.addresses was changed, which needs a restart")

    def _issued(self, name: str, settings: Settings) -> None:
        self._orders.add("issued")
        # Where our clock is wrong, what was just issued may be due already: that is no reason to ask every second.
        self._attempts[name] = Attempts(
            directory_url=settings.acme.directory_url,
            next_at_ms=self._now_ms() + settings.acme.retry_s_min * 1000,
        )
        self._keep_attempts()
        self._log.emit(Admin(action="certificate issued", detail=f"{name}, {self._until(name)}"))
        self._on_changed()

    def _until(self, name: str) -> str:
        certificate = self._store.certificate(name)
        if certificate is None:
            return "gone again"
        renewed = datetime.datetime.fromtimestamp(self._due_ms(name) / 1000, datetime.UTC)
        return f"until {certificate.not_valid_after_utc:%Y-%m-%d}, renewed from {renewed:%Y-%m-%d}"

    def _failed(self, name: str, problem: str, retry_after_s: float, *, is_told: bool = False) -> None:
        self._orders.add("failed")
        before = self._attempts.get(name, Attempts())
        failures = before.failures + 1
        wait_s = retry_wait_s(failures, self._settings.acme, asked_s=retry_after_s)
        self._attempts[name] = msgspec.structs.replace(
            before,
            failures=failures,
            next_at_ms=self._now_ms() + int(wait_s * 1000),
            problem=problem,
        )
        self._keep_attempts()
        if not is_told:
            what = f"{problem}; asked again in {wait_s:.0f} s"
            self._log.emit(Trouble(what="certificate not issued", error=what, where=name, count=failures))

    def _keep_attempts(self) -> None:
        try:
            self._store.put_attempts(self._attempts)
        except OSError as error:  # it is known here all the same
            self._log.emit(Trouble(what="attempts not kept", error=str(error), where="acme"))

    def _say_from_thread(self) -> Callable[[str, str], None]:
        loop, log = asyncio.get_running_loop(), self._log
        return lambda action, detail: _say(loop, log, action, detail)


def _say(loop: asyncio.AbstractEventLoop, log: Log, action: str, detail: str) -> None:
    try:
        loop.call_soon_threadsafe(log.emit, Admin(action=action, detail=detail))
    except RuntimeError:
        return  # the loop has ended
