"""
A certificate is renewed in the second half of its life, whatever the settings say, and a failure is waited for.
"""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymta.acme.schedule import renewal_at, retry_wait_s
from pymta.config.settings.acme import AcmeSettings

BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
SETTINGS = AcmeSettings(retry_s_min=900, retry_s_max=86400)


def days(count: float) -> datetime.timedelta:
    return datetime.timedelta(days=count)


@pytest.mark.parametrize(
    ("life_days", "before_days", "after_days"),
    [
        (90, None, 60),
        (45, None, 30),
        (6, None, 3),  # short-lived: half of it
        (90, 30, 60),
        (90, 7, 83),
        (90, 60, 45),  # never in the first half
        (90, 365, 45),
    ],
)
def test_when_a_certificate_is_renewed(life_days: int, before_days: int | None, after_days: float) -> None:
    at = renewal_at(BEGIN, BEGIN + days(life_days), before_days=before_days)

    assert BEGIN + days(after_days) == at


@given(life_s=st.integers(1, 10**9), before_days=st.none() | st.integers(1, 3650))
def test_it_is_renewed_in_the_second_half_of_its_life(life_s: int, before_days: int | None) -> None:
    """So that asking for one never leads to asking for the next at once."""
    end = BEGIN + datetime.timedelta(seconds=life_s)

    assert BEGIN + (end - BEGIN) / 2 <= renewal_at(BEGIN, end, before_days=before_days) <= end


def test_each_wait_is_twice_the_one_before_up_to_the_longest() -> None:
    waits = [retry_wait_s(failures, SETTINGS) for failures in (1, 2, 3, 7, 8, 1000)]

    assert [900, 1800, 3600, 57600, 86400, 86400] == waits


def test_what_the_authority_asks_for_is_waited_for_within_the_longest() -> None:
    assert 5000 == retry_wait_s(1, SETTINGS, asked_s=5000)
    assert 900 == retry_wait_s(1, SETTINGS, asked_s=5)
    assert 86400 == retry_wait_s(1, SETTINGS, asked_s=10**9)
