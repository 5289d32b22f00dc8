"""
When to try again, when to warn, when to give up: pure functions, so a test owns the clock.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymta.config.settings.queue import QueueSettings
from pymta.queue.schedule import jitter_of, next_attempt_ms, warning_is_due

T0 = 1_760_000_000_000
SETTINGS = QueueSettings(
    retry_s_min=300,
    retry_s_max=3600,
    retry_growth=2.0,
    lifetime_s=5 * 86400,
    report_lifetime_s=86400,
    delay_warning_s=4 * 3600,
)


def next_ms(attempts: int, now_ms: int, *, is_report: bool = False, jitter: float = 0.0) -> int | None:
    return next_attempt_ms(T0, attempts, now_ms=now_ms, is_report=is_report, jitter=jitter, settings=SETTINGS)


@pytest.mark.parametrize(
    ("attempts", "wait_s"), [(1, 300), (2, 600), (3, 1200), (4, 2400), (5, 3600), (90, 3600)]
)
def test_waits_grow_up_to_the_longest(attempts: int, wait_s: int) -> None:
    assert T0 + wait_s * 1000 == next_ms(attempts, T0)


def test_a_recipient_older_than_the_lifetime_is_not_scheduled_again() -> None:
    assert next_ms(9, T0 + SETTINGS.lifetime_s * 1000) is None


def test_the_last_attempt_is_made_when_the_lifetime_ends() -> None:
    end_ms = T0 + SETTINGS.lifetime_s * 1000

    assert end_ms == next_ms(9, end_ms - 1000)


def test_a_report_gives_up_sooner() -> None:
    assert next_ms(9, T0 + SETTINGS.report_lifetime_s * 1000, is_report=True) is None
    assert next_ms(9, T0 + SETTINGS.report_lifetime_s * 1000) is not None


@given(
    attempts=st.integers(0, 10**6),
    age_ms=st.integers(0, SETTINGS.lifetime_s * 1000 - 1),
    jitter=st.floats(-1, 1),
)
def test_the_next_attempt_is_later_than_now_and_jittered_by_a_tenth_at_most(
    attempts: int, age_ms: int, jitter: float
) -> None:
    now_ms = T0 + age_ms
    due_ms = next_ms(attempts, now_ms, jitter=jitter)
    plain_ms = next_ms(attempts, now_ms)

    assert due_ms is not None
    assert plain_ms is not None
    assert now_ms < due_ms
    assert abs(due_ms - plain_ms) <= (plain_ms - now_ms) / 9 + 1


@given(
    spool_id=st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=13, max_size=13),
    attempts=st.integers(0, 100),
)
def test_jitter_is_bounded_and_the_same_after_a_restart(spool_id: str, attempts: int) -> None:
    assert -1.0 <= jitter_of(spool_id, attempts) <= 1.0
    assert jitter_of(spool_id, attempts) == jitter_of(spool_id, attempts)


def test_jitter_spreads_messages_that_were_deferred_together() -> None:
    values = [jitter_of(f"000000000{n:04d}", 1) for n in range(1000)]

    assert 0.9 < max(values)
    assert -0.9 > min(values)
    assert abs(sum(values) / len(values)) < 0.1


def test_a_warning_is_due_from_its_time_on_and_never_where_it_is_switched_off() -> None:
    warning_ms = T0 + SETTINGS.delay_warning_s * 1000
    off = QueueSettings(delay_warning_s=0)

    assert not warning_is_due(T0, now_ms=warning_ms - 1, settings=SETTINGS)
    assert warning_is_due(T0, now_ms=warning_ms, settings=SETTINGS)
    assert not warning_is_due(T0, now_ms=warning_ms, settings=off)
