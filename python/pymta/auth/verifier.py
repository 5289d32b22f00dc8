"""
Passwords against the directory: hashed in a few threads of low priority, remembered for a moment, stored anew where
they were stored badly.

    right password, remembered    a dictionary and one HMAC, on the loop
    right password                one hash in a thread
    anything else                 at least one hash of today's cost, so that the time does not tell whether the account
                                  exists, is suspended or has a password at all

Rule: what is remembered is a keyed digest together with the stored forms that it was right for; a password that is
changed in the directory is changed at once.
"""

import asyncio
import contextlib
import hashlib
import hmac
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Final, Protocol, runtime_checkable

from pymta.auth.made_up import MadeUpKeys
from pymta.auth.schemes import HashCost, make, make_scram, needs_upgrade, scheme_of, verify
from pymta.auth.scram import PREFIX, ScramKeys
from pymta.auth.settings import hash_cost
from pymta.config.settings.auth import AuthSettings
from pymta.directory import Account, AsksPasswords, Directory, Password, asks_passwords, settled
from pymta.mail.errors import PymtaError, TemporaryFailure
from pymta.mail.secret import Secret

__all__ = ["TooBusy", "Verifier"]

_REMEMBERED_MAX: Final = 10_000
# Threads that hash yield to the one that talks to clients (nice(2); Linux has it for each thread).
_NICENESS: Final = 10

_OnTrouble = Callable[[str, BaseException], None]


class TooBusy(TemporaryFailure):
    """More logins wait to be verified than may."""


@runtime_checkable
class PasswordStore(Protocol):
    """A source of entries that can be written to. Called in a thread."""

    def replace_stored(
        self, account: str, label: str, before: Sequence[str], after: Sequence[str]
    ) -> bool: ...


class Verifier:
    """See the module. One instance for all protocols."""

    def __init__(
        self,
        settings: AuthSettings,
        directory: Directory,
        *,
        secret: bytes,
        on_trouble: _OnTrouble,
        monotonic: Callable[[], float] = monotonic,
    ) -> None:
        """
        Args:
            settings: Costs and bounds.
            directory: Who has accounts.
            secret: Keys for SCRAM are made up with it for whom nobody knows; all workers have the same, for ever.
            on_trouble: Told when something went wrong beside a login.
            monotonic: A clock, in seconds.
        """
        self._on_trouble = on_trouble
        self._monotonic = monotonic
        self._key = secrets.token_bytes(32)
        self._made_up = MadeUpKeys(secret, monotonic=monotonic)
        self._remembered: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()
        self._waiting = 0
        self._upgrades: set[asyncio.Task[None]] = set()
        self._pool = ThreadPoolExecutor(settings.verifying_max, "verify", initializer=_lower_priority)
        self._threads = settings.verifying_max
        self.use(settings, directory)

    def use(self, settings: AuthSettings, directory: Directory) -> None:
        """After a reload."""
        self._settings = settings
        self._cost = hash_cost(settings)
        self._directory = directory
        # Nobody's password, at today's cost: what an account that does not exist is verified against.
        self._nobody = make(secrets.token_urlsafe(18), HashCost(memory_kib=1024, passes=1))
        self._nobody_made = False
        if settings.verifying_max != self._threads:
            self._pool.shutdown(wait=False)
            self._pool = ThreadPoolExecutor(settings.verifying_max, "verify", initializer=_lower_priority)
            self._threads = settings.verifying_max

    async def aclose(self) -> None:
        """Wait for the threads; nothing new may be asked."""
        if self._upgrades:
            await asyncio.wait(self._upgrades, timeout=5)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def is_right(self, account: Account | None, password: Secret) -> bool:
        """
        Whether that is a password of the account; never, for None and for a suspended one, but it takes as long.

        Raises:
            TooBusy: Too many others are waiting.
            TemporaryFailure: The directory cannot be asked.
        """
        asked = asks_passwords(self._directory.lookup)
        if asked is not None:
            return await self._asked(asked, account, password)
        stored = [] if account is None else list(await settled(self._directory.passwords(account)))
        if account is not None and not account.suspended and self._is_remembered(account, stored, password):
            return True
        if self._waiting >= self._settings.waiting_max:
            raise TooBusy(f"{self._waiting} logins wait to be verified")
        self._waiting += 1
        try:
            running = asyncio.get_running_loop()
            label = await running.run_in_executor(
                self._pool, _matching, stored, password.reveal(), self._of_nobody, self._cost
            )
        finally:
            self._waiting -= 1
        if label is None or account is None or account.suspended:
            return False
        self._remember(account, stored, password)
        if not label:
            self._upgrade(account, [one for one in stored if not one.label], password)
        return True

    async def _asked(self, lookup: AsksPasswords, account: Account | None, password: Secret) -> bool:
        """The same where the source itself knows. Nothing is remembered: it would not be seen that a password was changed."""
        if self._waiting >= self._settings.waiting_max:
            raise TooBusy(f"{self._waiting} logins wait to be verified")
        self._waiting += 1
        try:
            is_right = await lookup.is_password(None if account is None else account.name, password)
        finally:
            self._waiting -= 1
        return is_right and account is not None and not account.suspended

    async def scram_keys(self, account: Account | None, name: str) -> tuple[ScramKeys, bool]:
        """
        An account's keys for SCRAM, and whether they are real.

        Those of a suspended one are its own, so that its salt does not tell; who then proves the password stays out.
        """
        made_up = self._made_up.of(
            name, self._directory.lookup, self._cost.scram_iterations
        )  # takes its time for all
        if account is not None:
            for password in await settled(self._directory.passwords(account)):
                stored = password.stored.reveal()
                if not password.label and stored.startswith(PREFIX):
                    with contextlib.suppress(ValueError):  # a broken entry is no entry
                        return ScramKeys.parse(stored), True
        return made_up, False

    # ---- what is remembered

    def _is_remembered(self, account: Account, stored: Sequence[Password], password: Secret) -> bool:
        entry = self._remembered.get(self._digest_of(account, password))
        return (
            entry is not None
            and entry[1] > self._monotonic()
            and hmac.compare_digest(entry[0], _digest_of_stored(stored))
        )

    def _remember(self, account: Account, stored: Sequence[Password], password: Secret) -> None:
        if not self._settings.remember_s:
            return
        digest = self._digest_of(account, password)
        self._remembered[digest] = _digest_of_stored(stored), self._monotonic() + self._settings.remember_s
        self._remembered.move_to_end(digest)
        if len(self._remembered) > _REMEMBERED_MAX:
            self._remembered.popitem(last=False)

    def _digest_of(self, account: Account, password: Secret) -> bytes:
        return hmac.digest(self._key, f"{account.name}\0{password.reveal()}".encode(), "sha256")

    # ---- what is stored anew

    def _upgrade(self, account: Account, own: Sequence[Password], password: Secret) -> None:
        """Store the account's own password as it would be stored today, where that is another form; not waited for."""
        store = self._directory.lookup
        forms = [one.stored.reveal() for one in own]
        plain = [form for form in forms if not form.startswith(PREFIX)]
        good = any(not needs_upgrade(form, self._cost) for form in plain)
        has_keys = len(plain) < len(forms)
        if (good and (has_keys or not self._settings.scram)) or not isinstance(store, PasswordStore):
            return
        task = asyncio.get_running_loop().create_task(self._store_anew(store, account, forms, password))
        self._upgrades.add(task)
        task.add_done_callback(self._upgrades.discard)

    async def _store_anew(
        self, store: PasswordStore, account: Account, before: Sequence[str], password: Secret
    ) -> None:
        def run() -> None:
            keys = [form for form in before if form.startswith(PREFIX)]
            if not keys and self._settings.scram:
                keys = [make_scram(password.reveal(), self._cost)]
            store.replace_stored(account.name, "", before, [make(password.reveal(), self._cost), *keys])

        try:
            await asyncio.get_running_loop().run_in_executor(self._pool, run)
        except (
            PymtaError,
            OSError,
        ) as error:  # the login was right all the same, and the next one tries again
            self._on_trouble("storing a password in a better form", error)

    def _of_nobody(self) -> str:
        """Called in a thread: the first one makes it, which takes as long as a login does."""
        if not self._nobody_made:
            self._nobody, self._nobody_made = make(secrets.token_urlsafe(18), self._cost), True
        return self._nobody


def _matching(
    stored: Sequence[Password], password: str, of_nobody: Callable[[], str], cost: HashCost
) -> str | None:
    """The label of the password that it is; None for none, after at least one hash of today's cost."""
    hashed = False
    # Those for applications are quick to verify (they are long and random), so they come first.
    for one in sorted(stored, key=lambda one: (not one.label, one.stored.reveal().startswith(PREFIX))):
        form = one.stored.reveal()
        if form.startswith(PREFIX) and hashed:
            continue  # the same password, in the form that is dear and not for this
        if verify(form, password):
            return one.label
        hashed = hashed or (_is_dear(form) and not needs_upgrade(form, cost))
    if not hashed:
        verify(of_nobody(), password)
    return None


def _is_dear(form: str) -> bool:
    try:
        return scheme_of(form) == "argon2id"
    except ValueError:
        return False


def _digest_of_stored(stored: Sequence[Password]) -> bytes:
    return hashlib.sha256("\0".join(one.stored.reveal() for one in stored).encode()).digest()


def _lower_priority() -> None:
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
