"""
How much a site may be asked at once: numbers, with the clock as an argument.
"""

from pymta.config.settings.delivery import DeliverySettings
from pymta.queue.shaping import AdaptiveLimit, RateLimit, Suspension

SETTINGS = DeliverySettings(suspend_after_failures=2, suspend_s_min=60, suspend_s_max=300)


def test_the_limit_grows_by_one_for_a_round_of_successes_and_not_beyond_its_end() -> None:
    allowance = AdaptiveLimit(5, 8)
    for _ in range(6):
        allowance.succeeded()
    assert 6 == allowance.connections_max

    for _ in range(1000):
        allowance.succeeded()
    assert 8 == allowance.connections_max


def test_the_limit_halves_when_pushed_back_and_stays_at_one() -> None:
    allowance = AdaptiveLimit(8, 20)
    allowance.pushed_back()
    assert 4 == allowance.connections_max

    for _ in range(10):
        allowance.pushed_back()
    assert 1 == allowance.connections_max


def test_a_start_above_the_maximum_is_the_maximum() -> None:
    assert 3 == AdaptiveLimit(5, 3).connections_max


def test_a_rate_lets_so_many_through_in_a_minute_and_no_burst_beyond_a_second() -> None:
    rate = RateLimit(600)
    passed, now_s = 0, 0.0
    burst = 0
    while rate.wait_s(now_s) == 0.0:
        burst += 1
    assert 10 == burst

    passed = burst
    while now_s < 60.0:
        wait_s = rate.wait_s(now_s)
        if wait_s:
            now_s += wait_s + 1e-6
        else:
            passed += 1
    assert 600 <= passed <= 611


def test_no_rate_is_no_limit() -> None:
    rate = RateLimit(0)

    assert not rate.is_limited
    assert all(0.0 == rate.wait_s(0.0) for _ in range(10_000))


def test_a_site_is_suspended_after_failures_in_a_row_and_longer_each_time() -> None:
    suspension = Suspension(SETTINGS)

    assert [0.0, 60, 120, 240, 300, 300] == [suspension.failed(1000.0) for _ in range(6)]
    assert 1300.0 == suspension.until_s


def test_a_success_ends_a_suspension_and_its_memory() -> None:
    suspension = Suspension(SETTINGS)
    suspension.failed(0.0)
    suspension.failed(0.0)
    suspension.succeeded()

    assert 0.0 == suspension.until_s
    assert 0.0 == suspension.failed(0.0)


def test_an_operator_lifts_a_suspension_but_not_its_memory() -> None:
    suspension = Suspension(SETTINGS)
    suspension.failed(0.0)
    suspension.failed(0.0)
    suspension.lift()

    assert 0.0 == suspension.until_s
    assert 120 == suspension.failed(0.0)
