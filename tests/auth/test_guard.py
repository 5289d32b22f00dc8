"""Delays that grow and bans that end, for an address and for an account."""

import pytest

from pymta.auth.guard import ENTRIES_MAX, Guard
from pymta.config.settings.auth import AuthSettings
from pymta.config.values import Network

SETTINGS = AuthSettings(
    failures_per_address_max=4, failures_per_account_max=6, failures_s=100, ban_s=50, delay_s_max=5
)


class Watch:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def guard(watch: Watch) -> Guard:
    return Guard(SETTINGS, monotonic=watch)


def test_the_delay_doubles_up_to_its_limit(guard: Guard) -> None:
    delays = [guard.failed("192.0.2.1", f"a{n}@x.example")[0] for n in range(4)]

    assert [1.0, 2.0, 4.0, 5.0] == delays
    assert 1.0 == guard.failed("192.0.2.2", "a@x.example")[0]


def test_an_address_is_banned_for_a_while(guard: Guard, watch: Watch) -> None:
    bans = [guard.failed("192.0.2.1", f"a{n}@x.example")[1] for n in range(4)]

    assert ["", "", "", "address banned for 50 s"] == bans
    assert "address banned for 50 s" == guard.why_banned("192.0.2.1", "anybody@x.example")
    assert guard.why_banned("192.0.2.2", "a0@x.example") is None
    watch.now_s += 50
    assert guard.why_banned("192.0.2.1", "anybody@x.example") is None


def test_failures_are_forgotten_after_their_time(guard: Guard, watch: Watch) -> None:
    for _ in range(20):
        assert "" == guard.failed("192.0.2.1", "")[1]
        watch.now_s += 34  # never four within the time


def test_an_account_is_banned_for_strangers_only(guard: Guard) -> None:
    """
    Guessing from many addresses is stopped; the owner, at an address from which the login was right, is not.
    """
    guard.succeeded("198.51.100.1", "a@x.example")
    bans = [guard.failed(f"192.0.2.{n}", "a@x.example")[1] for n in range(6)]

    assert "account banned for 50 s" == bans[-1]
    assert "account banned for 50 s" == guard.why_banned("203.0.113.9", "a@x.example")
    assert guard.why_banned("198.51.100.1", "a@x.example") is None
    assert guard.why_banned("203.0.113.9", "b@x.example") is None


def test_an_own_account_does_not_pay_for_guesses_at_others(guard: Guard) -> None:
    for _ in range(3):
        guard.failed("192.0.2.1", "victim@x.example")
        guard.succeeded("192.0.2.1", "mine@x.example")

    assert "address banned for 50 s" == guard.failed("192.0.2.1", "victim@x.example")[1]


def test_one_customer_s_addresses_are_one(guard: Guard) -> None:
    for n in range(4):
        guard.failed(f"2001:db8:1:2::{n}", "")

    assert guard.why_banned("2001:db8:1:2:ffff::1", "") is not None
    assert guard.why_banned("2001:db8:1:3::1", "") is None


def test_who_is_exempt_is_neither_delayed_nor_banned(watch: Watch) -> None:
    settings = AuthSettings(
        failures_per_address_max=1, never_banned_networks=(Network.parse("192.0.2.0/24"),)
    )
    guard = Guard(settings, monotonic=watch)

    assert [(0.0, "")] * 5 == [guard.failed("192.0.2.7", "a") for _ in range(5)]
    assert guard.why_banned("192.0.2.7", "a") is None


def test_nothing_is_banned_where_that_is_switched_off(watch: Watch) -> None:
    guard = Guard(
        AuthSettings(failures_per_address_max=0, failures_per_account_max=0, delay_s_max=0), monotonic=watch
    )

    assert {(0.0, "")} == {guard.failed("192.0.2.1", "a") for _ in range(1000)}


def test_memory_is_bounded(guard: Guard) -> None:
    for n in range(ENTRIES_MAX + 100):
        guard.failed(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", f"a{n}")
        guard.succeeded(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", f"a{n}")

    assert ENTRIES_MAX == len(guard._addresses) == len(guard._accounts) == len(guard._at_home)
