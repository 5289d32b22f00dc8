"""
What must not be combined, although each option alone is fine. Above all: never an open relay.

Each rule looks at finished settings and tells where the trouble is and what to do instead. Rules that look at the
system (files that exist, users) are checked where they are used, and by `pymta check`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from pymta.config.settings import ListenerSettings, RouteSettings, Settings
from pymta.config.toml_lines import Path
from pymta.config.values import Network

__all__ = ["Problem", "problems"]


class Problem(NamedTuple):
    """What is wrong with the option at *path*."""

    path: Path
    text: str


def problems(settings: Settings) -> Iterator[Problem]:
    """All that is wrong, the most dangerous first."""
    yield from _open_relay(settings)
    yield from _listeners(settings)
    yield from _acme(settings)
    yield from _routes(settings)
    yield from _delivery(settings)
    yield from _directory(settings)
    yield from _queue(settings)
    yield from _spool(settings)
    yield from _doors_of_our_own(settings)
    yield from _workers(settings)


def _open_relay(settings: Settings) -> Iterator[Problem]:
    for index, listener in enumerate(settings.listeners):
        if not _is_exposed(listener):
            continue
        for position, network in enumerate(listener.trusted_networks):
            if network.is_everything:
                yield Problem(
                    ("listeners", index, "trusted_networks", position),
                    f'"{network}" would make an open relay: anyone who reaches {listener.address} could send mail to '
                    f"anywhere in your name. Name the networks of your own clients",
                )
        for option in ("xclient_networks", "proxy_networks"):
            networks: tuple[Network, ...] = getattr(listener, option)
            for position, network in enumerate(networks):
                if network.is_everything:
                    yield Problem(
                        ("listeners", index, option, position),
                        f'"{network}" would let anyone claim to be a trusted client. Name your proxies one by one',
                    )
    if not any(_is_exposed(listener) for listener in settings.listeners):
        return
    for position, pattern in enumerate(settings.domains.relay_domains):
        if pattern.is_everything or "." not in pattern.text.removeprefix("."):
            yield Problem(
                ("domains", "relay_domains", position),
                f'"{pattern}" would make an open relay, because strangers reach a listener. Name the domains that '
                f"you relay for",
            )


def _is_exposed(listener: ListenerSettings) -> bool:
    """Whether strangers may reach it: directly, or through a proxy on this host that speaks for them."""
    return not listener.address.is_loopback or bool(listener.proxy_networks)


def _listeners(settings: Settings) -> Iterator[Problem]:
    if not settings.listeners:
        yield Problem(("listeners",), "expected at least one")
    names: dict[str, int] = {}
    addresses: dict[str, int] = {}
    for index, listener in enumerate(settings.listeners):
        here: Path = ("listeners", index)
        if listener.role == "lmtp" and listener.address.port == 25:
            yield Problem((*here, "address"), "expected another port than 25 for LMTP (RFC 2033 §5)")
        if (
            listener.role in ("submission", "pop3", "imap")
            and listener.tls == "none"
            and settings.auth.in_the_clear == "never"
        ):
            yield Problem(
                (*here, "tls"),
                'nobody can log in without TLS: "starttls" or "implicit", or auth.in_the_clear = "loopback"',
            )
        if listener.tls == "none" and listener.client_ca_file:
            yield Problem((*here, "client_ca_file"), 'without effect, because tls is "none"')
        if listener.name in names:
            yield Problem(
                (*here, "name"), f'"{listener.name}" is the name of listeners[{names[listener.name]}] too'
            )
        names.setdefault(listener.name, index)
        address = str(listener.address)
        if listener.address.port and address in addresses:
            yield Problem((*here, "address"), f"{address} is taken by listeners[{addresses[address]}]")
        addresses.setdefault(address, index)
        if listener.tls != "none" and listener.certificate_file is None and not settings.acme.names:
            yield Problem(
                (*here, "certificate_file"),
                f'missing, and tls = "{listener.tls}" needs one, or names in [acme]',
            )
        if listener.key_file and listener.tls != "none" and listener.certificate_file is None:
            yield Problem((*here, "key_file"), "without effect, because there is no certificate_file")
        if listener.tls == "none" and (listener.certificate_file or listener.key_file):
            option = "certificate_file" if listener.certificate_file else "key_file"
            yield Problem((*here, option), 'without effect, because tls is "none"; is "starttls" meant?')
        try:
            listener.limits_over(settings.limits)
        except msgspec.ValidationError as error:
            yield _limit_problem(here, str(error))


def _acme(settings: Settings) -> Iterator[Problem]:
    acme = settings.acme
    if not acme.names:
        return
    if not acme.agree_to_terms:
        yield Problem(
            ("acme", "agree_to_terms"),
            "an authority gives certificates only to those who agree to its terms: read them, then say true",
        )
    if acme.challenge == "http-01" and not acme.addresses:
        yield Problem(
            ("acme", "addresses"),
            'missing, and challenge = "http-01" needs them: ["0.0.0.0:80", "[::]:80"], or where a web server passes '
            "/.well-known/acme-challenge/ on to",
        )
    implicit = any(listener.tls == "implicit" for listener in settings.listeners)
    if acme.challenge == "tls-alpn-01" and not acme.addresses and not implicit:
        yield Problem(
            ("acme", "addresses"),
            'missing, and challenge = "tls-alpn-01" needs them or a listener with tls = "implicit"',
        )
    if bool(acme.account_id) != (acme.account_secret_file is not None):
        option = "account_secret_file" if acme.account_id else "account_id"
        yield Problem(("acme", option), "missing: account_id and account_secret_file belong together")
    for position, name in enumerate(acme.names):
        if name in acme.names[:position]:
            yield Problem(("acme", "names", position), f'"{name}" is there twice')
    yield from _ordered(settings, ("acme", "retry_s_min"), ("acme", "retry_s_max"))


def _limit_problem(here: Path, message: str) -> Problem:
    unknown = re.search(r"unknown field `(.*)`", message)
    if unknown is not None:
        return Problem((*here, "limits", unknown.group(1)), "unknown option; [limits] has none of that name")
    text, _, place = message.partition(" - at `$.")
    return Problem((*here, "limits", place.rstrip("`")), text[:1].lower() + text[1:])


def _routes(settings: Settings) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, route in enumerate(settings.routes):
        here: Path = ("routes", index)
        if route.transport == "lmtp" and not route.next_hops:
            yield Problem((*here, "next_hops"), 'missing, and transport = "lmtp" needs at least one')
        if route.transport == "discard" and route.next_hops:
            yield Problem((*here, "next_hops"), 'without effect, because transport is "discard"')
        yield from _on_this_host(route, here)
        if route.domain.text in seen:
            yield Problem(
                (*here, "domain"),
                f'"{route.domain}" never gets here: routes[{seen[route.domain.text]}] takes it',
            )
        elif "*" in seen:
            yield Problem((*here, "domain"), f"never gets here: routes[{seen['*']}] takes everything")
        seen.setdefault(route.domain.text, index)


def _on_this_host(route: RouteSettings, here: Path) -> Iterator[Problem]:
    """What a pipe and an mbox need, and what only they have."""
    for option, transport, value in (("command", "pipe", route.command), ("file", "mbox", route.file)):
        if value and route.transport != transport:
            yield Problem((*here, option), f'without effect, because transport is not "{transport}"')
        if not value and route.transport == transport:
            yield Problem((*here, option), f'missing, and transport = "{transport}" needs it')
    if route.transport in ("pipe", "mbox") and route.next_hops:
        yield Problem((*here, "next_hops"), f'without effect, because transport is "{route.transport}"')
    if route.command and not route.command[0].startswith("/"):
        yield Problem((*here, "command"), "expected the program with its whole path")
    if route.file is not None and not route.file.startswith("/"):
        yield Problem((*here, "file"), "expected a whole path")


def _delivery(settings: Settings) -> Iterator[Problem]:
    delivery = settings.delivery
    families = [source.is_ipv6 for source in delivery.source_addresses]
    for position, family in enumerate(families):
        if family in families[:position]:
            yield Problem(
                ("delivery", "source_addresses", position),
                f"expected at most one {'IPv6' if family else 'IPv4'} address; a policy can choose between more",
            )
    yield from _ordered(
        settings, ("delivery", "connections_per_site_start"), ("delivery", "connections_per_site_max")
    )
    yield from _ordered(settings, ("delivery", "suspend_s_min"), ("delivery", "suspend_s_max"))


def _directory(settings: Settings) -> Iterator[Problem]:
    if settings.directory.source == "file" and settings.directory.file is None:
        yield Problem(("directory", "file"), 'missing, and source = "file" needs one')

    if settings.directory.source != "ldap":
        return
    for option in ("base_dn", "domains"):
        if not getattr(settings.ldap, option):
            yield Problem(("ldap", option), 'missing, and directory.source = "ldap" needs it')
    for position, pattern in enumerate(settings.ldap.domains):
        if pattern.is_everything or pattern.text.startswith("."):
            yield Problem(("ldap", "domains", position), f'expected one domain, got "{pattern}"')


def _queue(settings: Settings) -> Iterator[Problem]:
    yield from _ordered(settings, ("queue", "retry_s_min"), ("queue", "retry_s_max"))
    yield from _ordered(settings, ("queue", "retry_s_min"), ("queue", "lifetime_s"))
    yield from _ordered(settings, ("queue", "active_per_group_max"), ("queue", "active_max"))
    yield from _ordered(settings, ("dns", "timeout_s"), ("dns", "lookup_s_max"))


def _spool(settings: Settings) -> Iterator[Problem]:
    yield from _ordered(settings, ("spool", "spill_octets"), ("spool", "memory_octets_max"))
    yield from _ordered(settings, ("spool", "spill_octets"), ("spool", "segment_octets"))


def _doors_of_our_own(settings: Settings) -> Iterator[Problem]:
    if settings.http.enabled and not settings.http.address.is_loopback:
        yield Problem(
            ("http", "address"),
            f"expected a loopback address: nobody is asked for a password at {settings.http.address}. Put a proxy in "
            f"front that asks",
        )
    sink = settings.sink.address
    if sink is not None and not sink.is_loopback:
        yield Problem(
            ("sink", "address"),
            f"expected a loopback address: the sink takes anything, at {sink} from anyone",
        )


def _workers(settings: Settings) -> Iterator[Problem]:
    """What is divided between the workers must be enough for one each (app/share.py)."""
    workers = settings.server.workers
    for name in (
        "connections_max",
        "connections_per_site_max",
        "messages_per_site_per_min_max",
    ):
        value: int = getattr(settings.delivery, name)
        if 0 < value < workers:
            yield Problem(
                ("delivery", name),
                f"expected at least server.workers, which is {workers}, because each worker gets its share; got {value}",
            )


def _ordered(settings: Settings, low: tuple[str, str], high: tuple[str, str]) -> Iterator[Problem]:
    """The option *low* must not be above the option *high*."""
    low_value: int = getattr(getattr(settings, low[0]), low[1])
    high_value: int = getattr(getattr(settings, high[0]), high[1])
    if low_value > high_value:
        yield Problem(low, f"expected at most {'.'.join(high)}, which is {high_value}; got {low_value}")
