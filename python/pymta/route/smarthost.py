"""
Next hops that somebody wrote down: smarthosts, the `next_hops` of a rule, the choice of a policy.

No MX records here. Rule: what is wrong with them is our side's mistake, so mail waits (4.3.5) and is never returned
for it.
"""

import asyncio

from pymta._core import Reply
from pymta.config.values import NextHop
from pymta.dns import Found, InvalidName, Resolver, Unavailable, canonical_name
from pymta.route.hosts import Host
from pymta.route.settings import RouterSettings
from pymta.route.trace import Trace

# Written in one list; each costs two questions.
NEXT_HOPS_MAX = 20


async def written_hosts(
    next_hops: tuple[NextHop, ...], port: int, *, resolver: Resolver, settings: RouterSettings, trace: Trace
) -> list[Host] | Reply:
    """
    The hosts in the order written, without those that have no address now.

    They are not guarded against loopback: who writes 127.0.0.1 means it. A host that is ourselves is dropped.
    """
    looked_at = next_hops[:NEXT_HOPS_MAX]
    found = await asyncio.gather(*(_host(hop, port, resolver, settings, trace) for hop in looked_at))
    hosts = [host for host in found if isinstance(host, Host)]
    if hosts:
        return hosts
    causes = [cause for cause in found if isinstance(cause, str)]
    if all(cause.startswith(_NO_ANSWER) for cause in causes):
        return Reply(451, "4.4.3", f"no next hop can be looked up now: {causes[0]}")
    return Reply(451, "4.3.5", f"no configured next hop can be used: {'; '.join(causes)}")


_NO_ANSWER = "no answer"


async def _host(
    hop: NextHop, port: int, resolver: Resolver, settings: RouterSettings, trace: Trace
) -> Host | str:
    """The host, or why it is of no use."""
    port = hop.port or port
    if hop.is_address:
        addresses: tuple[str, ...] = (hop.host,)
        name = hop.host
    else:
        try:
            name = canonical_name(hop.host)
        except InvalidName as error:
            return str(error)
        answer = await resolver.addresses(name, settings.address_families)
        trace.answered(f"addresses of {name}", answer)
        if isinstance(answer, Unavailable):
            return f"{_NO_ANSWER} about {name} ({answer.cause})"
        if not isinstance(answer, Found):
            return f"{name} has no address"
        addresses = answer.records
    foreign = tuple(address for address in addresses if not settings.ourselves.listens_on(address, port))
    if len(foreign) < len(addresses):
        trace.note("drop", f"{name} port {port}", "we listen there ourselves")
    return Host(name, foreign, port) if foreign else f"{name} port {port} is this server"


def site_of(next_hops: tuple[NextHop, ...], port: int, transport: str) -> str:
    """
    The site of a list: its hosts in the order written, because the order says which is the backup.

    One host on port 25 has the name that an MX record to it would give.
    """
    names = []
    for hop in next_hops:
        hop_port = hop.port or port
        name = f"[{hop.host}]" if ":" in hop.host else hop.host
        names.append(name if hop_port == 25 and transport == "smtp" else f"{name}:{hop_port}")
    site = ",".join(names)
    return site if transport == "smtp" else f"{transport}:{site}"
