"""
Changes to the directory in SQLite: what the command line does, each change one transaction.

Rule: what is written is canonical and consistent (a name is one person's, a target can be reached, nothing points into
the void), so that the server has nothing to check. What cannot be done is an `EntryProblem`, in one line.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Final

import apsw
import msgspec

from pymta.directory.database import DirectoryBusy, open_for_writing
from pymta.directory.identity import InvalidAddress, canonical_address, folder_of
from pymta.directory.nouns import Account, Alias, Domain
from pymta.mail.errors import PymtaError
from pymta.mail.names import InvalidName, canonical_name

__all__ = ["DirectoryEditor", "EntryProblem"]

TARGETS_MAX: Final = 1000
LABEL_OCTETS_MAX: Final = 64
_ACCOUNT: Final = "name, addresses, quota_octets, quota_messages, mail_folder, suspended, receives_mail"  # as `_account` takes them

_list_of = msgspec.json.Decoder(tuple[str, ...])


class EntryProblem(PymtaError):
    """An entry that cannot be made, changed or removed; the text says why, in one line."""


class DirectoryEditor:
    """One open directory. Errors: `EntryProblem`, and those of `database.open_for_writing`."""

    def __init__(self, file: Path) -> None:
        """*file* is made where it does not exist."""
        self._connection = open_for_writing(file)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    # ---- domains

    def domains(self) -> list[tuple[Domain, int, int]]:
        """All domains in order of name, each with how many accounts and aliases it has."""
        rows = self._rows(
            "SELECT name, catch_all, suspended, (SELECT count(*) FROM accounts WHERE domain = domains.name),"
            " (SELECT count(*) FROM aliases WHERE domain = domains.name) FROM domains ORDER BY name"
        )
        return [
            (Domain(name=n, catch_all=_list_of.decode(c), suspended=bool(s)), accounts, aliases)
            for n, c, s, accounts, aliases in rows
        ]

    def domain(self, name: str) -> Domain:
        """The domain of that name in any spelling."""
        name = _domain_name(name)
        for domain, _, _ in self.domains():
            if domain.name == name:
                return domain
        raise EntryProblem(f"no domain {name}")

    def add_domain(self, name: str) -> Domain:
        """A new domain without addresses."""
        domain = Domain(name=_domain_name(name))
        with self._change():
            if self._rows("SELECT 1 FROM domains WHERE name = ?", domain.name):
                raise EntryProblem(f"there is a domain {domain.name} already")
            self._run("INSERT INTO domains (name, created_ms) VALUES (?, ?)", domain.name, _now_ms())
        return domain

    def set_domain(self, name: str, *, catch_all: Sequence[str] | None, suspended: bool | None) -> Domain:
        """Change what is not None."""
        with self._change():
            domain = self.domain(name)
            if catch_all is not None:
                targets = self._targets(catch_all)
                self._run("UPDATE domains SET catch_all = ? WHERE name = ?", _json(targets), domain.name)
            if suspended is not None:
                self._run("UPDATE domains SET suspended = ? WHERE name = ?", int(suspended), domain.name)
            return self.domain(name)

    def remove_domain(self, name: str) -> None:
        """Remove a domain that has no addresses any more."""
        with self._change():
            domain = self.domain(name).name
            for noun, query in (
                ("accounts", "SELECT count(*) FROM accounts WHERE domain = ?"),
                ("aliases", "SELECT count(*) FROM aliases WHERE domain = ?"),
            ):
                count = self._rows(query, domain)[0][0]
                if count:
                    raise EntryProblem(f"{domain} has {count} {noun}: remove them first")
            self._run("DELETE FROM domains WHERE name = ?", domain)

    # ---- accounts

    def accounts(self, domain: str | None = None) -> list[Account]:
        """All accounts, or those of a domain, in order of name."""
        query = f"SELECT {_ACCOUNT} FROM accounts"  # noqa: S608 - columns of ours
        rows = (
            self._rows(f"{query} ORDER BY name")
            if domain is None
            else self._rows(f"{query} WHERE domain = ? ORDER BY name", _domain_name(domain))
        )
        return [_account(row) for row in rows]

    def account(self, name: str) -> Account:
        """The account of that name in any spelling."""
        name = _address(name)
        query = f"SELECT {_ACCOUNT} FROM accounts WHERE name = ?"  # noqa: S608 - likewise
        for row in self._rows(query, name):
            return _account(row)
        raise EntryProblem(f"no account {name}")

    def check_new_account(self, name: str) -> None:
        """EntryProblem where `add_account` could not add it."""
        name = _address(name)
        self.domain(name.rpartition("@")[2])
        if self._rows("SELECT 1 FROM accounts WHERE name = ?", name):
            raise EntryProblem(f"there is an account {name} already")

    def add_account(self, name: str, stored_passwords: Iterable[str] = (), **options: Any) -> Account:
        """
        A new account.

        Args:
            name: Its address, in a domain of the directory.
            stored_passwords: What it logs in with, in stored forms (one for PLAIN, one for SCRAM); none for no login.
            options: As for `set_account`.
        """
        name = _address(name)
        domain = name.rpartition("@")[2]
        with self._change():
            self.check_new_account(name)
            self._run(
                "INSERT INTO accounts (name, domain, mail_folder, created_ms) VALUES (?, ?, ?, ?)",
                name,
                domain,
                folder_of(name),
                _now_ms(),
            )
            self._store(name, "", stored_passwords)
            return self._set_account(name, **options)

    def set_account(self, name: str, **options: Any) -> Account:
        """
        Change an account.

        Args:
            name: Which.
            options: `addresses`, `quota_octets`, `quota_messages`, `mail_folder`, `suspended`, `receives_mail`; absent: as it
                is.
        """
        with self._change():
            return self._set_account(self.account(name).name, **options)

    def _set_account(self, name: str, **options: Any) -> Account:
        for option, value in options.items():
            match option:
                case "addresses":
                    kept: Any = _json(_own_address(one) for one in value)
                case "quota_octets" | "quota_messages":
                    kept = value
                case "mail_folder":
                    kept = _folder(value) if value else folder_of(name)
                case "suspended" | "receives_mail":
                    kept = int(value)
                case _:
                    raise TypeError(f"an account has no option {option}")
            try:
                self._run(f"UPDATE accounts SET {option} = ? WHERE name = ?", kept, name)  # noqa: S608 - its name is one of those above
            except apsw.ConstraintError:
                raise EntryProblem(f"the mail folder {kept} is another account's") from None
        return self.account(name)

    def remove_account(self, name: str) -> Account:
        """Remove an account; its mail stays. Refused while an alias needs it."""
        with self._change():
            account = self.account(name)
            for alias in self.aliases():
                if account.name in alias.targets and alias.address != account.name:
                    raise EntryProblem(f"{alias.address} leads to {account.name}: change that alias first")
            self._run("DELETE FROM accounts WHERE name = ?", account.name)
            return account

    # ---- passwords

    def set_password(self, name: str, label: str, stored_passwords: Iterable[str]) -> Account:
        """Replace the account's own password (label empty), or make or replace one for an application."""
        if len(label.encode()) > LABEL_OCTETS_MAX or not label.isprintable():
            raise EntryProblem(f"expected a label of at most {LABEL_OCTETS_MAX} printable octets")
        with self._change():
            account = self.account(name)
            self._run("DELETE FROM passwords WHERE account = ? AND label = ?", account.name, label)
            self._store(account.name, label, stored_passwords)
            return account

    def remove_password(self, name: str, label: str) -> None:
        """Remove a password; the account's own has an empty label."""
        with self._change():
            account = self.account(name)
            if label not in self.password_labels(account.name):
                raise EntryProblem(f"{account.name} has no password {label!r}")
            self._run("DELETE FROM passwords WHERE account = ? AND label = ?", account.name, label)

    def replace_stored(self, name: str, label: str, before: Iterable[str], after: Iterable[str]) -> bool:
        """Store a password in better forms; False, and nothing done, where it was changed since *before* was read."""
        query = "SELECT stored FROM passwords WHERE account = ? AND label = ?"
        with self._change():
            if sorted(before) != sorted(stored for (stored,) in self._rows(query, name, label)):
                return False
            self._run("DELETE FROM passwords WHERE account = ? AND label = ?", name, label)
            self._store(name, label, after)
            return True

    def password_labels(self, name: str) -> list[str]:
        """The labels of an account's passwords; an empty one is its own."""
        rows = self._rows(
            "SELECT DISTINCT label FROM passwords WHERE account = ? ORDER BY label", _address(name)
        )
        return [label for (label,) in rows]

    def _store(self, name: str, label: str, stored_passwords: Iterable[str]) -> None:
        for stored in stored_passwords:
            self._run(
                "INSERT INTO passwords VALUES (?, ?, ?, ?, ?)",
                name,
                label,
                _scheme(stored),
                stored,
                _now_ms(),
            )

    # ---- aliases

    def aliases(self, domain: str | None = None) -> list[Alias]:
        """All aliases, or those of a domain, in order of address."""
        query = "SELECT address, targets, members_may_send FROM aliases"
        rows = (
            self._rows(f"{query} ORDER BY address")
            if domain is None
            else self._rows(f"{query} WHERE domain = ? ORDER BY address", _domain_name(domain))
        )
        return [Alias(address=a, targets=_list_of.decode(t), members_may_send=bool(m)) for a, t, m in rows]

    def alias(self, address: str) -> Alias:
        """The alias of that address in any spelling."""
        address = _address(address)
        for alias in self.aliases():
            if alias.address == address:
                return alias
        raise EntryProblem(f"no alias {address}")

    def add_alias(
        self, address: str, targets: Sequence[str], *, members_may_send: bool | None = None
    ) -> Alias:
        """
        A new alias.

        Args:
            address: In a domain of the directory.
            targets: At least one; those in our domains must exist.
            members_may_send: None for yes where there is one target, no for a group.
        """
        address = _address(address)
        domain = address.rpartition("@")[2]
        with self._change():
            self.domain(domain)
            if self._rows("SELECT 1 FROM aliases WHERE address = ?", address):
                raise EntryProblem(f"there is an alias {address} already")
            found = self._targets(targets, unless=address)
            has_account = bool(self._rows("SELECT 1 FROM accounts WHERE name = ?", address))
            if has_account and address not in found:
                raise EntryProblem(
                    f"{address} is an account, which would get no mail any more; to keep a copy, name it as a target too"
                )
            if not has_account and address in found:
                raise EntryProblem(f"{address} leads to itself, and there is no account of that name")
            may = len(found) == 1 if members_may_send is None else members_may_send
            self._run(
                "INSERT INTO aliases VALUES (?, ?, ?, ?, ?)",
                address,
                domain,
                _json(found),
                int(may),
                _now_ms(),
            )
        return self.alias(address)

    def set_alias(
        self, address: str, *, targets: Sequence[str] | None, members_may_send: bool | None
    ) -> Alias:
        """Change what is not None."""
        with self._change():
            alias = self.alias(address)
            if targets is not None:
                found = self._targets(targets)
                self._run("UPDATE aliases SET targets = ? WHERE address = ?", _json(found), alias.address)
            if members_may_send is not None:
                self._run(
                    "UPDATE aliases SET members_may_send = ? WHERE address = ?",
                    int(members_may_send),
                    alias.address,
                )
            return self.alias(address)

    def remove_alias(self, address: str) -> None:
        """Remove an alias."""
        with self._change():
            self._run("DELETE FROM aliases WHERE address = ?", self.alias(address).address)

    def _targets(self, targets: Sequence[str], unless: str = "") -> list[str]:
        """Canonical targets, each once; those in our domains exist."""
        found = list(dict.fromkeys(map(_address, targets)))
        if len(found) > TARGETS_MAX:
            raise EntryProblem(f"expected at most {TARGETS_MAX} targets")
        for target in found:
            domain = target.rpartition("@")[2]
            ours = self._rows("SELECT 1 FROM domains WHERE name = ?", domain)
            if not ours or target == unless:
                continue
            query = "SELECT 1 FROM accounts WHERE name = ?1 UNION SELECT 1 FROM aliases WHERE address = ?1"
            if not self._rows(query, target):
                raise EntryProblem(f"{target} is neither an account nor an alias of ours")
        return found

    # ---- the file

    @contextmanager
    def _change(self) -> Iterator[None]:
        try:
            # Not `with connection`, which begins a transaction that two writers can deadlock in.
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except apsw.Error as error:
            raise DirectoryBusy(str(error)) from error

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(query, values).fetchall()
        except apsw.Error as error:
            raise DirectoryBusy(str(error)) from error

    def _run(self, query: str, *values: object) -> None:
        self._connection.execute(query, values)


def _account(row: tuple[Any, ...]) -> Account:
    name, addresses, quota_octets, quota_messages, folder, suspended, receives = row
    return Account(
        name=name,
        addresses=_list_of.decode(addresses),
        quota_octets=quota_octets,
        quota_messages=quota_messages,
        mail_folder=folder,
        suspended=bool(suspended),
        receives_mail=bool(receives),
    )


def _scheme(stored: str) -> str:
    """Which of the two forms of a password this is: each is kept once."""
    return "scram" if stored.startswith("{SCRAM-") else "plain"


def _domain_name(text: str) -> str:
    try:
        name = canonical_name(text)
    except InvalidName as error:
        raise EntryProblem(str(error)) from None
    if "." not in name and name != "localhost":
        raise EntryProblem(f"expected a domain such as example.org, got {text!r}")
    return name


def _address(text: str) -> str:
    try:
        return canonical_address(text)
    except InvalidAddress as error:
        raise EntryProblem(str(error)) from None


def _own_address(text: str) -> str:
    """An address, or `@example.org` for a whole domain."""
    return f"@{_domain_name(text[1:])}" if text.startswith("@") else _address(text)


def _folder(text: str) -> str:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in text:
        raise EntryProblem(f"expected a path below the mailboxes' root, got {text!r}")
    return str(path)


def _json(values: Iterable[str]) -> str:
    return msgspec.json.encode(list(values)).decode()


def _now_ms() -> int:
    return int(time.time() * 1000)
