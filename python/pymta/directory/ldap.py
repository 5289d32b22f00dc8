"""
A directory in LDAP, read only: entries are fetched when they are asked for, and remembered for a short while.

What a client wrote reaches the server inside a filter only, every octet escaped but letters, digits and a few signs
(RFC 4515 §3), so that no name is read as a filter. One question at a time for each key; a server that does not answer
costs a 451, not an unknown address.

The library (bonsai) is an extra; it is imported here and nowhere else.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from pymta._core import Reply
from pymta.config.settings.ldap import LdapSettings
from pymta.directory.identity import InvalidAddress, canonical_address
from pymta.directory.lookup import NotKnownYet
from pymta.directory.nouns import QUOTA_OCTETS_MAX, Account, Alias, Domain, Password
from pymta.mail.errors import ConfigError, TemporaryFailure
from pymta.mail.secret import Secret

__all__ = ["DirectoryUnreachable", "LdapLookup", "escaped"]

ENTRIES_MAX: Final = 8192
_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@.-_+=")
# An answer that was fetched is there for whoever asked, however short it is remembered.
_REMEMBER_S_MIN: Final = 0.5


class DirectoryUnreachable(TemporaryFailure):
    """The server does not answer, or says something else than it should; the text says what."""

    reply = Reply(451, "4.3.0", "directory not available, try again later")


def escaped(text: str) -> str:
    """Text as an assertion value of a filter (RFC 4515 §3)."""
    return "".join(chr(octet) if octet in _PLAIN else f"\\{octet:02x}" for octet in text.encode())


class LdapLookup:
    """`Lookup` over an LDAP server. Used from one loop only."""

    def __init__(self, settings: LdapSettings, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """
        Raises:
            ConfigError: The extra is not installed, or a setting cannot be used.
        """
        try:
            import bonsai
        except ImportError:
            raise ConfigError(
                'source = "ldap" needs bonsai: pip install "pymta-server[ldap]"', option="directory.source"
            ) from None
        self._errors: tuple[type[Exception], ...] = (bonsai.LDAPError, OSError, asyncio.TimeoutError)
        # A server that locks accounts, or lets passwords end, has more words for no than one.
        self._refusals = (
            bonsai.AuthenticationError,
            bonsai.UnwillingToPerform,
            bonsai.PasswordPolicyError,
            bonsai.NoSuchObjectError,
        )
        self._new_client = bonsai.LDAPClient
        self.verifies_passwords = settings.verify == "bind"
        self._scope = bonsai.LDAPSearchScope.SUBTREE
        self._settings = settings
        self._monotonic = monotonic
        self._domains = {str(domain): Domain(name=str(domain)) for domain in settings.domains}
        self._known: dict[tuple[str, str], tuple[float, Any]] = {}
        self._fetching: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._idle: list[Any] = []
        self._room = asyncio.Semaphore(settings.connections_max)
        # Of their own: who guesses passwords does not hold up the mail.
        self._binds_room = asyncio.Semaphore(settings.connections_max)
        try:
            self._client = self._make_client()
        except (OSError, ValueError, bonsai.LDAPError) as error:
            raise ConfigError(str(error), option="ldap") from None

    def _make_client(self) -> Any:
        """For all questions but whether a password is right."""
        settings = self._settings
        lines = [""]
        if settings.bind_dn and settings.bind_password_file is not None:
            lines = settings.bind_password_file.read_text("utf-8").splitlines() or [""]
        return self._client_as(settings.bind_dn, lines[0])

    def _client_as(self, name: str, password: str) -> Any:
        settings = self._settings
        client = self._new_client(settings.url, settings.starttls)
        if settings.ca_file is not None:
            client.set_ca_cert(str(settings.ca_file))
        if name:
            client.set_credentials("SIMPLE", user=name, password=password)
        return client

    def close(self) -> None:
        """Close all connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    # ---- Lookup

    def domain(self, name: str) -> Domain | None:
        return self._domains.get(name)

    def account(self, name: str) -> Account | None:
        found: Account | None = self._found("account", name)
        return found

    def alias(self, address: str) -> Alias | None:
        if not self._settings.alias_filter:
            return None
        found: Alias | None = self._found("alias", address)
        return found

    def passwords(self, account: str) -> Sequence[Password]:
        if not self._settings.password_attribute or self.verifies_passwords:
            return ()
        found: Sequence[Password] = self._found("passwords", account)
        self._known.pop(("passwords", account), None)  # nothing that one logs in with stays in memory
        return found

    # ---- AsksPasswords

    async def is_password(self, account: str | None, password: Secret) -> bool:
        """
        Whether the server lets one bind as the entry with that password (RFC 4513 §5.1.3).

        Who is unknown costs a bind, too, as an entry that is not there; what the server's own hashing takes longer for one
        that is there is beyond us.
        """
        if not password.reveal():
            return False  # a bind without a password is none, and succeeds (RFC 4513 §5.1.2)
        name = f"cn={secrets.token_hex(8)},{self._settings.base_dn}"
        if account is not None:
            entry_name = await self._entry_name(account)
            if entry_name is None:
                account = None  # gone since it was looked for
            else:
                name = entry_name
        client = self._client_as(name, password.reveal())
        try:
            async with asyncio.timeout(self._settings.timeout_s), self._binds_room:
                connection = await client.connect(is_async=True)
                connection.close()
        except self._refusals:
            return False
        except self._errors as error:
            raise DirectoryUnreachable(
                f"{self._settings.url}: {str(error) or type(error).__name__}"
            ) from error
        return account is not None

    async def _entry_name(self, account: str) -> str | None:
        """The distinguished name of the account's entry."""
        while True:
            try:
                found: str | None = self._found("entry", account)
            except NotKnownYet as missing:
                await missing.fetch()
            else:
                return found

    def _found(self, kind: str, name: str) -> Any:
        key = (kind, name)
        known = self._known.get(key)
        if known is not None and known[0] > self._monotonic():
            return known[1]
        raise NotKnownYet(lambda: self._fetch(key))

    # ---- fetching

    def _fetch(self, key: tuple[str, str]) -> Awaitable[None]:
        task = self._fetching.get(key)
        if task is None:
            task = self._fetching[key] = asyncio.get_running_loop().create_task(self._ask(*key))
            task.add_done_callback(lambda _: self._fetching.pop(key, None))
        return asyncio.shield(task)

    async def _ask(self, kind: str, name: str) -> None:
        settings = self._settings
        attributes = {
            "account": (settings.addresses_attribute, settings.quota_attribute),
            "passwords": (settings.password_attribute,),
            "entry": (),
            "alias": (settings.targets_attribute,),
        }[kind]
        template = settings.alias_filter if kind == "alias" else settings.account_filter
        local, _, domain = name.rpartition("@")
        wanted = template
        for field, value in (("address", name), ("local_part", local), ("domain", domain)):
            wanted = wanted.replace(f"{{{field}}}", escaped(value))
        try:
            # The wait for a place counts: behind a server that hangs, each would else wait longer than the one before.
            async with asyncio.timeout(settings.timeout_s), self._room:
                entries = await self._search(wanted, [one for one in attributes if one] or ["1.1"])
        except self._errors as error:
            raise DirectoryUnreachable(f"{settings.url}: {str(error) or type(error).__name__}") from error
        if len(entries) > 1:
            raise DirectoryUnreachable(f"{settings.url}: {len(entries)} entries for {name}, expected one")
        value = self._value(kind, name, entries[0] if entries else None)
        if len(self._known) >= ENTRIES_MAX:
            self._known.clear()
        until_s = self._monotonic() + max(settings.remember_s, _REMEMBER_S_MIN)
        self._known[kind, name] = (until_s, value)

    async def _search(self, wanted: str, attributes: list[str]) -> list[Any]:
        """One search over a connection that is kept; one that was closed meanwhile is replaced once."""
        for again in (True, False):
            fresh = not self._idle
            connection = await self._client.connect(is_async=True) if fresh else self._idle.pop()
            try:
                entries: list[Any] = await connection.search(
                    self._settings.base_dn, self._scope, wanted, attributes, self._settings.timeout_s
                )
            except BaseException as error:
                with contextlib.suppress(*self._errors):
                    connection.close()
                if again and not fresh and isinstance(error, self._errors):
                    self.close()
                    continue
                raise
            self._idle.append(connection)
            return entries
        raise AssertionError("a search that neither ends nor fails")

    def _value(self, kind: str, name: str, entry: Any) -> Any:
        settings = self._settings
        if kind == "passwords":
            stored = () if entry is None else _texts(entry, settings.password_attribute)
            return [Password(label="", stored=Secret(one)) for one in stored]
        if entry is None:
            return None
        if kind == "entry":
            return str(entry.dn)
        if kind == "alias":
            targets = _addresses(_texts(entry, settings.targets_attribute))
            return (
                Alias(address=name, targets=targets, members_may_send=len(targets) == 1) if targets else None
            )
        quota = next(iter(_texts(entry, settings.quota_attribute)), "")
        return Account(
            name=name,
            addresses=_addresses(_texts(entry, settings.addresses_attribute)),
            quota_octets=min(int(quota), QUOTA_OCTETS_MAX)
            if quota.isascii() and quota.isdigit() and int(quota[:20])
            else None,
        )


def _texts(entry: Any, attribute: str) -> list[str]:
    values = entry.get(attribute, []) if attribute else []
    return [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in values]


def _addresses(texts: Sequence[str]) -> tuple[str, ...]:
    """Those that are addresses, canonical; what an administrator of the server mistyped is nobody's."""
    found = []
    for text in texts:
        with contextlib.suppress(InvalidAddress):
            found.append(canonical_address(text))
    return tuple(dict.fromkeys(found))
