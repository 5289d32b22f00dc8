"""
What was looked at on the way to a route, in order: filled by the code that decides, read by `explain.py`.

It never decides anything. Bounded by the limits of what fills it (hosts and addresses of one domain).
"""

from typing import Any

import msgspec

from pymta.dns import Answer, Found, MxRecord, NoData, NxDomain


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was asked, decided or dropped."""

    kind: str
    """rule, dns, drop, limit, order or trouble."""
    what: str
    """What was looked at: `MX example.org`, `[[routes]] ".example.org"`, `mx1.example.org`."""
    found: str
    """What came of it, in words."""
    ttl_s: int | None = None
    """Of a DNS answer: how long it holds."""
    authenticated: bool | None = None
    """Of a DNS answer: whether a trusted resolver vouched for it."""


class Trace:
    """The steps of one decision, and until when it holds."""

    __slots__ = ("expires_ms", "steps")

    def __init__(self, expires_ms: int) -> None:
        self.steps: list[Step] = []
        self.expires_ms = expires_ms
        """The least end of all answers so far."""

    def note(self, kind: str, what: str, found: str) -> None:
        """Something that needed no DNS."""
        self.steps.append(Step(kind, what, found))

    def answered(self, what: str, answer: Answer[Any]) -> None:
        """A DNS answer, which also bounds how long the decision holds."""
        self.expires_ms = min(self.expires_ms, answer.expires_ms)
        authenticated = answer.authenticated if isinstance(answer, Found | NoData | NxDomain) else None
        self.steps.append(Step("dns", what, _in_words(answer), answer.ttl_s, authenticated))


# Records of one answer that are spelled out; the others are counted.
_SHOWN_MAX = 20


def _in_words(answer: Answer[Any]) -> str:
    if isinstance(answer, Found):
        shown = [
            f"{record.preference} {record.host or '.'}" if isinstance(record, MxRecord) else str(record)
            for record in answer.records[:_SHOWN_MAX]
        ]
        if len(answer.records) > _SHOWN_MAX:
            shown.append(f"and {len(answer.records) - _SHOWN_MAX} more")
        return ", ".join(shown)
    if isinstance(answer, NoData):
        return "no such record"
    if isinstance(answer, NxDomain):
        return "no such name"
    return f"no answer ({answer.cause})"
