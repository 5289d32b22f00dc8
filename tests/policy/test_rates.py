"""A day's messages and recipients, and bursts; the clock is the test's."""

import pytest

from pymta.config.settings.submission import SubmissionSettings
from pymta.mail.verdict import Verdict
from pymta.policy.checks.rates import ACCOUNTS_MAX, Burst, DaySlice, Rates
from pymta.testing import FakeClock

A = "a@x.example"
HOUR_S = 3600
SETTINGS = SubmissionSettings(
    messages_per_day_max=10, recipients_per_day_max=30, burst_recipients_max=12, burst_s=600
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def rates(clock: FakeClock) -> Rates:
    return Rates(SETTINGS, now_ms=clock)


def test_the_messages_of_a_day_end_and_begin_again(rates: Rates, clock: FakeClock) -> None:
    for _ in range(10):
        assert rates.at_mail(A) is None
        assert rates.take(A, 1) is None
    refused = rates.at_mail(A)

    assert refused is not None
    assert "450 4.7.1 you have sent too much today, try again later" == str(refused.reply)
    assert isinstance(rates.take(A, 1), Verdict)  # a session that was let in before
    assert rates.at_mail("b@x.example") is None
    clock.advance(25 * HOUR_S)
    assert rates.at_mail(A) is None


def test_the_recipients_of_a_day_are_counted_across_messages(rates: Rates, clock: FakeClock) -> None:
    for _ in range(3):
        assert rates.take(A, 9) is None
        clock.advance(HOUR_S)

    assert rates.at_rcpt(A, 0) is None
    assert rates.at_rcpt(A, 2) is None
    assert rates.at_rcpt(A, 3) is not None
    assert rates.at_rcpt("b@x.example", 29) is None
    assert rates.at_rcpt("b@x.example", 30) is not None


def test_a_burst_is_told_until_it_is_over(rates: Rates, clock: FakeClock) -> None:
    assert rates.take(A, 6) is None
    assert rates.take(A, 6) is None
    assert Burst(A, 13, 600) == rates.take(A, 1)
    assert Burst(A, 14, 600) == rates.take(A, 1)
    clock.advance(700)
    assert rates.take(A, 1) is None


def test_nothing_is_limited_where_that_is_switched_off(clock: FakeClock) -> None:
    free = SubmissionSettings(messages_per_day_max=0, recipients_per_day_max=0, burst_recipients_max=0)
    rates = Rates(free, now_ms=clock)

    assert {None} == {rates.take(A, 1000) for _ in range(1000)}
    assert rates.at_mail(A) is None
    assert rates.at_rcpt(A, 10**6) is None


def test_a_reload_forgives_nothing(rates: Rates) -> None:
    for _ in range(9):
        rates.take(A, 1)
    rates.use_settings(SubmissionSettings(messages_per_day_max=9, burst_s=60))

    assert rates.at_mail(A) is not None


def test_memory_is_bounded(rates: Rates) -> None:
    for n in range(ACCOUNTS_MAX + 10):
        rates.take(f"{n}@x.example", 1)

    assert ACCOUNTS_MAX == len(rates._accounts)


def test_rates_go_on_from_what_others_counted(rates: Rates, clock: FakeClock) -> None:
    """
    Slices of before and of now; those that are a day old, or of a clock that was ahead, are none.
    """
    now = rates.first_slice() + 23
    rates.restore(
        [DaySlice(n, A, 3, 3) for n in (now - 24, now - 23, now - 1, now)] + [DaySlice(now + 1, A, 99, 99)]
    )
    taken: list[DaySlice] = []
    rates.on_taken = taken.append

    assert rates.take(A, 1) is None
    assert isinstance(rates.take(A, 1), Verdict)
    assert [DaySlice(now, A, 1, 1)] == taken
    clock.advance(3600)
    assert rates.at_mail(A) is None
    for _ in range(3):
        rates.count_along(A, 1)
    assert rates.at_mail(A) is not None
    assert 1 == len(taken)
    clock.advance(24 * HOUR_S)
    assert rates.at_mail(A) is None
