"""
What a DSN gives back of the message that it is about: all of it, or its header section (RFC 3461 §6.2, RFC 6522 §4).

Rule: the octets are those of the message, never changed; only what cannot travel in a part of lines is encoded.
"""

import base64
from typing import Literal, Protocol

import msgspec

from pymta._core import Envelope

__all__ = ["Reportable", "Returned", "returned_content"]


class Reportable(Protocol):
    """What a DSN needs of a message; a QueuedMessage has it."""

    @property
    def id(self) -> str: ...
    @property
    def envelope(self) -> Envelope: ...
    @property
    def size_octets(self) -> int: ...
    @property
    def spooled_at_ms(self) -> int: ...
    def header_section(self) -> bytes: ...
    def content(self, octets_max: int) -> bytes: ...


class Returned(msgspec.Struct, frozen=True):
    """A part's type, its transfer encoding and its octets as they stand in the part."""

    content_type: str
    transfer_encoding: Literal["7bit", "8bit", "base64"]
    octets: bytes


def returned_content(message: Reportable, *, is_full: bool, is_global: bool, octets_max: int) -> Returned:
    """
    The third part of a DSN.

    Args:
        message: Read only as far as needed.
        is_full: All of it is wanted. It is returned so unless it is longer than *octets_max*, or not made of lines
            (BINARYMIME, RFC 3030 §3): such octets fit no part of lines, and RFC 2046 §5.2.1 allows no encoding.
        is_global: The types of RFC 6532 §3.7 and RFC 6533 §4.
        octets_max: Bounds the header section, too; it is cut after the last line that fits.
    """
    if is_full and message.envelope.body != "BINARYMIME" and message.size_octets <= octets_max:
        content = message.content(octets_max + 1)
        if len(content) <= octets_max and _is_made_of_lines(content):
            return _part("message/global" if is_global else "message/rfc822", content)
    header_section = _cut(message.header_section(), octets_max)
    content_type = "message/global-headers" if is_global else "text/rfc822-headers"
    if not _is_made_of_lines(header_section):
        encoded = base64.encodebytes(header_section).replace(b"\n", b"\r\n")
        return Returned(content_type, "base64", encoded)
    return _part(content_type, header_section)


def _part(content_type: str, octets: bytes) -> Returned:
    return Returned(content_type, "7bit" if octets.isascii() else "8bit", octets)


def _is_made_of_lines(octets: bytes) -> bool:
    """Neither NUL nor a CR or LF that is not of a pair."""
    pairs = octets.count(b"\r\n")
    return pairs == octets.count(b"\r") == octets.count(b"\n") and b"\0" not in octets


def _cut(header_section: bytes, octets_max: int) -> bytes:
    """Without the empty line, and cut after a line."""
    if len(header_section) > octets_max:
        kept, ending, _ = header_section[:octets_max].rpartition(b"\r\n")
        header_section = kept + ending
    if header_section.endswith(b"\r\n\r\n"):
        header_section = header_section[:-2]
    return header_section
