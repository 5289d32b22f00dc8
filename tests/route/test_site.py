"""
Equal sets of hosts have one name, different sets have different names, and a person can read it.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymta.config.values import NextHop
from pymta.route.site import SITE_OCTETS_MAX, site_name
from pymta.route.smarthost import site_of


@pytest.mark.parametrize(
    ("hosts", "site"),
    [
        (["mx.example.net"], "mx.example.net"),
        (["mx1.example.net", "mx2.example.net"], "{mx1.,mx2.}example.net"),
        (["aspmx.l.example.com", "alt1.aspmx.l.example.com"], "{,alt1.}aspmx.l.example.com"),
        (["mx.example.net", "mx.example.org"], "{mx.example.net,mx.example.org}"),
        (["a.com", "b.com"], "{a.com,b.com}"),
        (["anotherexample.net", "mx.example.net"], "{anotherexample.net,mx.example.net}"),
        (["192.0.2.1"], "192.0.2.1"),
        (["tenant-com.mail.protection.outlook.com"], "*.mail.protection.outlook.com"),
        (["mail.protection.outlook.com"], "mail.protection.outlook.com"),
    ],
)
def test_a_site_is_readable(hosts: list[str], site: str) -> None:
    assert site == site_name(hosts)


def test_another_port_or_transport_is_another_site() -> None:
    assert "mx.example.net:2525" == site_name(["mx.example.net"], port=2525)
    assert "[2001:db8::1]:2525" == site_name(["2001:db8::1"], port=2525)
    assert "lmtp:mx.example.net" == site_name(["mx.example.net"], transport="lmtp")


def test_a_tenant_beside_another_provider_is_no_shared_site() -> None:
    name = site_name(["tenant.mail.protection.outlook.com", "mx.example.net"])

    assert "{mx.example.net,tenant.mail.protection.outlook.com}" == name


@pytest.mark.parametrize(
    ("written", "transport", "site"),
    [
        ("mx.example.net", "smtp", "mx.example.net"),
        ("mx.example.net:587", "smtp", "mx.example.net:587"),
        ("[2001:db8::1]:24", "lmtp", "lmtp:[2001:db8::1]:24"),
    ],
)
def test_one_written_host_is_named_like_an_mx_host(written: str, transport: str, site: str) -> None:
    assert site == site_of((NextHop.parse(written),), 25, transport)


names = st.lists(
    st.sampled_from(["a", "b", "mx1", "mx2", "example", "net", "com"]), min_size=1, max_size=5
).map(".".join)
host_sets = st.sets(names, min_size=1, max_size=5)


@given(host_sets, st.randoms())
def test_order_and_repetition_do_not_count(hosts: set[str], random: object) -> None:
    shuffled = [*hosts, *hosts]
    random.shuffle(shuffled)

    assert site_name(hosts) == site_name(shuffled)


@given(host_sets, host_sets)
def test_different_sets_have_different_names(one: set[str], other: set[str]) -> None:
    assert (one == other) == (site_name(one) == site_name(other))


@given(
    st.sets(st.integers(0, 10_000), min_size=100, max_size=100),
    st.sets(st.integers(0, 10_000), min_size=100, max_size=100),
)
def test_long_names_are_cut_and_stay_different(one: set[int], other: set[int]) -> None:
    sites = [site_name([f"host-{number}.example.net" for number in numbers]) for numbers in (one, other)]

    assert all(len(site) <= SITE_OCTETS_MAX for site in sites)
    assert (one == other) == (sites[0] == sites[1])
