"""
[[routes]] as a table: which rule is for a domain.

It looks nothing up but the domain itself. Rule: the first rule in the file that matches is taken, however many there
are and at the cost of one look per label of the domain.
"""

from collections.abc import Iterable

import msgspec

from pymta.config.settings import RouteSettings
from pymta.config.values import NextHop
from pymta.mail.route import TlsMode


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """The route of some domains."""

    pattern: str
    """`example.org` is exactly that domain, `.example.org` every domain below it, `*` all; canonical."""
    transport: str = "smtp"
    next_hops: tuple[NextHop, ...] = ()
    """In the order in which to try them; none: the MX records of the domain."""
    tls: TlsMode | None = None
    port: int | None = None
    """For next hops written without one, and for hosts found by MX."""
    command: tuple[str, ...] = ()
    """Of a pipe."""
    file: str = ""
    """Of an mbox."""

    @classmethod
    def from_settings(cls, settings: RouteSettings) -> "Rule":
        """One [[routes]] table."""
        return cls(
            pattern=settings.domain.text,
            transport=settings.transport,
            next_hops=settings.next_hops,
            tls=None if settings.tls is None else TlsMode(settings.tls),
            port=settings.port,
            command=settings.command,
            file=settings.file or "",
        )


class RouteTable:
    """Rules in the order of the file."""

    __slots__ = ("_by_pattern", "_rules")

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules = tuple(rules)
        # The first of several rules with the same pattern is the only one that can ever match.
        self._by_pattern: dict[str, int] = {}
        for index, rule in enumerate(self._rules):
            self._by_pattern.setdefault(rule.pattern, index)

    def __len__(self) -> int:
        return len(self._rules)

    def find(self, domain: str) -> Rule | None:
        """The first rule for *domain* (canonical, or an address literal in brackets), or None."""
        if not self._rules:
            return None
        matches = [self._by_pattern.get(domain), self._by_pattern.get("*")]
        if not domain.startswith("["):
            dot = domain.find(".")
            while dot != -1:
                matches.append(self._by_pattern.get(domain[dot:]))
                dot = domain.find(".", dot + 1)
        first = min((index for index in matches if index is not None), default=None)
        return None if first is None else self._rules[first]
