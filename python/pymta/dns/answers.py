"""
What the DNS can say, as values, and the Protocol of whoever can be asked.

Permanence is the type of the answer and never a second flag: `Found`, `NoData` and `NxDomain` are what the DNS holds;
`Unavailable` says nothing about the name, only that nobody could tell now (RFC 2308 §7).
"""

from typing import Generic, Literal, Protocol, TypeVar

import msgspec

T = TypeVar("T")

Families = Literal["both", "ipv4", "ipv6"]


class MxRecord(msgspec.Struct, frozen=True, order=True):
    """One MX record (RFC 5321 §5.1). *host* is canonical, without a final dot; empty for the root (RFC 7505)."""

    preference: int
    host: str


class Found(msgspec.Struct, Generic[T], frozen=True):
    """
    The records of a name.

    *ttl_s* is the smallest TTL on the way, as answered; *expires_ms* is when we forget it, inside the cache's limits.
    *canonical_name* is where the aliases led. *authenticated*: a trusted resolver vouched for it with DNSSEC.
    """

    records: tuple[T, ...]
    ttl_s: int
    expires_ms: int
    canonical_name: str
    authenticated: bool = False


class NoData(msgspec.Struct, frozen=True):
    """The name exists and has no record of that type (RFC 2308 §2.2)."""

    ttl_s: int
    expires_ms: int
    canonical_name: str
    authenticated: bool = False


class NxDomain(msgspec.Struct, frozen=True):
    """The name does not exist, nor anything below it (RFC 2308 §2.1, RFC 8020)."""

    ttl_s: int
    expires_ms: int
    canonical_name: str
    authenticated: bool = False


class Unavailable(msgspec.Struct, frozen=True):
    """Nobody could say: time over, SERVFAIL, REFUSED, an alias loop, or too many questions of ours at once."""

    cause: str
    ttl_s: int
    expires_ms: int


Answer = Found[T] | NoData | NxDomain | Unavailable


class Resolver(Protocol):
    """
    Whoever answers DNS questions: the network in production, `pymta.testing.FakeResolver` in tests.

    Names are taken as `canonical_name` makes them. No method raises for what the DNS says or fails to say.
    """

    async def mx(self, domain: str) -> Answer[MxRecord]:
        """The MX records, the lowest preference first; a null MX is a record with an empty host."""

    async def addresses(self, host: str, families: Families = "both") -> Answer[str]:
        """The IPv4 and IPv6 addresses as text, IPv4 first; `Found` also where only one family could be asked."""

    async def txt(self, name: str) -> Answer[bytes]:
        """The TXT records, the character-strings of each joined without anything between (RFC 7208 §3.3)."""

    async def ptr(self, address: str) -> Answer[str]:
        """The names that the reverse tree has for an IP address."""


def both_families(ipv4: Answer[str], ipv6: Answer[str]) -> Answer[str]:
    """
    One answer of the two that an address question needs.

    Records of one family count even where the other is unavailable, but only until that may be asked again. A
    negative answer needs both: "no IPv4" and "cannot tell about IPv6" is unavailable, or mail would be returned for a
    resolver's bad minute.
    """
    expires_ms = min(ipv4.expires_ms, ipv6.expires_ms)
    ttl_s = min(ipv4.ttl_s, ipv6.ttl_s)
    found = [answer for answer in (ipv4, ipv6) if isinstance(answer, Found)]
    if found:
        return Found(
            records=tuple(address for answer in found for address in answer.records),
            ttl_s=ttl_s,
            expires_ms=expires_ms,
            canonical_name=found[0].canonical_name,
            authenticated=all(not isinstance(a, Unavailable) and a.authenticated for a in (ipv4, ipv6)),
        )
    for answer in (ipv4, ipv6):
        if isinstance(answer, Unavailable):
            return answer
    # An authoritative NXDOMAIN holds for every type; a server that says it for one type only is broken, and NODATA is
    # then the more careful reading. Both are permanent.
    return ipv6 if isinstance(ipv4, NxDomain) else ipv4
