"""
What the stations ask of a directory: what does this forward-path stand for, who is that account, is this its address.

The rules are here, once for all sources; a `Lookup` only finds entries. The order in which an address is looked for:

    the address as written  →  without its detail (`account+detail`)  →  postmaster  →  catch-all  →  unknown

At each step an alias comes before an account of the same name, so that one can forward and keep a copy.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Final, TypeVar

import msgspec

from pymta._core import Address
from pymta.directory.identity import InvalidAddress, canonical_address, join, split
from pymta.directory.lookup import Answered, Lookup, NotKnownYet
from pymta.directory.nouns import Account, Domain, LocalDelivery, Password, Resolution, Status
from pymta.directory.srs import Srs
from pymta.mail.errors import TemporaryFailure

__all__ = ["Directory"]

T = TypeVar("T")

# Aliases of aliases of aliases: deeper is a mistake, and a loop in any case (Postfix virtual_alias_recursion_limit).
DEPTH_MAX: Final = 16
# What one forward-path may stand for (Postfix virtual_alias_expansion_limit is 1000).
TARGETS_MAX: Final = 1000
# How often one question may find that something is not known yet.
_FETCHES_MAX: Final = DEPTH_MAX * TARGETS_MAX


_NOT_OURS: Final = Resolution("not_ours")
_UNKNOWN: Final = Resolution("unknown")


class Directory:
    """See the module. One instance a configuration; a reload makes a new one."""

    def __init__(
        self,
        lookup: Lookup,
        *,
        detail_delimiters: str = "+",
        postmaster: str | None = None,
        srs: Srs | None = None,
    ) -> None:
        """
        Args:
            lookup: Finds entries.
            detail_delimiters: Any of these characters begins the detail of a local part; empty for no details.
            postmaster: Where mail for a postmaster goes that has no entry of its own, a bare one too.
            srs: Knows the addresses that forwarded mail went out with; None where there are none.
        """
        self.lookup = lookup
        self._delimiters = detail_delimiters
        self._srs = srs
        self._postmaster = None if postmaster is None else canonical_address(postmaster)

    def resolve(self, forward_path: Address | str, *, followed: Collection[str] = ()) -> Answered[Resolution]:
        """
        What an address stands for. Never raises for what the address is; TemporaryFailure where a source fails.

        Args:
            forward_path: In any spelling.
            followed: Canonical addresses that the message came by already, which are not followed again: who forwards
                and keeps a copy gets the copy, and what comes back ends as "loop".
        """
        return self._answered(lambda: self._resolve(forward_path, followed))

    def domain(self, name: str) -> Answered[Domain | None]:
        """The domain of that canonical name, where it is ours."""
        return self._answered(lambda: self.lookup.domain(name))

    def account(self, name: str) -> Answered[Account | None]:
        """The account of that name, in any spelling; with `suspended` true where its domain is suspended."""
        return self._answered(lambda: self._account(name))

    def passwords(self, account: Account) -> Answered[Sequence[Password]]:
        """The passwords of an account, its own first."""
        return self._answered(lambda: self.lookup.passwords(account.name))

    def may_use(self, account: Account, address: Address | str) -> Answered[bool]:
        """
        Whether *address* is one of the account's own: its name (with any detail), one of `Account.addresses`, or an
        alias that stands for it and lets its members send.
        """
        return self._answered(lambda: self._may_use(account, address))

    # ---- answers that are not there yet

    def _answered(self, question: Callable[[], T]) -> Answered[T]:
        try:
            return question()
        except NotKnownYet as missing:
            return self._fetched(question, missing)

    async def _fetched(self, question: Callable[[], T], missing: NotKnownYet) -> T:
        for _ in range(_FETCHES_MAX):
            await missing.fetch()
            try:
                return question()
            except NotKnownYet as more:
                missing = more
        raise TemporaryFailure("the directory keeps forgetting what it fetched")

    # ---- the rules

    def _account(self, name: str) -> Account | None:
        try:
            local, domain_name = split(name)
        except InvalidAddress:
            return None
        domain = self.lookup.domain(domain_name)
        account = None if domain is None else self.lookup.account(join(local, domain_name))
        if account is not None and domain is not None and domain.suspended:
            return _suspended(account)
        return account

    def _may_use(self, account: Account, address: Address | str) -> bool:
        try:
            local, domain = split(address)
        except InvalidAddress:
            return False
        for candidate in (local, self._base(local)):
            if candidate is None:
                continue
            whole = join(candidate, domain)
            if whole == account.name or whole in account.addresses:
                return True
            alias = self.lookup.alias(whole)
            if alias is not None and alias.members_may_send and account.name in alias.targets:
                return True
        return f"@{domain}" in account.addresses

    def _base(self, local: str) -> str | None:
        """The local part without its detail; None where it has none."""
        at = self._delimiter_at(local)
        return None if at is None else local[:at]

    def _delimiter_at(self, local: str) -> int | None:
        found = [at for d in self._delimiters if (at := local.find(d)) > 0]
        return min(found) if found else None

    def _resolve(self, forward_path: Address | str, before: Collection[str] = ()) -> Resolution:
        start = self._start(forward_path)
        if isinstance(start, Resolution):
            return start
        ours = self.lookup.domain(start[1])
        if ours is None:
            return _NOT_OURS
        if self._srs is not None and start[0].startswith("srs"):
            # As it is written: the canonical form has lost the case of what it stands for.
            origin = self._srs.reverse(Address(str(forward_path)).local_part)
            if origin is not None:
                return Resolution("found", forwards=(origin,))
        if not before and not ours.suspended:
            # By far the most: an account as it is written.
            name = join(*start)
            plain = self.lookup.account(name)
            if plain is not None and plain.receives_mail and self.lookup.alias(name) is None:
                return Resolution("found", (LocalDelivery(plain),))
        deliveries: dict[str, LocalDelivery] = {}
        forwards: dict[str, Address] = {}
        followed: dict[str, None] = dict.fromkeys(before)
        worst: Status = "unknown"
        todo = deque([(*start, "", 0)])
        while todo:
            local, domain_name, detail, depth = todo.popleft()
            domain = self.lookup.domain(domain_name)
            if domain is None:
                address = join(local, domain_name)
                forwards.setdefault(address, Address(address))
                continue
            if domain.suspended:
                worst = "suspended"
                continue
            account, targets, detail = self._find(local, domain, detail, followed)
            if account is not None:
                if account.receives_mail:
                    deliveries.setdefault(account.name, LocalDelivery(account, detail))
                else:
                    worst = "suspended"
            elif targets is not None:
                if depth >= DEPTH_MAX or len(todo) + len(targets) > TARGETS_MAX:
                    worst = "loop"
                    continue
                todo.extend((*split(target), detail, depth + 1) for target in targets)
            elif join(local, domain_name) in followed:
                worst = "loop"
        via = tuple(address for address in followed if address not in before)
        if deliveries or forwards:
            return Resolution("found", tuple(deliveries.values()), tuple(forwards.values()), via=via)
        return Resolution(worst, via=via)

    def _start(self, forward_path: Address | str) -> tuple[str, str] | Resolution:
        try:
            address = Address(forward_path) if isinstance(forward_path, str) else forward_path
            if address.domain:
                return _NOT_OURS if address.is_literal else split(address)
        except ValueError:  # no host name, or characters that no address of ours has
            return self._unreadable(forward_path)
        if self._postmaster is None:
            return _UNKNOWN
        start = split(self._postmaster)
        if self.lookup.domain(start[1]) is None:
            return Resolution("found", forwards=(Address(self._postmaster),))
        return start

    def _unreadable(self, forward_path: Address | str) -> Resolution:
        """An address that has no canonical form is unknown in our domains, and no affair of ours in others."""
        try:
            domain = split(f"x@{str(forward_path).rpartition('@')[2]}")[1]
        except InvalidAddress:
            return _NOT_OURS
        return _NOT_OURS if self.lookup.domain(domain) is None else _UNKNOWN

    def _find(
        self, local: str, domain: Domain, detail: str, followed: dict[str, None]
    ) -> tuple[Account | None, tuple[str, ...] | None, str]:
        """What one address of ours is: an account, or the targets of an alias not *followed* yet; and its detail."""
        base = self._base(local)
        for candidate in (local, base):
            if candidate is None:
                continue
            name = join(candidate, domain.name)
            found = detail if candidate == local else local[len(candidate) + 1 :]
            alias = None if name in followed else self.lookup.alias(name)
            if alias is not None:
                followed[name] = None
                return None, alias.targets, found
            account = self.lookup.account(name)
            if account is not None:
                return account, None, found
        if local == "postmaster" and self._postmaster is not None:
            name = join(local, domain.name)
            if name not in followed and name != self._postmaster:
                followed[name] = None
                return None, (self._postmaster,), detail
        whole = f"@{domain.name}"
        if domain.catch_all and whole not in followed and join(local, domain.name) not in followed:
            followed[whole] = None
            return None, domain.catch_all, detail
        return None, None, detail


def _suspended(account: Account) -> Account:
    """The account as it is while its domain is suspended."""
    return msgspec.structs.replace(account, suspended=True, receives_mail=False)
