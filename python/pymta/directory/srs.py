"""
SRS, the sender rewriting scheme: a reverse-path that is ours while a message is forwarded, and leads back.

A next hop that checks SPF asks whether *we* may send for the domain of the reverse-path, so mail that is forwarded
leaves with an address of ours:

    SRS0=HHHHHH=TT=example.net=author@example.org         by us for author@example.net
    SRS1=HHHHHH=other.example==HHHH=TT=…@example.org      by us for what other.example had rewritten already

`HHHHHH` is a keyed hash over the rest, so that nobody can make such addresses and have us relay; `TT` is the day, so
that one that leaked stops working. Neither depends on case, which some hosts change on the way back.

Not an RFC: https://www.libsrs2.net/srs/srs.pdf. Rule: what cannot be rewritten is left alone, never refused.
"""

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pymta._core import Address
from pymta.directory.identity import join

__all__ = ["Srs", "load_secret"]

DAY_MS: Final = 86_400_000
_HASH_LETTERS: Final = 6
_SECRET_OCTETS: Final = 32
_DAYS: Final = 1024
_BASE32: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

_SRS0 = re.compile(
    r"SRS0[=+-](?P<hash>[^=]+)=(?P<day>[^=]{2})=(?P<domain>[^=]+)=(?P<local>.+)", re.IGNORECASE | re.DOTALL
)
_SRS1 = re.compile(r"SRS1[=+-](?P<hash>[^=]+)=(?P<domain>[^=]+)=(?P<rest>[=+-].+)", re.IGNORECASE | re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Srs:
    """Both directions, with one secret."""

    def __init__(self, secret: bytes, *, now_ms: Callable[[], int], days_max: int) -> None:
        """
        Args:
            secret: Only we know it; whoever does can have us relay.
            now_ms: The clock.
            days_max: How long an address leads back: longer than any queue keeps a message.
        """
        self._secret = secret
        self._now_ms = now_ms
        self._days_max = days_max

    def forward(self, reverse_path: Address, domain: str) -> Address:
        """The reverse-path with which a message is forwarded by *domain*; the same where it cannot be rewritten."""
        local = _unquoted(reverse_path.local_part)
        if (again := _SRS1.fullmatch(local)) is not None:
            signed = f"{again['domain']}={again['rest']}"
            text = f"SRS1={self._hash(signed)}={signed}"
        elif local[:4].upper() == "SRS0" and local[4:5] in ("=", "+", "-"):
            signed = f"{reverse_path.domain}={local[4:]}"
            text = f"SRS1={self._hash(signed)}={signed}"
        else:
            signed = f"{self._day()}={reverse_path.domain}={local}"
            text = f"SRS0={self._hash(signed)}={signed}"
        try:
            return Address(join(text, domain))
        except ValueError:  # longer than a local part may be (RFC 5321 §4.5.3.1.1)
            return reverse_path

    def reverse(self, local_part: str) -> Address | None:
        """Where mail for an address of ours with that local part leads back to; None where it is none that we made."""
        local = _unquoted(local_part)
        try:
            if (found := _SRS0.fullmatch(local)) is not None:
                signed = f"{found['day']}={found['domain']}={found['local']}"
                if self._is_ours(found["hash"], signed) and self._is_recent(found["day"]):
                    return Address(join(found["local"], found["domain"]))
            elif (found := _SRS1.fullmatch(local)) is not None:
                signed = f"{found['domain']}={found['rest']}"
                if self._is_ours(found["hash"], signed):
                    return Address(join(f"SRS0{found['rest']}", found["domain"]))
        except ValueError:
            pass
        return None

    def _hash(self, signed: str) -> str:
        digest = hmac.digest(self._secret, signed.lower().encode(), hashlib.sha256)
        return base64.b32encode(digest).decode()[:_HASH_LETTERS]

    def _is_ours(self, given: str, signed: str) -> bool:
        return hmac.compare_digest(given.upper().encode(), self._hash(signed).encode())

    def _day(self) -> str:
        day = self._now_ms() // DAY_MS % _DAYS
        return _BASE32[day >> 5] + _BASE32[day & 31]

    def _is_recent(self, text: str) -> bool:
        high, low = (_BASE32.find(letter) for letter in text.upper())
        if high < 0 or low < 0:
            return False
        today = self._now_ms() // DAY_MS
        return (today - (high << 5 | low)) % _DAYS <= self._days_max


def load_secret(file: Path) -> bytes:
    """
    The secret in *file*, made, for its owner only, where it does not exist. OSError as reading and writing have it.

    Several processes may start at a time: the file appears whole, and who comes second takes what is there.
    """
    try:
        return file.read_bytes()
    except FileNotFoundError:
        pass
    fresh = file.with_name(f".{file.name}-{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(os.urandom(_SECRET_OCTETS))
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(fresh, file)
        except FileExistsError:
            pass
        return file.read_bytes()
    finally:
        fresh.unlink()


def _unquoted(local_part: str) -> str:
    if len(local_part) > 1 and local_part.startswith('"') and local_part.endswith('"'):
        return _ESCAPED.sub(r"\1", local_part[1:-1])
    return local_part
