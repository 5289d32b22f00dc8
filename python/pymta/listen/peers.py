"""
Who a client is, by its address: as it is counted, and which networks it is in.
"""

import ipaddress
from collections.abc import Callable
from functools import lru_cache

from pymta.config.values import Network, parse_ip

__all__ = ["counted_address", "is_loopback", "membership", "unmapped"]

# One IPv6 customer has at least a /64, so that is what is counted as one address.
_V6_PREFIX_BITS = 64

# Distinct addresses whose network membership is remembered; a lookup takes microseconds, a hit none.
_MEMBERSHIP_ENTRIES_MAX = 4096


def unmapped(address: str) -> str:
    """An IPv4 client of a dual-stack socket is an IPv4 client."""
    return address.removeprefix("::ffff:") if address.startswith("::ffff:") and "." in address else address


@lru_cache(maxsize=_MEMBERSHIP_ENTRIES_MAX)
def is_loopback(address: str) -> bool:
    """Whether a client of that address is on this host."""
    try:
        return parse_ip(address).is_loopback
    except ValueError:
        return False


def counted_address(address: str) -> str:
    """The address that connections are counted by: an IPv6 one stands for its /64."""
    if ":" not in address:
        return address
    return str(ipaddress.IPv6Network((address, _V6_PREFIX_BITS), strict=False).network_address)


def membership(networks: tuple[Network, ...]) -> Callable[[str], bool]:
    """Whether an address is in one of the networks; remembers the last answers."""
    if not networks:
        return _nobody
    parsed = tuple(ipaddress.ip_network(str(network)) for network in networks)

    @lru_cache(maxsize=_MEMBERSHIP_ENTRIES_MAX)
    def is_member(address: str) -> bool:
        try:
            ip = parse_ip(address)
        except ValueError:
            return False
        return any(ip.version == network.version and ip in network for network in parsed)

    return is_member


def _nobody(address: str) -> bool:
    return False
