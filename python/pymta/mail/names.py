"""
One canonical form of a host or domain name, so that every cache, table and limit means the same name by the same text.

It does not know addresses or address literals. Rule: what leaves here is ASCII, lower case, without a final dot, safe
in a log line, a DNS question and a TLS server name.
"""

import re
from functools import lru_cache

import idna

# RFC 1035 §2.3.4 and §3.1: 255 octets on the wire are 253 as text without the final dot.
NAME_OCTETS_MAX = 253
LABEL_OCTETS_MAX = 63

# Answers that are remembered: the router, the directory and the DNS ask for the same name, once a message each.
_REMEMBERED_MAX = 2048

# Letters, digits, hyphen, and the underscore that service names (_25._tcp) and some real hosts have. The DNS allows any
# octet (RFC 2181 §11); mail has no use for others and logs, DSNs and TLS have trouble with them.
_ASCII_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.(?!-)[a-z0-9_-]{1,63})*", re.ASCII)


class InvalidName(ValueError):
    """The text is no name that mail could be sent to."""


@lru_cache(_REMEMBERED_MAX)
def canonical_name(text: str) -> str:
    """
    The canonical form of a domain or host name.

    Args:
        text: As written: any case, U-labels or A-labels (RFC 6531 §3.2), with or without a final dot.

    Returns:
        A-labels in lower case without a final dot, at most 253 octets.

    Raises:
        InvalidName: It is empty, too long, or holds what no host name holds.

    Unicode goes through UTS 46 (non-transitional), so that the full-width dot and the Kelvin sign give one identity.
    An A-label that does not decode, or that another spelling would give, is refused: it would be a second name for
    the same thing (RFC 5891 §4.4).
    """
    try:
        name = text.lower() if text.isascii() else idna.encode(text, uts46=True).decode("ascii")
        if name.endswith("."):
            name = name[:-1]
        if "xn--" in name and idna.encode(idna.decode(name)).decode("ascii") != name:
            raise InvalidName(f"not a host name: {text[:NAME_OCTETS_MAX]!r}")
    except UnicodeError as error:  # idna.IDNAError is one
        raise InvalidName(f"not a host name: {text[:NAME_OCTETS_MAX]!r}") from error
    if len(name) > NAME_OCTETS_MAX or not _ASCII_NAME.fullmatch(name):
        raise InvalidName(f"not a host name: {text[:NAME_OCTETS_MAX]!r}")
    return name


def readable_name(name: str) -> str:
    """The form in U-labels of a canonical name: what a client that speaks SMTPUTF8 may write."""
    return idna.decode(name) if "xn--" in name else name
