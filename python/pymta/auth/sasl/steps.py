"""
What a mechanism says next, and what it is told about the channel.
"""

from abc import ABC, abstractmethod
from typing import Final, Protocol, TypeAlias

import msgspec

from pymta.auth.scram import ScramKeys
from pymta.mail.secret import Secret

__all__ = [
    "CertificateOffered",
    "Challenge",
    "Channel",
    "Failed",
    "KeysWanted",
    "Malformed",
    "Mechanism",
    "PasswordOffered",
    "Proven",
    "Step",
    "TokenOffered",
    "text_of",
]

# RFC 4616 §2 gives each part of PLAIN 255 octets; no name of an account is longer.
NAME_OCTETS_MAX: Final = 255


class Channel(msgspec.Struct, frozen=True):
    """What the connection below vouches for."""

    end_point: bytes | None = None
    """The `tls-server-end-point` of this connection (RFC 5929 §4); None without TLS, or where it is not defined."""
    certificate_addresses: tuple[str, ...] = ()
    """The addresses that the client's verified certificate is for."""


class Challenge(msgspec.Struct, frozen=True):
    """To be sent; the client answers."""

    octets: bytes


class PasswordOffered(msgspec.Struct, frozen=True):
    """Is it right? Ends the exchange."""

    account: str
    password: Secret
    authorization: str = ""


class KeysWanted(msgspec.Struct, frozen=True):
    """Give the account's keys, or made-up ones, to `Mechanism.keys`."""

    account: str


class TokenOffered(msgspec.Struct, frozen=True):
    """Is this bearer token good for the account? If so it ends the exchange; else call `Mechanism.refused`."""

    account: str
    token: Secret


class CertificateOffered(msgspec.Struct, frozen=True):
    """Which account are these addresses of a verified certificate? Ends the exchange."""

    addresses: tuple[str, ...]
    authorization: str = ""


class Proven(msgspec.Struct, frozen=True):
    """The client has shown that it is this account."""

    account: str
    authorization: str = ""
    proof: bytes = b""
    """What the server has to say at the end, for the client to know that it talks to the right one; empty for nothing."""


class Failed(msgspec.Struct, frozen=True):
    """It has not."""

    account: str
    cause: str


class Malformed(msgspec.Struct, frozen=True):
    """A response that no client of this mechanism sends."""

    cause: str


Step: TypeAlias = (
    Challenge | PasswordOffered | KeysWanted | TokenOffered | CertificateOffered | Proven | Failed | Malformed
)


class Mechanism(Protocol):
    """One exchange of one mechanism."""

    name: str

    def start(self, initial: bytes | None) -> Step:
        """Begin, with an initial response where the client sent one."""

    def respond(self, response: bytes) -> Step:
        """After a challenge."""

    def keys(self, keys: ScramKeys) -> Step:
        """After KeysWanted."""

    def refused(self) -> Step:
        """After TokenOffered, where the token is no good."""


class ClientFirst(ABC):
    """A mechanism whose client speaks first: without an initial response it is asked by an empty challenge."""

    def start(self, initial: bytes | None) -> Step:
        return Challenge(b"") if initial is None else self.respond(initial)

    @abstractmethod
    def respond(self, response: bytes) -> Step: ...

    def keys(self, keys: ScramKeys) -> Step:
        raise AssertionError("nobody asked for keys")

    def refused(self) -> Step:
        raise AssertionError("there was no token")


def text_of(octets: bytes, *, octets_max: int = NAME_OCTETS_MAX) -> str | None:
    """UTF-8 without control characters and of at most that many octets; None for anything else (RFC 4616 §2)."""
    if len(octets) > octets_max:
        return None
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return None
    return None if any(c < " " or c == "\x7f" for c in text) else text
