"""
Which addresses are tried, in which order, and which are no place for mail.
"""

from random import Random

import pytest

from pymta.route.hosts import Host, hops_of, is_no_place_for_mail


def addresses_of(
    hosts: list[Host], addresses_max: int, first_family: str = "ipv4", seed: int = 1
) -> list[str]:
    hops = hops_of(hosts, addresses_max=addresses_max, first_family=first_family, random=Random(seed))
    return [hop.address for hop in hops]


def test_families_take_turns() -> None:
    host = Host("mx", ("192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2"), 25)

    kinds = ["6" if ":" in address else "4" for address in addresses_of([host], 5)]
    ipv6_first = ["6" if ":" in address else "4" for address in addresses_of([host], 5, "ipv6")]

    assert ["4", "6", "4", "6", "4"] == kinds
    assert ["6", "4", "6", "4", "4"] == ipv6_first


def test_each_host_gets_a_place_before_any_gets_two() -> None:
    hosts = [Host(f"mx{n}", tuple(f"192.0.{n}.{m}" for m in range(1, 51)), 25) for n in range(3)]

    assert [2, 2, 1] == [
        sum(address.startswith(f"192.0.{n}.") for address in addresses_of(hosts, 5)) for n in range(3)
    ]


def test_hosts_stay_in_their_order_and_addresses_of_one_do_not() -> None:
    hosts = [Host("b", ("192.0.2.1", "192.0.2.2"), 25), Host("a", ("192.0.2.3",), 25)]

    orders = {tuple(addresses_of(hosts, 5, seed=seed)) for seed in range(20)}

    assert {
        ("192.0.2.1", "192.0.2.2", "192.0.2.3"),
        ("192.0.2.2", "192.0.2.1", "192.0.2.3"),
    } == orders


def test_few_addresses_are_all_tried() -> None:
    assert ["192.0.2.1"] == addresses_of([Host("mx", ("192.0.2.1", "192.0.2.1"), 25)], 5)
    assert [] == addresses_of([], 5)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "255.255.255.255",
        "169.254.169.254",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:0.0.0.0",
        "fe80::1",
        "ff02::1",
    ],
)
def test_no_place_for_mail(address: str) -> None:
    assert is_no_place_for_mail(address)


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fd00::1", "64:ff9b::192.0.2.1"])
def test_a_place_for_mail(address: str) -> None:
    assert not is_no_place_for_mail(address)
