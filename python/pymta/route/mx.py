"""
Routing by MX records: RFC 5321 §5.1, null MX (RFC 7505), address literals, and loops.

What the DNS says becomes hosts or a reply; nothing is tried. Rule: "cannot tell" is 4yz and is never taken for "no";
"no" is 5yz and is never asked for again and again.
"""

import asyncio
import ipaddress
from collections.abc import Iterable
from itertools import groupby
from random import Random

from pymta._core import Reply
from pymta.dns import (
    Found,
    InvalidName,
    MxRecord,
    NoData,
    NxDomain,
    Resolver,
    Unavailable,
    canonical_name,
)
from pymta.route.hosts import Host, is_no_place_for_mail
from pymta.route.settings import RouterSettings
from pymta.route.trace import Trace


class MxHosts:
    """
    What MX records lead to: all names for the site, and the hosts to try, best first.

    Equal preferences are in random order (RFC 5321 §5.1). `is_implicit`: there was no MX record.
    """

    __slots__ = ("hosts", "is_implicit", "names")

    def __init__(self, names: list[str], hosts: list[Host], *, is_implicit: bool) -> None:
        self.names = names
        self.hosts = hosts
        self.is_implicit = is_implicit


async def mx_hosts(
    domain: str, port: int, *, resolver: Resolver, settings: RouterSettings, random: Random, trace: Trace
) -> MxHosts | Reply:
    """
    The hosts for *domain* (canonical), or why there are none.

    Replies: 4.4.3 the DNS could not be asked; 5.1.2 no such domain; 5.1.10 it takes no mail; 5.4.4 none of its hosts
    has an address; 5.4.6 its best host is ourselves.
    """
    answer = await resolver.mx(domain)
    trace.answered(f"MX {domain}", answer)
    if isinstance(answer, Unavailable):
        return _cannot_tell(domain, answer.cause)
    if isinstance(answer, NxDomain):
        return Reply(550, "5.1.2", f"domain {domain} does not exist")
    is_implicit = isinstance(answer, NoData)
    records = answer.records if isinstance(answer, Found) else (MxRecord(0, domain),)
    if is_implicit:
        trace.note("rule", domain, "no MX record: its own addresses are used (RFC 5321 §5.1)")
    elif all(not record.host for record in records):
        return Reply(556, "5.1.10", f"domain {domain} does not accept mail (null MX)")
    best = _usable_names(records, trace)
    if not best:
        return Reply(550, "5.4.4", f"no MX record of {domain} names a host")
    names = [record.host for record in best]
    chosen = _in_order(_better_than_ourselves(best, settings, trace), random, trace, settings.mx_hosts_max)
    if not chosen:
        return _loop(domain)
    hosts = await _Lookup(port, resolver, settings, trace).hosts(domain, chosen)
    return hosts if isinstance(hosts, Reply) else MxHosts(names, hosts, is_implicit=is_implicit)


def literal_host(literal: str, port: int, *, settings: RouterSettings) -> Host | Reply:
    """The host that an address literal in brackets names (RFC 5321 §4.1.3), or why it is none."""
    text = literal[1:-1]
    text = text[5:] if text[:5].lower() == "ipv6:" else text
    try:
        address = str(ipaddress.ip_address(text))
    except ValueError:
        return Reply(550, "5.1.2", f"address literal {literal[:80]} is not supported")
    if settings.ourselves.listens_on(address, port):
        return _loop(literal)
    if not settings.loopback_allowed and is_no_place_for_mail(address):
        return Reply(550, "5.4.4", f"mail cannot be sent to {literal}")
    return Host(address, (address,), port)


# ---- by name ------------------------------------------------------------------------------------------------------


def _usable_names(records: Iterable[MxRecord], trace: Trace) -> list[MxRecord]:
    """Each host once, with its best preference; what is no host name is dropped."""
    best: dict[str, MxRecord] = {}
    for record in sorted(records):
        try:
            host = canonical_name(record.host)
        except InvalidName:
            # Also a null MX beside others, which RFC 7505 §3 forbids; the others show that mail is wanted.
            trace.note("drop", record.host or ".", "not a host name")
            continue
        best.setdefault(host, MxRecord(record.preference, host))
    return list(best.values())


def _better_than_ourselves(records: list[MxRecord], settings: RouterSettings, trace: Trace) -> list[MxRecord]:
    """Only what has a better preference than we have (RFC 5321 §5.1): the others would send it back to us."""
    ours = min(
        (record.preference for record in records if settings.ourselves.is_named(record.host)), default=None
    )
    if ours is None:
        return records
    trace.note("drop", f"preference {ours} and worse", "one of those hosts has our name")
    return [record for record in records if record.preference < ours]


def _in_order(records: list[MxRecord], random: Random, trace: Trace, hosts_max: int) -> list[MxRecord]:
    chosen = sorted(records, key=lambda record: (record.preference, random.random()))
    if len(chosen) > hosts_max:
        trace.note("limit", f"{len(chosen)} MX hosts", f"the best {hosts_max} are looked at")
    return chosen[:hosts_max]


# ---- by address ---------------------------------------------------------------------------------------------------


class _Lookup:
    """The addresses of one domain's MX hosts, with what was dropped and why."""

    def __init__(self, port: int, resolver: Resolver, settings: RouterSettings, trace: Trace) -> None:
        self._port = port
        self._resolver = resolver
        self._settings = settings
        self._trace = trace
        self._trouble = ""
        self._found_ourselves = False

    async def hosts(self, domain: str, chosen: list[MxRecord]) -> list[Host] | Reply:
        """
        The hosts with addresses, in the order of *chosen*.

        Preference groups are asked as a whole, because one of them may turn out to be ourselves and then none of its
        group counts; worse groups are left alone once there is a host for every hop.
        """
        hosts: list[Host] = []
        for _, group in groupby(chosen, key=lambda record: record.preference):
            found = await asyncio.gather(*(self._host(record.host) for record in group))
            if self._found_ourselves:
                break
            hosts += [host for host in found if host is not None]
            if len(hosts) >= self._settings.addresses_max:
                break
        if hosts:
            return hosts
        if self._trouble:
            return _cannot_tell(domain, self._trouble)
        if self._found_ourselves:
            return _loop(domain)
        return Reply(550, "5.4.4", f"no host for {domain} has an address that mail can be sent to")

    async def _host(self, name: str) -> Host | None:
        answer = await self._resolver.addresses(name, self._settings.address_families)
        self._trace.answered(f"addresses of {name}", answer)
        if isinstance(answer, Unavailable):
            self._trouble = f"{name}: {answer.cause}"
            return None
        if not isinstance(answer, Found):
            return None
        if any(self._settings.ourselves.listens_on(address, self._port) for address in answer.records):
            self._trace.note("drop", name, "we listen on its address: it and what is no better are dropped")
            self._found_ourselves = True
            return None
        usable = answer.records
        if not self._settings.loopback_allowed:
            usable = tuple(address for address in usable if not is_no_place_for_mail(address))
            for address in set(answer.records) - set(usable):
                self._trace.note("drop", f"{name} {address}", "no address of a mail host")
        return Host(name, usable, self._port) if usable else None


def _loop(domain: str) -> Reply:
    return Reply(554, "5.4.6", f"mail for {domain} loops back to myself")


def _cannot_tell(domain: str, cause: str) -> Reply:
    return Reply(451, "4.4.3", f"the DNS gives no answer about {domain} now: {cause}")
