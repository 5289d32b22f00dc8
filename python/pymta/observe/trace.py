"""
What was decided about a message, and why: the memory behind `pymta queue show` and `pymta explain`.

One ring for all messages, so that its size is known whatever comes, and so that noting costs one append. It forgets
the oldest first and at a restart; what must not be forgotten is in the spool and in the log.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

__all__ = ["Decision", "Trace"]

DECISIONS_MAX: Final = 20_000
"""At about 300 octets each, so about 6 MB."""

_WHY_OCTETS_MAX: Final = 512


class Decision(NamedTuple):
    """Who decided what about a message, and why."""

    spool_id: str
    at_ms: int
    who: str
    """The station or hook: "policy rcpt", "route", "site", "schedule"."""
    what: str
    """The decision: "accept", "smtp via mx", "suspended", "next attempt in 300 s"."""
    why: str
    """The rule, answer or number that it rests on."""


class Trace:
    """The latest decisions. Noting is for the hot path; asking looks through all of them, for a person who waits."""

    __slots__ = ("_ring",)

    def __init__(self, decisions_max: int = DECISIONS_MAX) -> None:
        self._ring: deque[Decision] = deque(maxlen=decisions_max)

    def note(self, spool_id: str, at_ms: int, who: str, what: str, why: str = "") -> None:
        """Remember one decision; a long *why* is cut."""
        self._ring.append(Decision(spool_id, at_ms, who, what, why[:_WHY_OCTETS_MAX]))

    def about(self, spool_id: str) -> list[Decision]:
        """What is remembered of a message, oldest first."""
        return [decision for decision in self._ring if decision.spool_id == spool_id]

    def __len__(self) -> int:
        return len(self._ring)
