"""
Answers from the DNS: asked through a recursive resolver, remembered for their TTL, never asked twice at once.

It is not a recursive resolver and validates nothing itself: `authenticated` is what a trusted resolver said (RFC 6840
§5.8). Rule: what a name means for mail (preferences, null MX, loops) is decided in `pymta.route`, not here.
"""

from pymta.dns.answers import Answer, Families, Found, MxRecord, NoData, NxDomain, Resolver, Unavailable
from pymta.dns.resolver import ResolverSettings, StubResolver
from pymta.mail.names import InvalidName, canonical_name

__all__ = [
    "Answer",
    "Families",
    "Found",
    "InvalidName",
    "MxRecord",
    "NoData",
    "NxDomain",
    "Resolver",
    "ResolverSettings",
    "StubResolver",
    "Unavailable",
    "canonical_name",
]
