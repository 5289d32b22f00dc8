"""
Where a message goes next and how: the answer of `route/`, the order for `deliver/`.

A noun only: nothing here looks anything up.
"""

from enum import StrEnum

import msgspec

__all__ = ["Hop", "Route", "TlsMode"]


class TlsMode(StrEnum):
    """What a next hop must offer before it gets the message."""

    NONE = "none"
    OPPORTUNISTIC = "opportunistic"
    """STARTTLS where it is offered, whatever the certificate (RFC 7435)."""
    REQUIRED = "required"
    """Encrypted, whatever the certificate; else deferred with 4.7.4."""
    VERIFIED = "verified"
    """Encrypted, and the certificate is for the hop's name."""


class Hop(msgspec.Struct, frozen=True):
    """One address of one next-hop host."""

    host: str
    """Its name as the MX record, the configuration or the address literal has it; checked against certificates."""
    address: str
    """IPv4 or IPv6 in text form."""
    port: int


class Route(msgspec.Struct, frozen=True):
    """How mail for a domain leaves."""

    transport: str
    """smtp, lmtp, local, pipe, mbox or discard."""
    site: str
    """The set of hosts behind it, under one name: the unit of shaping (ARCHITECTURE.md, shaping)."""
    hops: tuple[Hop, ...]
    """In the order in which to try them; empty for what stays on this host."""
    tls: TlsMode
    source: str | None
    """The egress address to connect from; None leaves it to the system."""
    expires_ms: int
    """Until when the answer may be used (the least TTL that it rests on)."""
    reason: str
    """In words, for `pymta explain` and the log."""
    command: tuple[str, ...] = ()
    """The program and its arguments, of a pipe."""
    file: str = ""
    """The file, of an mbox; what stands in braces is the recipient's."""
