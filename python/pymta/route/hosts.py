"""
From hosts to hops: which of their addresses are tried, in which order, and how many.

It asks no DNS and does not know why a host was chosen. Rule: hosts keep the order in which they are given; a host with
many addresses does not push the next host out of the list.
"""

import ipaddress
from random import Random
from typing import Literal

import msgspec

from pymta.mail.route import Hop

Family = Literal["ipv4", "ipv6"]


class Host(msgspec.Struct, frozen=True):
    """A next-hop host and its addresses, as the DNS or the configuration has them."""

    name: str
    addresses: tuple[str, ...]
    port: int


def hops_of(
    hosts: list[Host], *, addresses_max: int, first_family: Family, random: Random
) -> tuple[Hop, ...]:
    """
    At most *addresses_max* hops, host after host.

    Places go round by round: each host gets one before any gets two, so that a dead host with fifty addresses leaves
    room for its backup. Inside a host the addresses are shuffled (the DNS's own rotation is lost in caches) and the
    families take turns.
    """
    woven = [_take_turns(host.addresses, first_family, random) for host in hosts]
    quota = [0] * len(hosts)
    left = addresses_max
    while left > 0:
        before = left
        for index, addresses in enumerate(woven):
            if left > 0 and quota[index] < len(addresses):
                quota[index] += 1
                left -= 1
        if left == before:
            break
    return tuple(
        Hop(host.name, address, host.port)
        for host, addresses, count in zip(hosts, woven, quota, strict=True)
        for address in addresses[:count]
    )


def _take_turns(addresses: tuple[str, ...], first_family: Family, random: Random) -> list[str]:
    unique = list(dict.fromkeys(addresses))
    random.shuffle(unique)
    ipv6 = [address for address in unique if ":" in address]
    ipv4 = [address for address in unique if ":" not in address]
    first, second = (ipv4, ipv6) if first_family == "ipv4" else (ipv6, ipv4)
    turns = [address for pair in zip(first, second, strict=False) for address in pair]
    shorter = min(len(first), len(second))
    return turns + first[shorter:] + second[shorter:]


def is_no_place_for_mail(address: str) -> bool:
    """
    True for an address that no host on another machine can have: loopback, unspecified, multicast, link-local, reserved.

    Domains point there to be rid of mail, or to have us talk to our own services. Private networks are not meant: an
    intranet's MX hosts are there.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_no_place_for_mail(str(ip.ipv4_mapped))
        # `is_reserved` would take in 64:ff9b::/96, behind which NAT64 has the whole IPv4 network (RFC 6052).
        return ip.is_loopback or ip.is_unspecified or ip.is_multicast or ip.is_link_local
    return ip.is_loopback or ip in _THIS_NETWORK or ip.is_multicast or ip.is_link_local or ip.is_reserved


_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")
