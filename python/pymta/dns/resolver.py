"""
The resolver: questions to recursive DNS servers through dnspython, with a cache and single-flight in front.

It is a stub resolver (RFC 9499 §6): no recursion, no validation, no search list; a name is always absolute. Rule: what
a server says or fails to say becomes an `Answer`; nothing about the DNS leaves here as an exception.
"""

import asyncio
import ipaddress
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.nameserver
import dns.rdata
import dns.rdatatype
import dns.rdtypes.ANY.MX
import dns.rdtypes.ANY.PTR
import dns.rdtypes.ANY.TXT
import dns.rdtypes.IN.A
import dns.rdtypes.IN.AAAA
import dns.resolver
import dns.reversename
import msgspec

from pymta.config.settings.dns import DnsSettings
from pymta.dns.answers import Answer, Families, Found, MxRecord, NoData, NxDomain, Unavailable, both_families
from pymta.dns.cache import TtlCache
from pymta.dns.flight import SingleFlight, TooManyFlights

T = TypeVar("T")

Key = tuple[str, dns.rdatatype.RdataType]
Decode = Callable[[list[dns.rdata.Rdata]], list[T]]

# Under every path's MTU, so that no fragment of an answer can be forged (RFC 9715); larger answers come over TCP.
_UDP_OCTETS_MAX = 1232


class ResolverSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a resolver and its cache."""

    servers: tuple[tuple[str, int], ...] = ()
    """(IP address, port) of recursive servers, in the order in which to try them; none: those of resolv.conf(5)."""
    timeout_s: float = 3.0
    """How long one server may take for one try."""
    lookup_s_max: float = 10.0
    """How long one question may take in all: waiting for a socket, other servers, TCP, aliases."""
    cache_entries_max: int = 100_000
    ttl_s_min: int = 5
    """A shorter TTL counts as this, or each message to such a domain would wait for the DNS."""
    ttl_s_max: int = 86_400
    negative_ttl_s_max: int = 300
    failure_ttl_s: int = 5
    """How long "nobody could tell" holds (RFC 9520 §3.2); 0 asks again at once."""
    lookups_waiting_max: int = 2_000
    """Different questions open at once; one more is `Unavailable`."""
    sockets_max: int = 100
    """Questions on the wire at once, each with a socket of its own; the others wait."""
    records_max: int = 100
    """Records of one answer that are kept, of MX the best; Postfix 3.9 keeps 100 of any."""
    aliases_max: int = 10
    """CNAMEs followed for one question; BIND and Unbound follow 11."""
    trust_authenticated: bool | None = None
    """Believe the servers' AD bit (RFC 6840 §5.8). None: only where all of them are on loopback."""

    @classmethod
    def from_settings(cls, settings: DnsSettings) -> "ResolverSettings":
        """What section [dns] says; what it has no option for keeps its default."""
        return cls(
            servers=tuple((server.address, server.port) for server in settings.resolvers),
            timeout_s=settings.timeout_s,
            lookup_s_max=settings.lookup_s_max,
            cache_entries_max=settings.cache_entries_max,
            ttl_s_min=min(5, settings.ttl_s_max),
            ttl_s_max=settings.ttl_s_max,
            negative_ttl_s_max=settings.negative_ttl_s_max,
            failure_ttl_s=settings.failure_ttl_s,
            lookups_waiting_max=settings.lookups_waiting_max,
        )


def wall_clock_ms() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


class StubResolver:
    """
    A `Resolver` over the network.

    All methods run on one loop's thread. Concurrent askers of the same question share one query, and the end of one of
    them does not touch the others.

    Raises:
        ValueError: A server's address is none.
    """

    def __init__(self, settings: ResolverSettings, *, now_ms: Callable[[], int] = wall_clock_ms) -> None:
        self._settings = settings
        self._now_ms = now_ms
        self._cache: TtlCache[Key, Answer[Any]] = TtlCache(settings.cache_entries_max)
        self._flights: SingleFlight[Key, Answer[Any]] = SingleFlight(settings.lookups_waiting_max)
        self._sockets = asyncio.Semaphore(settings.sockets_max)
        self._stub = _stub(settings)
        self.query_count = 0
        """Questions sent to servers (a question tried with several servers counts once)."""

    # ---- Resolver

    async def mx(self, domain: str) -> Answer[MxRecord]:
        return await self._answer(domain, dns.rdatatype.MX, _mx_records)

    async def addresses(self, host: str, families: Families = "both") -> Answer[str]:
        if families == "ipv4":
            return await self._answer(host, dns.rdatatype.A, _ipv4_addresses)
        if families == "ipv6":
            return await self._answer(host, dns.rdatatype.AAAA, _ipv6_addresses)
        ipv4 = self.cached(host, dns.rdatatype.A)
        ipv6 = self.cached(host, dns.rdatatype.AAAA)
        if ipv4 is not None and ipv6 is not None:  # no task where nothing has to be asked
            return both_families(ipv4, ipv6)
        return both_families(
            *await asyncio.gather(self.addresses(host, "ipv4"), self.addresses(host, "ipv6"))
        )

    async def txt(self, name: str) -> Answer[bytes]:
        return await self._answer(name, dns.rdatatype.TXT, _texts)

    async def ptr(self, address: str) -> Answer[str]:
        try:
            name = dns.reversename.from_address(address).to_text(omit_final_dot=True)
        except (dns.exception.DNSException, ValueError):
            return self._unavailable(f"not an IP address: {address[:64]!r}")
        return await self._answer(name, dns.rdatatype.PTR, _names)

    # ---- the machinery

    @property
    def server_names(self) -> tuple[str, ...]:
        """The servers that are asked, as `address port`, for `explain` and the log."""
        return tuple(
            f"{server.answer_nameserver()} port {server.answer_port()}" for server in _servers(self._stub)
        )

    @property
    def cache_counts(self) -> dict[str, int]:
        """entries, hits, misses, evictions, queries, waiting: for the metrics."""
        return {
            "entries": len(self._cache),
            "hits": self._cache.hit_count,
            "misses": self._cache.missed_count,
            "evictions": self._cache.evicted_count,
            "queries": self.query_count,
            "waiting": len(self._flights),
        }

    def flush(self) -> None:
        """Forget all answers; questions in flight go on."""
        self._cache.clear()

    async def aclose(self) -> None:
        """End all questions in flight; who still waits for one is cancelled."""
        await self._flights.aclose()

    def cached(self, name: str, kind: dns.rdatatype.RdataType) -> Answer[Any] | None:
        """What is known without asking."""
        return self._cache.get((name, kind), self._now_ms())

    async def _answer(self, name: str, kind: dns.rdatatype.RdataType, decode: Decode[T]) -> Answer[T]:
        known = self.cached(name, kind)
        if known is not None:
            return known
        try:
            return await self._flights.share((name, kind), lambda: self._ask(name, kind, decode))
        except TooManyFlights:
            return self._unavailable("too many questions at once")

    async def _ask(self, name: str, kind: dns.rdatatype.RdataType, decode: Decode[T]) -> Answer[T]:
        """Ask the servers and remember what they say."""
        answer: Answer[T]
        try:
            async with asyncio.timeout(self._settings.lookup_s_max):
                answer = await self._follow(dns.name.from_text(name, dns.name.root), kind, decode)
        except (TimeoutError, dns.resolver.LifetimeTimeout):
            answer = self._unavailable("timeout")
        except dns.resolver.NoNameservers as error:
            answer = self._unavailable(_cause(error))
        except (dns.exception.DNSException, OSError, UnicodeError) as error:
            answer = self._unavailable(f"{type(error).__name__}: {error}"[:200])
        self._cache.put((name, kind), answer, answer.expires_ms)
        return answer

    async def _follow(
        self, name: dns.name.Name, kind: dns.rdatatype.RdataType, decode: Decode[T]
    ) -> Answer[T]:
        """
        The answer at the end of the aliases.

        A recursive server sends the whole chain (RFC 1034 §5.3.2); an authoritative one stops at its zone's border, and
        then the last target is asked for here. The whole chain counts, so a loop ends whoever draws it out.
        """
        limits = self._settings
        ttl_s, aliases, authenticated = limits.ttl_s_max, 0, self._trusts_servers
        while True:
            exists, response = await self._query(name, kind)
            chain = response.resolve_chaining()
            ttl_s = min(ttl_s, chain.minimum_ttl)
            aliases += len(chain.cnames)
            authenticated = authenticated and bool(response.flags & dns.flags.AD)
            if aliases > limits.aliases_max:
                return self._unavailable("too many aliases")
            canonical = _text(chain.canonical_name)
            if chain.answer is not None:
                ttl_s = max(ttl_s, limits.ttl_s_min)
                records = tuple(decode(list(chain.answer)))[: limits.records_max]
                return Found(records, ttl_s, self._expiry(ttl_s), canonical, authenticated)
            if exists and chain.cnames:
                name = chain.canonical_name
                continue
            ttl_s = max(min(ttl_s, limits.negative_ttl_s_max), limits.ttl_s_min)
            negative = NoData if exists else NxDomain
            return negative(ttl_s, self._expiry(ttl_s), canonical, authenticated)

    async def _query(
        self, name: dns.name.Name, kind: dns.rdatatype.RdataType
    ) -> tuple[bool, dns.message.QueryMessage]:
        """(whether the name exists, the response); dnspython's exceptions where there is no response to be used."""
        async with self._sockets:
            self.query_count += 1
            try:
                answer = await self._stub.resolve(name, kind, raise_on_no_answer=False, search=False)
            except dns.resolver.NXDOMAIN as error:
                response: dns.message.QueryMessage = error.response(name)  # type: ignore[no-untyped-call]  # dnspython's
                return False, response
            return True, answer.response

    @property
    def _trusts_servers(self) -> bool:
        trust = self._settings.trust_authenticated
        if trust is not None:
            return trust
        return all(
            ipaddress.ip_address(server.answer_nameserver()).is_loopback for server in _servers(self._stub)
        )

    def _expiry(self, ttl_s: int) -> int:
        return self._now_ms() + ttl_s * 1000

    def _unavailable(self, cause: str) -> Unavailable:
        ttl_s = self._settings.failure_ttl_s
        return Unavailable(cause, ttl_s, self._expiry(ttl_s))


def _stub(settings: ResolverSettings) -> dns.asyncresolver.Resolver:
    """dnspython's resolver, without its own cache and search list."""
    if settings.servers:
        stub = dns.asyncresolver.Resolver(configure=False)
        stub.nameservers = [
            dns.nameserver.Do53Nameserver(str(ipaddress.ip_address(a)), p) for a, p in settings.servers
        ]
    else:
        try:
            stub = dns.asyncresolver.Resolver()
        except dns.resolver.NoResolverConfiguration:
            # resolv.conf(5): "If no nameserver entries are present, the default is to use the one on the local machine."
            stub = dns.asyncresolver.Resolver(configure=False)
            stub.nameservers = [dns.nameserver.Do53Nameserver("127.0.0.1", 53)]
    stub.timeout = settings.timeout_s
    stub.lifetime = settings.lookup_s_max
    stub.use_edns(0, 0, _UDP_OCTETS_MAX)
    # AD in a question asks for AD in the answer, without the signatures that DO would bring (RFC 6840 §5.7).
    stub.flags = dns.flags.RD | dns.flags.AD
    return stub


def _servers(stub: dns.asyncresolver.Resolver) -> list[dns.nameserver.Nameserver]:
    """The servers as objects; from resolv.conf they are text."""
    return [
        server if isinstance(server, dns.nameserver.Nameserver) else dns.nameserver.Do53Nameserver(server, 53)
        for server in stub.nameservers
    ]


def _cause(error: dns.resolver.NoNameservers) -> str:
    """What the last server's trouble was: SERVFAIL, REFUSED, an alias loop, a system error."""
    errors = error.kwargs.get("errors") or []
    if not errors:
        return "no DNS server answered"
    trouble = errors[-1][3]
    if isinstance(trouble, dns.message.ChainTooLong):
        return "too many aliases"
    return trouble if isinstance(trouble, str) else f"{type(trouble).__name__}: {trouble}"[:200]


# ---- from records to values ---------------------------------------------------------------------------------------


def _text(name: dns.name.Name) -> str:
    """Lower case, no final dot; empty for the root. May hold escapes: `canonical_name` judges what is a host's."""
    return "" if name == dns.name.root else name.to_text(omit_final_dot=True).lower()


def _mx_records(rdatas: list[dns.rdata.Rdata]) -> list[MxRecord]:
    records = cast(list[dns.rdtypes.ANY.MX.MX], rdatas)
    return sorted(MxRecord(record.preference, _text(record.exchange)) for record in records)


def _ipv4_addresses(rdatas: list[dns.rdata.Rdata]) -> list[str]:
    return [record.address for record in cast(list[dns.rdtypes.IN.A.A], rdatas)]


def _ipv6_addresses(rdatas: list[dns.rdata.Rdata]) -> list[str]:
    return [record.address for record in cast(list[dns.rdtypes.IN.AAAA.AAAA], rdatas)]


def _texts(rdatas: list[dns.rdata.Rdata]) -> list[bytes]:
    return [b"".join(record.strings) for record in cast(list[dns.rdtypes.ANY.TXT.TXT], rdatas)]


def _names(rdatas: list[dns.rdata.Rdata]) -> list[str]:
    return [_text(record.target) for record in cast(list[dns.rdtypes.ANY.PTR.PTR], rdatas)]
