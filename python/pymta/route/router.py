"""
The router: the domain of a forward-path, and what policy chose, to a `Route` or to the reply that says why not.

    what policy chose  →  the first [[routes]] rule  →  smarthosts  →  address literal  →  MX

It knows no message and connects to nobody. Rule: `cached` is all that the common path costs; everything else happens
once per domain and lifetime of the answer, whoever asks at the same time.
"""

from collections.abc import Callable
from random import Random, SystemRandom
from typing import Final, Protocol

import msgspec

from pymta._core import Reply
from pymta.config.settings import Settings
from pymta.config.values import NextHop
from pymta.dns import InvalidName, Resolver, canonical_name
from pymta.dns.cache import TtlCache
from pymta.dns.flight import SingleFlight, TooManyFlights
from pymta.dns.resolver import wall_clock_ms
from pymta.mail.route import Hop, Route, TlsMode
from pymta.mail.verdict import RouteChoice
from pymta.route.hosts import Host, hops_of
from pymta.route.mx import literal_host, mx_hosts
from pymta.route.settings import RouterSettings
from pymta.route.site import site_name
from pymta.route.smarthost import site_of, written_hosts
from pymta.route.table import RouteTable, Rule
from pymta.route.trace import Trace


class LocalDomains(Protocol):
    """Which domains are our own, as far as routing asks."""

    def covers(self, domain: str) -> bool | None:
        """Whether *domain* (as `Router.route` takes it) is one of them; None where that has to be waited for."""

    async def find(self, domain: str) -> bool:
        """`covers`, waited for."""


class _NoLocalDomains:
    """Where there is no directory."""

    def covers(self, domain: str) -> bool | None:
        return False

    async def find(self, domain: str) -> bool:
        return False


_NOTHING_LOCAL: Final = _NoLocalDomains()

# What is delivered here is never remembered: whether it is ours is asked each time.
_ON_THIS_HOST: Final = ("pipe", "mbox")
_LOCAL: Final = Route(
    transport="local", site="local", hops=(), tls=TlsMode.NONE, source=None, expires_ms=0, reason="directory"
)

_Key = str | tuple[str, RouteChoice]

# Domains that are being looked up at once.
_FLIGHTS_MAX = 10_000

# RFC 2033 §5 wants no fixed port; 24 is what "any private mail system" has (RFC 1700) and Postfix assumes.
_LMTP_PORT = 24
_SMTP_PORT = 25

# A temporary reply is kept so long, at most: long enough that a burst of mail asks once, short against any retry.
_TEMPORARY_S_MAX = 5


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided before any host was looked at."""

    transport: str
    next_hops: tuple[NextHop, ...]
    port: int
    tls: TlsMode
    source: str | None
    reason: str
    pattern: str = ""
    command: tuple[str, ...] = ()
    file: str = ""


class Router:
    """
    See the module. One instance per configuration; a reload makes a new one over the same resolver.

    Args:
        settings: Rules, smarthosts, limits.
        resolver: Who is asked for names.
        now_ms: The clock of `Route.expires_ms`, milliseconds since 1970 UTC.
        random: What shuffles hosts of equal preference.
    """

    def __init__(
        self,
        settings: RouterSettings,
        resolver: Resolver,
        *,
        now_ms: Callable[[], int] = wall_clock_ms,
        random: Random | None = None,
        local_domains: LocalDomains = _NOTHING_LOCAL,
    ) -> None:
        self._settings = settings
        self._resolver = resolver
        self.now_ms = now_ms
        self._random = random if random is not None else SystemRandom()
        self._local_domains = local_domains
        self._table = RouteTable(settings.rules)
        self._known: TtlCache[_Key, Route | Reply] = TtlCache(settings.routes_max)
        self._flights: SingleFlight[_Key, Route | Reply] = SingleFlight(_FLIGHTS_MAX)

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        resolver: Resolver,
        *,
        now_ms: Callable[[], int] = wall_clock_ms,
        local_domains: LocalDomains = _NOTHING_LOCAL,
    ) -> "Router":
        """The router of a whole configuration; *now_ms* is the resolver's clock too."""
        return cls(
            RouterSettings.from_settings(settings), resolver, now_ms=now_ms, local_domains=local_domains
        )

    def cached(self, domain: str, choice: RouteChoice | None = None) -> Route | Reply | None:
        """
        The answer where it is known, without waiting; None where `route` has to be asked.

        *domain* is as `route` takes it; nothing is computed here but the look into a table. TemporaryFailure where the
        directory cannot be asked.
        """
        if choice is None:
            local = self._local_domains.covers(domain)
            if local is None:
                return None
            if local and not self._is_routed(domain):
                return _LOCAL
        return self._known.get(domain if choice is None else (domain, choice), self.now_ms())

    async def route(self, domain: str, choice: RouteChoice | None = None) -> Route | Reply:
        """
        Where mail for *domain* goes.

        Args:
            domain: Of a forward-path: any case, A- or U-labels, or an address literal in brackets.
            choice: What policy chose; what is None in it is decided here.

        Returns:
            A route with at least one hop (none for discard and local), or a reply: 4yz to try again, 5yz never.
        """
        known = self.cached(domain, choice)
        if known is not None:
            return known
        key: _Key = domain if choice is None else (domain, choice)
        try:
            return await self._flights.share(key, lambda: self._find(key, domain, choice))
        except TooManyFlights:
            return Reply(451, "4.4.3", "too many domains are being looked up")

    async def decide(self, domain: str, choice: RouteChoice | None, trace: Trace) -> Route | Reply:
        """`route` without its memory, and with each step noted in *trace*: for `explain`."""
        is_chosen = choice is not None and (choice.next_hops or choice.transport)
        if not (is_chosen or self._is_routed(domain)) and await self._local_domains.find(domain):
            trace.note("local", domain or "postmaster", "a domain of the directory")
            return _LOCAL
        try:
            name = domain if domain.startswith("[") else canonical_name(domain)
        except InvalidName as error:
            return Reply(550, "5.1.2", str(error))
        try:
            plan = self._plan(name, choice or RouteChoice(), trace)
        except ValueError as error:
            return Reply(451, "4.3.5", f"policy chose a next hop that is none: {error}")
        if plan.transport == "discard":
            return self._route(plan, "discard", [], plan.reason, trace)
        if plan.transport in _ON_THIS_HOST:
            # One site a table, whatever the domain: its program is bounded, not the domain's mail.
            return self._route(plan, f"{plan.transport}:{plan.pattern}", [], plan.reason, trace)
        if plan.next_hops:
            hosts = await written_hosts(
                plan.next_hops, plan.port, resolver=self._resolver, settings=self._settings, trace=trace
            )
            if isinstance(hosts, Reply):
                return hosts
            return self._route(
                plan, site_of(plan.next_hops, plan.port, plan.transport), hosts, plan.reason, trace
            )
        if plan.transport != "smtp":
            return Reply(451, "4.3.5", f"{plan.transport} needs a next hop, and {plan.reason} names none")
        if name.startswith("["):
            host = literal_host(name, plan.port, settings=self._settings)
            if isinstance(host, Reply):
                return host
            site = site_name([host.name], port=plan.port)
            return self._route(plan, site, [host], _and(plan.reason, "address literal"), trace)
        found = await mx_hosts(
            name,
            plan.port,
            resolver=self._resolver,
            settings=self._settings,
            random=self._random,
            trace=trace,
        )
        if isinstance(found, Reply):
            return found
        site = site_name(found.names, port=plan.port, shared_suffixes=self._settings.shared_suffixes)
        reason = "address records (no MX)" if found.is_implicit else "MX"
        return self._route(plan, site, found.hosts, _and(plan.reason, reason), trace)

    def new_trace(self) -> Trace:
        """A trace whose end is the longest that a decision of now may be kept."""
        return Trace(self.now_ms() + self._settings.route_s_max * 1000)

    async def aclose(self) -> None:
        """End what is being looked up; who waits for it is cancelled."""
        await self._flights.aclose()

    async def _find(self, key: _Key, domain: str, choice: RouteChoice | None) -> Route | Reply:
        trace = self.new_trace()
        outcome = await self.decide(domain, choice, trace)
        if outcome is _LOCAL:
            return outcome
        expires_ms = trace.expires_ms
        if isinstance(outcome, Reply) and outcome.is_temporary:
            expires_ms = min(expires_ms, self.now_ms() + _TEMPORARY_S_MAX * 1000)
        self._known.put(key, outcome, expires_ms)
        return outcome

    def _is_routed(self, domain: str) -> bool:
        """Whether a [[routes]] table names this domain, or those above it: that goes before the directory."""
        rule = self._table.find(domain)
        return rule is not None and rule.pattern != "*"

    def _plan(self, name: str, choice: RouteChoice, trace: Trace) -> _Plan:
        """
        Whose word counts: policy's, a rule's, the smarthosts', or the DNS's.

        Raises:
            ValueError: A next hop of policy's is none.
        """
        settings = self._settings
        rule = self._table.find(name)
        if choice.next_hops or choice.transport == "discard":
            given = Rule(pattern=name, next_hops=tuple(NextHop.parse(text) for text in choice.next_hops))
            reason = "policy"
        elif rule is not None:
            given = rule
            reason = f'[[routes]] "{rule.pattern}"'
        else:
            given = Rule(pattern=name, next_hops=settings.smarthosts)
            reason = "smarthosts" if settings.smarthosts else ""
        if reason != "policy" and choice != RouteChoice():
            reason = _and(reason, "changed by policy")
        transport = choice.transport or given.transport
        if given.port is not None:
            port = given.port
        elif given.next_hops:
            port = _LMTP_PORT if transport == "lmtp" else _SMTP_PORT
        else:
            port = settings.mx_port
        plan = _Plan(
            transport=transport,
            next_hops=given.next_hops,
            port=port,
            tls=choice.tls or given.tls or settings.tls,
            source=choice.source,
            reason=reason,
            pattern=given.pattern,
            command=given.command,
            file=given.file,
        )
        trace.note("rule", name, _plan_in_words(plan))
        return plan

    def _route(self, plan: _Plan, site: str, hosts: list[Host], reason: str, trace: Trace) -> Route:
        hops: tuple[Hop, ...] = hops_of(
            hosts,
            addresses_max=self._settings.addresses_max,
            first_family=self._settings.first_family,
            random=self._random,
        )
        if plan.tls is not TlsMode.OPPORTUNISTIC and hosts:
            # Connections are shared by site: one that was opened with less must never carry mail that asks for more,
            # also where a reload changed what is usual.
            site = f"{site}/{plan.tls}"
        return Route(
            transport=plan.transport,
            site=site,
            hops=hops,
            tls=plan.tls,
            source=plan.source,
            expires_ms=trace.expires_ms,
            reason=reason,
            command=plan.command,
            file=plan.file,
        )


def _and(first: str, second: str) -> str:
    return f"{first}, {second}" if first else second


def _plan_in_words(plan: _Plan) -> str:
    if plan.transport == "discard":
        return f"{plan.reason}: discard"
    if plan.transport in _ON_THIS_HOST:
        return f"{plan.reason}: {plan.transport} {plan.file or ' '.join(plan.command)}"
    hops = ", ".join(str(hop) for hop in plan.next_hops)
    where = hops or f"MX records, port {plan.port}"
    return f"{plan.reason or 'no rule, no smarthost'}: {plan.transport} to {where}, TLS {plan.tls}"
