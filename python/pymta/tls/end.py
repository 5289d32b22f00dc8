"""
What certificate files say of themselves, for those who watch when they end: names, issuer, begin and end.
"""

import datetime
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from cryptography import x509

__all__ = ["CertificateEnds", "Shown", "read_shown"]


class Shown(msgspec.Struct, frozen=True):
    """A certificate as clients get to see it."""

    names: tuple[str, ...]
    issuer: str
    """Its organisation or common name; "itself" where nobody else vouches for it."""
    begin: datetime.datetime
    end: datetime.datetime


def read_shown(file: Path) -> Shown:
    """
    The first certificate in a file of PEM.

    Raises:
        OSError: It cannot be read.
        ValueError: There is none in it.
    """
    leaf = x509.load_pem_x509_certificate(file.read_bytes())
    try:
        alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [*alternative.get_values_for_type(x509.DNSName)]
        names += map(str, alternative.get_values_for_type(x509.IPAddress))
    except x509.ExtensionNotFound:
        names = []
    return Shown(tuple(names), _issuer(leaf), leaf.not_valid_before_utc, leaf.not_valid_after_utc)


def _issuer(leaf: x509.Certificate) -> str:
    if leaf.issuer == leaf.subject:
        return "itself"
    for kind in (x509.NameOID.ORGANIZATION_NAME, x509.NameOID.COMMON_NAME):
        for attribute in leaf.issuer.get_attributes_for_oid(kind):
            return str(attribute.value)
    return leaf.issuer.rfc4514_string()


class CertificateEnds:
    """Remembers what it has read until a file changes: it is asked at every scrape."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[tuple[int, int, int], Shown]] = {}

    def of(self, files: Iterable[Path]) -> Iterator[tuple[str, str, float]]:
        """(file, first name, end in seconds since 1970) of each file that can be read."""
        for file in files:
            try:
                status = file.stat()
                seen = status.st_ino, status.st_size, status.st_mtime_ns
                known = self._read.get(file)
                if known is None or known[0] != seen:
                    known = self._read[file] = seen, read_shown(file)
            except (OSError, ValueError):
                continue
            shown = known[1]
            yield str(file), shown.names[0] if shown.names else "", shown.end.timestamp()
