"""
What a router is told: rules, fail-over list, limits. Values only; `Router.from_settings` makes them of the file.
"""

from typing import Literal

import msgspec

from pymta.config.settings import Settings
from pymta.config.values import NextHop
from pymta.dns import Families
from pymta.mail.route import TlsMode
from pymta.route.ourselves import Ourselves
from pymta.route.site import SHARED_SUFFIXES
from pymta.route.table import Rule


class RouterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Frozen; a reload makes a new router."""

    rules: tuple[Rule, ...] = ()
    smarthosts: tuple[NextHop, ...] = ()
    """For all mail that no rule is for, in the order in which to try them."""
    tls: TlsMode = TlsMode.OPPORTUNISTIC
    mx_port: int = 25
    mx_hosts_max: int = 20
    """MX hosts of one domain whose addresses are asked for. Bounds the queries of one domain: 1 + 2 x this."""
    addresses_max: int = 5
    """Hops of one route (RFC 5321 §5.1 asks for at least two tries)."""
    address_families: Families = "both"
    first_family: Literal["ipv4", "ipv6"] = "ipv4"
    """
    The families of a host take turns, beginning with this one. IPv4, because many receivers refuse for good what comes
    over IPv6 without a PTR record, and a refusal is not followed by a try of the other family.
    """
    loopback_allowed: bool = False
    """Go where an MX record or an address literal points to loopback and other addresses that no MX can have."""
    ourselves: Ourselves = Ourselves()
    shared_suffixes: tuple[str, ...] = SHARED_SUFFIXES
    routes_max: int = 50_000
    """Decisions kept for the fast path."""
    route_s_max: int = 60
    """No decision is kept longer. Equal preferences are shuffled anew with each, mostly without a DNS query."""

    @classmethod
    def from_settings(cls, settings: Settings) -> "RouterSettings":
        """
        What the whole configuration says.

        Where every listener is on loopback, only this host can reach us and we may go to it: a lab, a test, `make run`.
        """
        listeners = [listener.address for listener in settings.listeners]
        names = [settings.server.hostname.name]
        if settings.delivery.hello_name is not None:
            names.append(settings.delivery.hello_name.name)
        return cls(
            rules=tuple(Rule.from_settings(route) for route in settings.routes),
            smarthosts=settings.routing.smarthosts,
            tls=TlsMode(settings.delivery.tls),
            mx_port=settings.routing.mx_port,
            mx_hosts_max=settings.routing.mx_hosts_max,
            addresses_max=settings.routing.addresses_max,
            address_families=settings.routing.address_families,
            loopback_allowed=all(listener.is_loopback for listener in listeners),
            ourselves=Ourselves.from_listeners(names, listeners),
        )
