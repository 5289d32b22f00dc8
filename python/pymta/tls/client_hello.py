"""
What a TLS client says first, as far as it tells an authority from a client: the server's name and the protocols it offers.

Python's `ssl` tells the name in a callback, but not the protocols, and chooses by them only after the certificate is
chosen. Not a parser of TLS: OpenSSL reads the same octets again, and decides. What cannot be read here is nobody's challenge.

    record:     type(1)=22  version(2)  length(2)  fragment
    handshake:  type(1)=1   length(3)   body                            (RFC 8446 §4, §5.1)
    body:       version(2)  random(32)  session(1+)  ciphers(2+)  compressions(1+)  extensions(2+)    (§4.1.2)
"""

from typing import Final, NamedTuple

__all__ = ["HELLO_OCTETS_MAX", "ClientHello", "NeedMore", "read_client_hello"]

HELLO_OCTETS_MAX: Final = 16 * 1024
"""Longer ones exist on paper only; post-quantum key shares take some 1,500 octets."""

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _ALPN = 0, 16  # RFC 6066 §3, RFC 7301 §3.1
_HOST_NAME: Final = 0
_BEFORE_SESSION_OCTETS: Final = 2 + 32


class ClientHello(NamedTuple):
    """What it says of itself; empty where it does not."""

    server_name: str
    protocols: tuple[str, ...]


class NeedMore(Exception):
    """The octets are the beginning of a ClientHello."""


class _Reader:
    """Takes what is counted from the front; ValueError where it is not there."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._octets)

    def take(self, count: int) -> bytes:
        taken = self._octets[self._at : self._at + count]
        if len(taken) != count:
            raise ValueError("cut short")
        self._at += count
        return taken

    def number(self, octets: int) -> int:
        return int.from_bytes(self.take(octets), "big")

    def vector(self, octets: int) -> "_Reader":
        """What follows its length, which takes *octets* octets."""
        return _Reader(self.take(self.number(octets)))

    def rest(self) -> bytes:
        return self.take(len(self._octets) - self._at)


def read_client_hello(octets: bytes) -> ClientHello:
    """
    What the ClientHello at the beginning of *octets* says.

    Raises:
        NeedMore: It is not whole yet.
        ValueError: It is none, or one that nobody sends.
    """
    message = _handshake_message(octets)
    reader = _Reader(message)
    reader.take(_BEFORE_SESSION_OCTETS)
    reader.vector(1)
    reader.vector(2)
    reader.vector(1)
    name = ""
    protocols: tuple[str, ...] = ()
    extensions = reader.vector(2) if reader else _Reader(b"")
    while extensions:
        kind, body = extensions.number(2), extensions.vector(2)
        if kind == _SERVER_NAME:
            name = _name(body)
        elif kind == _ALPN:
            protocols = _protocols(body)
    return ClientHello(name, protocols)


def _handshake_message(octets: bytes) -> bytes:
    """The body of the first handshake message, put together from as many records as it takes."""
    fragments, at = b"", 0
    while True:
        head = octets[at : at + 5]
        if head[:1] not in (b"", bytes((_HANDSHAKE,))):
            raise ValueError("no handshake")
        if len(head) < 5:
            raise NeedMore
        length = int.from_bytes(head[3:5], "big")
        if not length:
            raise ValueError("an empty record")
        fragments += octets[at + 5 : at + 5 + length]
        at += 5 + length
        if fragments[:1] not in (b"", bytes((_CLIENT_HELLO,))):
            raise ValueError("no ClientHello")
        if len(fragments) >= 4:
            whole = 4 + int.from_bytes(fragments[1:4], "big")
            if whole > HELLO_OCTETS_MAX:
                raise ValueError(f"more than {HELLO_OCTETS_MAX} octets")
            if len(fragments) >= whole:
                return fragments[4:whole]
        if at > len(octets):
            raise NeedMore


def _name(body: _Reader) -> str:
    names = body.vector(2)
    while names:
        kind, name = names.number(1), names.vector(2).rest()
        if kind == _HOST_NAME:
            return name.decode("ascii")  # UnicodeDecodeError is a ValueError
    return ""


def _protocols(body: _Reader) -> tuple[str, ...]:
    offered, found = body.vector(2), []
    while offered:
        found.append(offered.vector(1).rest().decode("latin-1"))
    return tuple(found)
