"""
A directory in memory: what a file was read into, and what tests are given.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Final

from pymta.directory.identity import canonical_address
from pymta.directory.nouns import Account, Alias, Domain, Password
from pymta.mail.names import canonical_name

__all__ = ["TableLookup"]

# What a domain's keys for SCRAM look like is judged by so many.
SAMPLE_MAX: Final = 512


class TableLookup:
    """`Lookup` over tables that are made once."""

    def __init__(
        self,
        domains: Iterable[Domain | str] = (),
        accounts: Iterable[Account | str] = (),
        aliases: Iterable[Alias] = (),
        passwords: Mapping[str, Sequence[Password]] | None = None,
    ) -> None:
        """
        Args:
            domains: A name stands for a domain of that name.
            accounts: An address stands for an account of that name.
            aliases: In any order.
            passwords: By the account's name.
        """
        named = (Domain(name=canonical_name(d)) if isinstance(d, str) else d for d in domains)
        self._domains = {domain.name: domain for domain in named}
        people = (Account(name=canonical_address(a)) if isinstance(a, str) else a for a in accounts)
        self._accounts = {account.name: account for account in people}
        self._aliases = {alias.address: alias for alias in aliases}
        self._passwords = dict(passwords or {})

    def domain(self, name: str) -> Domain | None:
        return self._domains.get(name)

    def account(self, name: str) -> Account | None:
        return self._accounts.get(name)

    def alias(self, address: str) -> Alias | None:
        return self._aliases.get(address)

    def passwords(self, account: str) -> Sequence[Password]:
        return self._passwords.get(account, ())

    def scram_sample(self, domain: str) -> Sequence[str]:
        """Stored keys for SCRAM of the domain's accounts, the first `SAMPLE_MAX` as they are written."""
        return self._scram_samples.get(domain, ())

    @cached_property
    def _scram_samples(self) -> dict[str, list[str]]:
        samples: dict[str, list[str]] = {}
        for account, passwords in self._passwords.items():
            sample = samples.setdefault(account.rpartition("@")[2], [])
            keys = (one.stored.reveal() for one in passwords if not one.label)
            sample += [stored for stored in keys if stored.startswith("{SCRAM-") and len(sample) < SAMPLE_MAX]
        return samples
