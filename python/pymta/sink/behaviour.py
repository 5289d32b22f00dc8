"""
How a sink answers: shares of temporary and permanent refusals and of slow replies, by a seeded random number.

Values only, so that a run can be repeated. Rule: one number is drawn for each question, so that the shares are of all
that is asked and never of what another share left over.
"""

from random import Random
from typing import Final, Literal

import msgspec

from pymta._core import Reply

__all__ = ["Behaviour", "Behaviours", "RefusalStage"]

RefusalStage = Literal["connect", "mail", "rcpt", "content"]
"""Which question the shares of refusals are of."""

_DEFERRED: Final = Reply(451, "4.7.1", "sink: try again later")
_REFUSED: Final = Reply(550, "5.7.1", "sink: refused")
# RFC 5321 §3.1 and §3.8: only these two may take the place of a greeting.
_DEFERRED_CONNECTION: Final = Reply(421, "4.7.1", "sink: try again later")
_REFUSED_CONNECTION: Final = Reply(554, "5.7.1", "sink: refused")

SLOW_S_MAX: Final = 3600.0


class Behaviours(msgspec.Struct, frozen=True, kw_only=True):
    """
    Shares from 0 to 1: of connections, reverse-paths, recipients or messages (refusals, by *stage*), and of messages
    (slow replies).

    Raises:
        ValueError: A share is not from 0 to 1, or those of refusals are more than 1 together.
    """

    deferred_share: float = 0.0
    refused_share: float = 0.0
    stage: RefusalStage = "rcpt"
    slow_share: float = 0.0
    slow_s: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for share in (self.deferred_share, self.refused_share, self.slow_share):
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"expected a share from 0 to 1, got {share:g}")
        if self.deferred_share + self.refused_share > 1.0:
            raise ValueError("the shares of deferred and refused are more than 1 together")
        if not 0.0 <= self.slow_s <= SLOW_S_MAX:
            raise ValueError(f"expected a delay from 0 to {SLOW_S_MAX:g} seconds, got {self.slow_s:g}")


class Behaviour:
    """Draws the answers of one sink."""

    __slots__ = ("_random", "_settings", "is_plain")

    def __init__(self, settings: Behaviours) -> None:
        self._settings = settings
        self._random = Random(settings.seed)  # noqa: S311 - a load test wants to be repeated, not to be secret
        self.is_plain = not (settings.deferred_share or settings.refused_share or settings.slow_share)

    def refusal(self, stage: RefusalStage) -> Reply | None:
        """The refusal at *stage*, or None to go on."""
        settings = self._settings
        if self.is_plain or settings.stage != stage:
            return None
        drawn = self._random.random()
        if drawn < settings.deferred_share:
            return _DEFERRED_CONNECTION if stage == "connect" else _DEFERRED
        if drawn < settings.deferred_share + settings.refused_share:
            return _REFUSED_CONNECTION if stage == "connect" else _REFUSED
        return None

    def delay_s(self) -> float:
        """How long the reply to one message waits; mostly 0."""
        if self.is_plain or not self._settings.slow_share:
            return 0.0
        return self._settings.slow_s if self._random.random() < self._settings.slow_share else 0.0
