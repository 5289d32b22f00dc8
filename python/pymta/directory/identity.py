"""
One canonical form of an address: every table, limit and comparison means the same person by the same text.

    domain       A-labels in lower case (mail/names.py; RFC 5891 §4.4)
    local part   width mapped, lower case, Unicode Normal Form C (RFC 8265 §3.3 "UsernameCaseMapped", RFC 6531 §3.1);
                 quoted only where it has to be (RFC 5321 §4.1.2)

RFC 5321 §2.4 leaves the case of a local part to the host that owns it. For the domains in our directory that is us,
and two people whose addresses differ in case only would be a trap. Mail that goes on keeps what was written.

Rule: idempotent. `canonical_address(canonical_address(x)) == canonical_address(x)`; a property test holds it to that.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

from pymta._core import Address
from pymta.mail.names import InvalidName, canonical_name

__all__ = [
    "InvalidAddress",
    "canonical_address",
    "canonical_local_part",
    "folder_of",
    "join",
    "split",
]

# RFC 5321 §4.1.2 Atom, with the UTF-8 of RFC 6531 §3.3.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+"
_DOT_STRING = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
# What stays as it is in the name of a folder; the rest becomes %XX.
_FOLDER_SAFE: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-+=.")
_CACHE_ENTRIES_MAX: Final = 4096


class InvalidAddress(ValueError):
    """The text is no address of an account or alias; the sentence says why."""


def canonical_address(text: str | Address) -> str:
    """
    The canonical form of a whole address.

    Args:
        text: `local-part@domain` as anybody wrote it.

    Raises:
        InvalidAddress: It is none, has no domain or an address literal for one, or holds control characters.
    """
    return join(*split(text))


def split(text: str | Address) -> tuple[str, str]:
    """The canonical local part, without quotes, and the canonical domain. Raises as `canonical_address`."""
    if isinstance(text, str):
        return _split_text(text)
    return canonical_local_part(text.local_part), _canonical_domain(text.domain)


@lru_cache(maxsize=_CACHE_ENTRIES_MAX)
def _split_text(text: str) -> tuple[str, str]:
    try:
        # A domain in full-width letters is a domain: the grammar is asked about the canonical one.
        local, at, domain = text.rpartition("@")
        address = Address(f"{local}@{_canonical_domain(domain)}" if at else text)
    except InvalidAddress:
        raise
    except ValueError as error:
        raise InvalidAddress(f"not an address: {text[:254]!r} ({error})") from None
    return canonical_local_part(address.local_part), _canonical_domain(address.domain)


def join(local_part: str, domain: str) -> str:
    """The address of a canonical local part, in quotes where the grammar wants them, at a canonical domain."""
    if not _DOT_STRING.fullmatch(local_part):
        local_part = '"' + local_part.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{local_part}@{domain}"


def canonical_local_part(text: str) -> str:
    """
    The canonical form of a local part, without the quotes that it may be written with.

    Raises:
        InvalidAddress: It holds control or format characters, or what Unicode has not assigned.
    """
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        text = _ESCAPED.sub(r"\1", text[1:-1])
    if text.isascii():
        if not text.isprintable():
            raise InvalidAddress(f"control characters in a local part: {text!r}")
        return text.lower()
    return _canonical_unicode(text)


def _canonical_unicode(text: str) -> str:
    """RFC 8265 §3.3.2: width mapping, case mapping, NFC; and no invisible characters that make two of one."""
    mapped = text
    for _ in range(
        4
    ):  # lower case and NFC can each make room for the other; two rounds are the most that was seen
        before = mapped
        # By character, because `str.lower` looks at the neighbours of a final sigma.
        mapped = "".join(c.lower() for c in "".join(map(_width_mapped, mapped)))
        mapped = unicodedata.normalize("NFC", mapped)
        if mapped == before:
            break
    for character in mapped:
        if unicodedata.category(character) in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"):
            raise InvalidAddress(f"invisible or unassigned characters in a local part: {text!r}")
    return mapped


def _width_mapped(character: str) -> str:
    decomposition = unicodedata.decomposition(character)
    if decomposition.startswith(("<wide>", "<narrow>")):
        return chr(int(decomposition.split()[1], 16))
    return character


@lru_cache(maxsize=_CACHE_ENTRIES_MAX)
def _canonical_domain(domain: str) -> str:
    try:
        return canonical_name(domain)
    except InvalidName as error:
        raise InvalidAddress(str(error)) from None


def folder_of(address: str) -> str:
    """
    A path below the mailboxes' root for an account of that canonical address: `example.org/alice`.

    Whatever a local part holds, the result is two plain names: a hostile one (`../x`, `.`, a slash, a NUL) becomes
    `%2E%2E%2Fx`. Two addresses never share a folder, because the form can be reversed.
    """
    local, domain = split(address)
    octets = local.encode()
    name = "".join(chr(o) if o in _FOLDER_SAFE else f"%{o:02X}" for o in octets)
    if name.startswith("."):
        name = "%2E" + name[1:]
    return f"{domain}/{name}"
