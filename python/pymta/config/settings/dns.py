"""[dns]: how names are looked up."""

from __future__ import annotations

from typing import Annotated

from pymta.config.option import DAY, MINUTE, Count, Option, Seconds, SecondsOrNone, Section
from pymta.config.values import Resolver


class DnsSettings(Section, frozen=True, kw_only=True):
    """The resolver and its cache."""

    resolvers: Annotated[
        tuple[Resolver, ...],
        Option(
            "Recursive DNS servers, tried in this order. One on this host that validates is best.",
            reader="dns.resolver",
            default="those of /etc/resolv.conf",
            example='["127.0.0.1", "[::1]:5353"]',
        ),
    ] = ()
    timeout_s: Annotated[
        Seconds,
        Option(
            "How long one server may take to answer.",
            reader="dns.resolver",
            precedent="resolv.conf(5) timeout is 5 s",
        ),
    ] = 3
    lookup_s_max: Annotated[
        Seconds,
        Option(
            "How long a lookup may take in all, with other servers and over TCP; after that it is a "
            "temporary failure.",
            reader="dns.resolver",
            precedent="dnspython lifetime is 5 s",
        ),
    ] = 10
    cache_entries_max: Annotated[
        Count,
        Option(
            "How many answers are kept.", reader="dns.cache", precedent="Unbound msg-cache-size is by memory"
        ),
    ] = 100_000
    ttl_s_max: Annotated[
        Seconds,
        Option(
            "No answer is kept longer than this.",
            reader="dns.cache",
            precedent="Unbound cache-max-ttl is 1 d",
        ),
    ] = 1 * DAY
    negative_ttl_s_max: Annotated[
        Seconds,
        Option(
            "That a name or record does not exist is kept no longer than this.",
            reader="dns.cache",
            rfc="2308 §5 (1-3 hours work well)",
        ),
    ] = 5 * MINUTE
    failure_ttl_s: Annotated[
        SecondsOrNone,
        Option(
            "A failure (SERVFAIL, no answer) is kept so long, so that a broken zone is not asked for every "
            "message; 0 is not at all.",
            reader="dns.cache",
            rfc="9520 §3.2 (1 s to 5 min)",
        ),
    ] = 5
    lookups_waiting_max: Annotated[
        Count,
        Option("How many lookups may wait for an answer; more fail temporarily.", reader="dns.resolver"),
    ] = 2_000
