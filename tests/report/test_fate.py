"""
From what the queue knows at the end of a round to what a DSN can say.
"""

from dataclasses import dataclass

import pytest

from pymta._core import Reply
from pymta.report import Fate, fates_of

OK = Reply(250, "2.0.0", "ok")
LATER = Reply(451, "4.3.0", "later")
NO = Reply(550, "5.1.1", "no")


@dataclass(frozen=True)
class Outcome:
    """A RecipientOutcome of the queue."""

    state: str
    reply: Reply
    index: int = 0
    host: str = "mx.example.org"
    transport: str = "smtp"
    dsn_passed: bool = False


@dataclass(frozen=True)
class Statuses:
    """A message of which only the earlier statuses are asked."""

    before: str

    def status(self, index: int) -> tuple[str, str]:
        return self.before, "451 4.3.0 later"


def told(outcome: Outcome, before: str = "pending") -> list[Fate]:
    return fates_of(Statuses(before), [outcome], now_ms=2000, retry_until_ms=9000)


@pytest.mark.parametrize(
    ("outcome", "action"),
    [
        (Outcome("failed", NO), "failed"),
        (Outcome("expired", LATER), "failed"),
        (Outcome("delayed", LATER), "delayed"),
        (Outcome("delivered", OK), "relayed"),
        (Outcome("delivered", OK, transport="lmtp"), "delivered"),
        (Outcome("delivered", OK, transport="discard"), "delivered"),
    ],
)
def test_an_outcome_has_its_action(outcome: Outcome, action: str) -> None:
    """RFC 3464 §2.3.3: SMTP passes on, LMTP delivers."""
    (fate,) = told(outcome)

    assert action == fate.action
    assert (outcome.state == "expired") == fate.is_expired
    assert (9000 if action == "delayed" else None) == fate.retry_until_ms
    assert (0, outcome.reply, "mx.example.org", 2000) == (
        fate.index,
        fate.reply,
        fate.host,
        fate.last_attempt_ms,
    )


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome("deferred", LATER),
        Outcome("dropped", NO),
        Outcome("delivered", OK, dsn_passed=True),
    ],
)
def test_what_others_tell_or_is_no_news_is_not_told(outcome: Outcome) -> None:
    """A deferral that is not late, the operator's own drop, a success that the next hop reports."""
    assert [] == told(outcome)


def test_a_delay_is_told_once() -> None:
    """The status of earlier rounds says that it was; its end is told all the same."""
    assert [] == told(Outcome("delayed", LATER), before="delayed")
    assert ["failed"] == [fate.action for fate in told(Outcome("expired", LATER), before="delayed")]
