"""
Whether a host is this server: what keeps mail from going round (RFC 5321 §5.1).

It asks no DNS. Rule: a host is us where it has one of our names, or where we listen on its address and port.
"""

import ipaddress
import socket
from collections.abc import Iterable

import msgspec

from pymta.config.values import Endpoint


class Ourselves(msgspec.Struct, frozen=True):
    """Our names and where we listen. What is listed is compared; only a wildcard asks the kernel."""

    hostnames: frozenset[str] = frozenset()
    """Canonical host names."""
    endpoints: frozenset[tuple[str, int]] = frozenset()
    """(address, port) that we listen on, or that something in front of us forwards to us."""
    wildcard_ports: frozenset[int] = frozenset()
    """Ports on which we listen on every address of this host."""

    @classmethod
    def from_listeners(cls, hostnames: Iterable[str], listeners: Iterable[Endpoint]) -> "Ourselves":
        """What *listeners* say: 0.0.0.0 and :: are wildcards."""
        named: set[tuple[str, int]] = set()
        wildcards: set[int] = set()
        for listener in listeners:
            if ipaddress.ip_address(listener.address).is_unspecified:
                wildcards.add(listener.port)
            else:
                named.add((listener.address, listener.port))
        return cls(frozenset(name.lower() for name in hostnames), frozenset(named), frozenset(wildcards))

    def is_named(self, host: str) -> bool:
        """True for one of our names, in canonical form."""
        return host in self.hostnames

    def listens_on(self, address: str, port: int) -> bool:
        """True where a connection to *address* and *port* would be answered by ourselves."""
        if (address, port) in self.endpoints:
            return True
        return port in self.wildcard_ports and is_address_of_this_host(address)


def is_address_of_this_host(address: str) -> bool:
    """
    Whether the kernel would deliver to itself.

    It is asked for the source address of a connection to *address*, which for its own is that address. Nothing is
    sent. (Binding to it would ask the same, but with `ip_nonlocal_bind`, common on fail-over pairs, always succeeds.)
    """
    ip = ipaddress.ip_address(address)
    if ip.is_loopback or ip.is_unspecified:
        return True
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))  # any port: a datagram socket's connect() only chooses the route
            return str(probe.getsockname()[0]) == str(ip)
    except OSError:  # no route, no such family: not ours
        return False
