"""
A directory in a TOML file: for a handful of accounts that live with the configuration, and for those who generate it.

    [domains."example.org"]
    catch_all = ["alice@example.org"]

    [accounts."alice@example.org"]
    password = "$argon2id$…"                   # what `pymta account` stores, or any form that auth/schemes.py knows
    scram = "{SCRAM-SHA-256}…"                 # for SCRAM, if that is wanted
    app_passwords = { phone = "{SSHA256}…" }
    quota_octets = 2_000_000_000

    [aliases."info@example.org"]
    targets = ["alice@example.org"]

Read as a whole, at the start and at a reload, into a `TableLookup`; the server never writes it, so passwords are not
stored anew. Rule: what is wrong is a ConfigError with file, line and key.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec

from pymta.config import toml_lines
from pymta.directory.identity import canonical_address
from pymta.directory.nouns import QUOTA_MESSAGES_MAX, QUOTA_OCTETS_MAX, Account, Alias, Domain, Password
from pymta.directory.table import TableLookup
from pymta.mail.errors import ConfigError
from pymta.mail.names import canonical_name
from pymta.mail.secret import Secret

__all__ = ["read_directory"]

FILE_OCTETS_MAX: Final = 64 * 1024 * 1024

T = TypeVar("T")


class _Domain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    catch_all: tuple[str, ...] = ()
    suspended: bool = False


class _Account(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    password: str = ""
    scram: str = ""
    app_passwords: dict[str, str] = {}
    addresses: tuple[str, ...] = ()
    quota_octets: Annotated[int, msgspec.Meta(ge=1, le=QUOTA_OCTETS_MAX)] | None = None
    quota_messages: Annotated[int, msgspec.Meta(ge=1, le=QUOTA_MESSAGES_MAX)] | None = None
    mail_folder: str = ""
    suspended: bool = False
    receives_mail: bool = True


class _Alias(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    targets: tuple[str, ...]
    members_may_send: bool | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    domains: dict[str, _Domain] = {}
    accounts: dict[str, _Account] = {}
    aliases: dict[str, _Alias] = {}


def read_directory(
    file: Path, *, check_password: Callable[[str], object] = lambda stored: None
) -> TableLookup:
    """
    The entries of a file.

    Args:
        file: See the module.
        check_password: Raises ValueError for what is no stored password.

    Raises:
        ConfigError: The first thing that is wrong.
    """
    text = _read(file)
    return _Reader(file, text, check_password).lookup()


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > FILE_OCTETS_MAX:
            raise ConfigError(f"expected a file of at most {FILE_OCTETS_MAX} octets", file=file)
        return file.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=file) from None
    except UnicodeDecodeError:
        raise ConfigError("expected UTF-8", file=file) from None


class _Reader:
    def __init__(self, file: Path, text: str, check_password: Callable[[str], object]) -> None:
        self._file = file
        self._check_password = check_password
        try:
            tree = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"not TOML: {error}", file=file) from None
        self._lines = toml_lines.lines(text)
        try:
            self._entries = msgspec.convert(tree, _File)
        except msgspec.ValidationError as error:
            path = tuple(re.findall(r"\.([a-z_]+)", str(error).partition(" - at ")[2]))
            raise self._error(path, str(error).partition(" - at ")[0]) from None

    def lookup(self) -> TableLookup:
        entries = self._entries
        domains = self._named("domains", entries.domains, canonical_name)
        accounts = self._named("accounts", entries.accounts, canonical_address)
        aliases = self._named("aliases", entries.aliases, canonical_address)
        known = accounts.keys() | aliases.keys()
        for section, names in (("accounts", accounts), ("aliases", aliases)):
            for name, (written, _) in names.items():
                if name.rpartition("@")[2] not in domains:
                    raise self._error((section, written), f"its domain is none of those in [domains]: {name}")
        return TableLookup(
            [self._domain(name, *entry, domains, known) for name, entry in domains.items()],
            [self._account(name, *entry) for name, entry in accounts.items()],
            [self._alias(name, *entry, domains, known) for name, entry in aliases.items()],
            {name: self._passwords(*entry) for name, entry in accounts.items()},
        )

    def _named(
        self, section: str, entries: Mapping[str, T], canonical: Callable[[str], str]
    ) -> dict[str, tuple[str, T]]:
        """Entries by canonical name, each with its name as written."""
        found: dict[str, tuple[str, T]] = {}
        for written, entry in entries.items():
            try:
                name = canonical(written)
            except ValueError as error:
                raise self._error((section, written), str(error)) from None
            if name in found:
                raise self._error((section, written), f'the same as "{found[name][0]}"')
            found[name] = written, entry
        return found

    def _domain(
        self, name: str, written: str, entry: _Domain, domains: Mapping[str, Any], known: Any
    ) -> Domain:
        targets = self._targets(("domains", written, "catch_all"), entry.catch_all, domains, known)
        return Domain(name=name, catch_all=targets, suspended=entry.suspended)

    def _account(self, name: str, written: str, entry: _Account) -> Account:
        here = ("accounts", written)
        own: list[str] = []
        for address in entry.addresses:
            try:
                whole = address.startswith("@")
                own.append(f"@{canonical_name(address[1:])}" if whole else canonical_address(address))
            except ValueError as error:
                raise self._error((*here, "addresses"), str(error)) from None
        folder = Path(entry.mail_folder)
        if folder.is_absolute() or ".." in folder.parts or "\0" in entry.mail_folder:
            raise self._error((*here, "mail_folder"), "expected a path below the mailboxes' root")
        return Account(
            name=name,
            addresses=tuple(own),
            quota_octets=entry.quota_octets,
            quota_messages=entry.quota_messages,
            mail_folder=entry.mail_folder,
            suspended=entry.suspended,
            receives_mail=entry.receives_mail,
        )

    def _alias(self, name: str, written: str, entry: _Alias, domains: Mapping[str, Any], known: Any) -> Alias:
        here = ("aliases", written)
        targets = self._targets((*here, "targets"), entry.targets, domains, known)
        if not targets:
            raise self._error((*here, "targets"), "expected at least one")
        may_send = len(targets) == 1 if entry.members_may_send is None else entry.members_may_send
        return Alias(address=name, targets=targets, members_may_send=may_send)

    def _targets(
        self, here: toml_lines.Path, targets: tuple[str, ...], domains: Mapping[str, Any], known: Any
    ) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for index, target in enumerate(targets):
            try:
                name = canonical_address(target)
            except ValueError as error:
                raise self._error((*here, index), str(error)) from None
            if name.rpartition("@")[2] in domains and name not in known:
                raise self._error((*here, index), f"{name} is neither an account nor an alias")
            found[name] = None
        return tuple(found)

    def _passwords(self, written: str, entry: _Account) -> list[Password]:
        forms = [("", "password", entry.password), ("", "scram", entry.scram)]
        forms += [(label, "app_passwords", stored) for label, stored in entry.app_passwords.items()]
        found = []
        for label, key, stored in forms:
            if not stored:
                continue
            try:
                self._check_password(stored)
            except ValueError as error:
                raise self._error(("accounts", written, key), str(error)) from None
            found.append(Password(label=label, stored=Secret(stored)))
        return found

    def _error(self, path: toml_lines.Path, problem: str) -> ConfigError:
        option = ".".join(str(part) for part in path)
        return ConfigError(
            problem, file=self._file, line=toml_lines.line_of(self._lines, path), option=option
        )
