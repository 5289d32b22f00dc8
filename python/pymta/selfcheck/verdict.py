"""
What was sent, what arrived, when the server was killed: is all of it explained?

Values only. The rule of delivery is at least once (ARCHITECTURE.md): a copy is explained by a kill shortly after the copy
before it, when the record of that delivery may not have been on the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from pymta.selfcheck.arrivals import Arrivals
from pymta.selfcheck.swarm import Sent

__all__ = ["SINK_LAG_S_MAX", "WINDOW_S_MAX", "Count", "count"]

WINDOW_S_MAX = 1.0
"""Between a delivery and the kill that makes it happen again: a record joins the next commit, a few milliseconds on."""

SINK_LAG_S_MAX = 1.0
"""The sink may read what was sent just before a kill so much later: it shares its processors with the load."""

EXAMPLES_MAX = 10


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """The result, in recipients of messages: each is a delivery of its own."""

    accepted: int
    """Got their 250, and so have to arrive."""
    arrived: int
    """Of all that was sent."""
    unanswered: int
    """Their connection broke while the content was on its way."""
    unanswered_arrived: int
    lost: int
    damaged: int
    strangers: int
    """Arrived, and were refused or never sent."""
    duplicates: int
    unexplained: int
    """Duplicates that no kill explains."""
    window_ms_max: int
    """From a delivery that was repeated to its kill, at most."""
    examples: tuple[str, ...]
    """What is wrong, in words, the first of each."""

    @property
    def ok(self) -> bool:
        """Nothing lost, damaged, invented, or repeated without a reason."""
        return not (self.lost or self.damaged or self.strangers or self.unexplained)


def count(sent: Sent, arrivals: Arrivals, kills_s: Sequence[float]) -> Count:
    """
    Args:
        sent: What the clients did.
        arrivals: What the sink took.
        kills_s: When the server was dead.
    """
    lost = sent.accepted - arrivals.by_key.keys()
    strangers = arrivals.by_key.keys() - sent.accepted - sent.unanswered
    duplicates, unexplained, windows_s = 0, [], [0.0]
    for key, copies in arrivals.by_key.items():
        for first, second in pairwise(copies):
            duplicates += 1
            kills = [at_s for at_s in kills_s if first.at_s - SINK_LAG_S_MAX <= at_s <= second.at_s]
            window_s = kills[0] - first.at_s if kills else WINDOW_S_MAX
            if first.spool_id != second.spool_id or window_s >= WINDOW_S_MAX:
                unexplained.append(f"{key} twice: {copies}")
            else:
                windows_s.append(window_s)
    wrong = [
        *(f"lost: {key}" for key in sorted(lost)[:EXAMPLES_MAX]),
        *(f"damaged: {line}" for line in arrivals.damaged[:EXAMPLES_MAX]),
        *(f"refused or never sent, and arrived: {key}" for key in sorted(strangers)[:EXAMPLES_MAX]),
        *unexplained[:EXAMPLES_MAX],
    ]
    return Count(
        accepted=len(sent.accepted),
        arrived=len(arrivals.by_key),
        unanswered=len(sent.unanswered),
        unanswered_arrived=len(sent.unanswered & arrivals.by_key.keys()),
        lost=len(lost),
        damaged=len(arrivals.damaged),
        strangers=len(strangers),
        duplicates=duplicates,
        unexplained=len(unexplained),
        window_ms_max=round(max(windows_s) * 1000),
        examples=tuple(wrong),
    )
