"""
What configuration values mean: endpoints, next hops, networks, host names, domain patterns.

Each is a small immutable value made from the text in the file; ValueError says what was expected. They hold
no defaults and know no option: which option has which type is in `settings/`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Any, Final, NoReturn, Self

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_HOST_NAME_OCTETS_MAX: Final = 253  # RFC 1035 §2.3.4, without the root label


def is_host_name(text: str) -> bool:
    """True for a name that could be in the DNS (letters, digits, hyphen, underscore), not for an address."""
    if len(text) > _HOST_NAME_OCTETS_MAX or not _HOST_NAME.fullmatch(text):
        return False
    return not text.rsplit(".", 1)[-1].isdigit()  # 10.0.0.300 is a mistyped address, never a name


def parse_ip(text: str) -> IpAddress:
    """
    An address, with an IPv4-mapped IPv6 one (`::ffff:192.0.2.1`) as the IPv4 address that it stands for.
    """
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _split_port(text: str) -> tuple[str, int | None]:
    """`host:port`, `[::1]:port`, `[host]:port`, or without the port; the brackets are taken off."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f'expected "[address]:port", got "{text}"')
        port = rest[1:] if rest else None
    elif text.count(":") > 1:
        raise ValueError(f'expected an IPv6 address in brackets, "[{text}]:port"')
    else:
        host, colon, rest = text.partition(":")
        port = rest if colon else None
    if not host:
        raise ValueError(f'expected a host before the port, got "{text}"')
    if port is None:
        return host, None
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError(f'expected a port from 0 to 65535, got "{port}"')
    return host, int(port)


def _join_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Value:
    """
    Immutable, equal by content. No dataclass, because msgspec would expect a table in the file for one.
    """

    __slots__: tuple[str, ...] = ()

    def __init__(self, *parts: object) -> None:
        for name, part in zip(self.__slots__, parts, strict=True):
            object.__setattr__(self, name, part)

    def _parts(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._parts() == self._parts()

    def __hash__(self) -> int:
        return hash((type(self), self._parts()))

    def __repr__(self) -> str:
        return f'{type(self).__name__}("{self}")'


class Endpoint(Value):
    """
    An IP address and a port to listen on: "127.0.0.1:2525", "[::1]:2525".

    Port 0 lets the system choose one, which tests do.
    """

    __slots__ = ("address", "port")

    address: str
    port: int

    def __init__(self, address: str, port: int) -> None:
        super().__init__(address, port)

    @classmethod
    def parse(cls, text: str) -> Self:
        host, port = _split_port(text)
        if port is None:
            raise ValueError(f'expected "address:port", got "{text}"')
        try:
            return cls(str(ipaddress.ip_address(host)), port)
        except ValueError:
            raise ValueError(f'expected an IP address before the port, got "{host}"') from None

    @property
    def is_loopback(self) -> bool:
        return ipaddress.ip_address(self.address).is_loopback

    def __str__(self) -> str:
        return _join_port(self.address, self.port)


class Resolver(Value):
    """The address of a DNS server, port 53 unless written: "127.0.0.1", "127.0.0.1:5353", "[::1]:53"."""

    __slots__ = ("address", "port")

    address: str
    port: int

    def __init__(self, address: str, port: int) -> None:
        super().__init__(address, port)

    @classmethod
    def parse(cls, text: str) -> Self:
        try:
            return cls(str(ipaddress.ip_address(text)), 53)
        except ValueError:
            pass
        try:
            endpoint = Endpoint.parse(text)
        except ValueError:
            raise ValueError(f'expected "address" or "address:port", got "{text}"') from None
        return cls(endpoint.address, endpoint.port)

    def __str__(self) -> str:
        return _join_port(self.address, self.port)


class SourceAddress(Value):
    """An address of this host to connect from, without a port: "192.0.2.25"."""

    __slots__ = ("address",)

    address: str

    def __init__(self, address: str) -> None:
        super().__init__(address)

    @classmethod
    def parse(cls, text: str) -> Self:
        try:
            return cls(str(ipaddress.ip_address(text)))
        except ValueError:
            raise ValueError(f'expected an IP address, got "{text}"') from None

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.address

    def __str__(self) -> str:
        return self.address


class NextHop(Value):
    """
    A host to hand mail to: "smtp.example.net", "smtp.example.net:587", "192.0.2.1:25", "[2001:db8::1]:25".

    A name here is looked up for addresses only, never for MX records. Port None means the transport's own.
    """

    __slots__ = ("host", "port")

    host: str
    port: int | None

    def __init__(self, host: str, port: int | None) -> None:
        super().__init__(host, port)

    @classmethod
    def parse(cls, text: str) -> Self:
        host, port = _split_port(text)
        if port == 0:
            raise ValueError("expected a port from 1 to 65535")
        try:
            return cls(str(ipaddress.ip_address(host)), port)
        except ValueError:
            if not is_host_name(host):
                raise ValueError(f'expected a host name or an IP address, got "{host}"') from None
        return cls(host.lower(), port)

    @property
    def is_address(self) -> bool:
        """True where no name has to be looked up."""
        return ":" in self.host or not is_host_name(self.host)

    def __str__(self) -> str:
        if self.port is None:
            return f"[{self.host}]" if ":" in self.host else self.host
        return _join_port(self.host, self.port)


class Network(Value):
    """A network or one address: "192.0.2.0/24", "2001:db8::/32", "127.0.0.1"."""

    __slots__ = ("network",)

    network: IpNetwork

    def __init__(self, network: IpNetwork) -> None:
        super().__init__(network)

    @classmethod
    def parse(cls, text: str) -> Self:
        try:
            return cls(ipaddress.ip_network(text))
        except ValueError as error:
            if "host bits" in str(error):
                meant = ipaddress.ip_network(text, strict=False)
                raise ValueError(
                    f'expected a network, "{text}" has host bits set; is "{meant}" meant?'
                ) from None
            raise ValueError(f'expected a network such as "192.0.2.0/24", got "{text}"') from None

    @property
    def is_loopback(self) -> bool:
        return self.network.is_loopback

    @property
    def is_everything(self) -> bool:
        """True for a network so wide that trusting it means trusting strangers (/0 to /3)."""
        return self.network.prefixlen < 4

    def __str__(self) -> str:
        return str(self.network)


class NetworkSet:
    """
    Whether an address is in any of some networks; asked once a connection.

    IPv4-mapped IPv6 addresses, which a dual-stack socket reports, count as the IPv4 address they stand for.
    """

    __slots__ = ("_v4", "_v6")

    def __init__(self, networks: Iterable[Network]) -> None:
        listed = [network.network for network in networks]
        self._v4 = tuple(n for n in listed if isinstance(n, ipaddress.IPv4Network))
        self._v6 = tuple(n for n in listed if isinstance(n, ipaddress.IPv6Network))

    def __bool__(self) -> bool:
        return bool(self._v4 or self._v6)

    def __contains__(self, address: str | IpAddress) -> bool:
        """False for text that is no address (a scope such as `fe80::1%eth0` is dropped first)."""
        if not (self._v4 or self._v6):
            return False
        if isinstance(address, str):
            try:
                address = parse_ip(address.partition("%")[0])
            except ValueError:
                return False
        if isinstance(address, ipaddress.IPv4Address):
            return any(address in network for network in self._v4)
        return any(address in network for network in self._v6)


class HostName(Value):
    """A fully qualified host name, in lower case; what the server calls itself."""

    __slots__ = ("name",)

    name: str

    def __init__(self, name: str) -> None:
        super().__init__(name)

    @classmethod
    def parse(cls, text: str) -> Self:
        if not is_host_name(text) or "." not in text:
            raise ValueError(f'expected a fully qualified host name such as "mail.example.org", got "{text}"')
        return cls(text.lower())

    def __str__(self) -> str:
        return self.name


class MailAddress(Value):
    """An address of somebody, with its domain: "admin@example.org". Kept as written."""

    __slots__ = ("text",)

    text: str

    def __init__(self, text: str) -> None:
        super().__init__(text)

    @classmethod
    def parse(cls, text: str) -> Self:
        from pymta._core import Address  # which few configurations need

        try:
            address = Address(text)
        except ValueError as error:
            raise ValueError(
                f'expected an address such as "admin@example.org", got "{text}" ({error})'
            ) from None
        if not address.domain or address.is_literal:
            raise ValueError(f'expected an address with a domain, got "{text}"')
        return cls(text)

    def __str__(self) -> str:
        return self.text


class DomainPattern(Value):
    """
    Which domains: "example.org" is exactly that one, ".example.org" every domain below it, "*" all of them.

    Kept in lower case and in A-label form (RFC 5891), the form in which the DNS has it.
    """

    __slots__ = ("text",)

    text: str

    def __init__(self, text: str) -> None:
        super().__init__(text)

    @classmethod
    def parse(cls, text: str) -> Self:
        if text == "*":
            return cls(text)
        dot, name = ("." if text.startswith(".") else ""), text.removeprefix(".")
        name = _in_a_labels(name) or ""
        if not is_host_name(name):
            raise ValueError(
                f'expected "example.org", ".example.org" (every domain below it) or "*", got "{text}"'
            )
        return cls(dot + name.lower())

    @property
    def is_everything(self) -> bool:
        return self.text == "*"

    def matches(self, domain: str) -> bool:
        """Whether *domain*, in canonical form (lower case, A-labels or U-labels), is meant."""
        if self.text == "*":
            return True
        canonical = _in_a_labels(domain)
        if canonical is None:
            return False
        domain = canonical
        if self.text.startswith("."):
            return domain.endswith(self.text) and len(domain) > len(self.text)
        return domain == self.text

    def __str__(self) -> str:
        return self.text


def _in_a_labels(name: str) -> str | None:
    """The name as the router looks it up (IDNA 2008: `straße` is not `strasse`); None where it is none in Unicode."""
    if name.isascii() and "xn--" not in name.lower():
        return name
    from pymta.mail.names import (
        InvalidName,
        canonical_name,
    )  # tables of Unicode, which few configurations need

    try:
        return canonical_name(name)
    except InvalidName:
        return None
