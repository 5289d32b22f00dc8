"""
The folder `acme` of the data folder: the account's key, certificates with their keys, what came of the last attempts.

    account.key               the key of the account with the authority, PEM
    mail.example.org.pem      a certificate, PEM: its key, then the chain, leaf first; one file, so that both change at once
    self-made.pem, .key       what is shown until the first certificate is there
    attempts.json             for each name: whose certificate it is, how often getting another failed and why
    challenges/               what the authority is about to ask for (challenges.py)

Files are the server's user's alone (0600) and replaced as a whole; whoever reads one sees the old or the new one. Only one
process writes here: the server, or the supervisor of several workers.
"""

import datetime
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pymta.tls.self_made import write_self_made

__all__ = ["Attempts", "Store", "write_private"]

_REMEMBERED_MAX: Final = 256
_SELF_MADE_DAYS: Final = 825
_SELF_MADE_LEFT_DAYS_MIN: Final = 60


class Attempts(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the attempts to get a certificate for one name."""

    directory_url: str = ""
    """The directory of the authority whose certificate there is; empty where there is none."""
    failures: int = 0
    """Since the last success."""
    next_at_ms: int = 0
    """Not tried again before, whatever came of the last attempt."""
    problem: str = ""
    """Of the last failure."""


class Store:
    """See the module. Nothing here waits, but for the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.self_made_file = folder / "self-made.pem"
        self.self_made_key_file = folder / "self-made.key"
        self._attempts_file = folder / "attempts.json"

    def prepare(self, names: Sequence[str]) -> None:
        """
        Make the folder, and a certificate of our own making where there is none or its end is near.

        Raises:
            OSError: It cannot be written.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._is_self_made_usable():
            write_self_made(
                self.self_made_file,
                self.self_made_key_file,
                tuple(dict.fromkeys(names)),
                valid_days=_SELF_MADE_DAYS,
            )

    def _is_self_made_usable(self) -> bool:
        certificate = _whole(self.self_made_file, self.self_made_key_file)
        if certificate is None:
            return False
        left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
        return left > datetime.timedelta(days=_SELF_MADE_LEFT_DAYS_MIN)

    # ---- certificates

    def certificate_file(self, name: str) -> Path:
        """Where the certificate for *name* is, or will be."""
        return self.folder / f"{name}.pem"

    def certificate(self, name: str) -> x509.Certificate | None:
        """The certificate for *name*; None where there is none that can be shown: then another one is asked for."""
        file = self.certificate_file(name)
        return _whole(file, file)

    def put_certificate(self, name: str, key_and_chain: bytes) -> None:
        """Keep a certificate with its key, in the place of an earlier one."""
        write_private(self.certificate_file(name), key_and_chain)

    # ---- the account

    def account_key(self) -> ec.EllipticCurvePrivateKey:
        """
        The key of the account; made where there is none.

        Raises:
            OSError, ValueError: There is one that cannot be used. It is not replaced: the account would be lost with it.
        """
        file = self.folder / "account.key"
        try:
            key = serialization.load_pem_private_key(file.read_bytes(), password=None)
        except FileNotFoundError:
            made = ec.generate_private_key(ec.SECP256R1())
            write_private(file, private_octets(made))
            return made
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{file}: expected a key on P-256")
        return key

    # ---- what came of it

    def attempts(self) -> dict[str, Attempts]:
        """By name. What cannot be read counts as nothing: then it is tried once more."""
        try:
            return msgspec.json.decode(self._attempts_file.read_bytes(), type=dict[str, Attempts])
        except (OSError, msgspec.MsgspecError):
            return {}

    def put_attempts(self, attempts: dict[str, Attempts]) -> None:
        """Keep them."""
        write_private(self._attempts_file, msgspec.json.format(msgspec.json.encode(attempts), indent=2))


def _whole(file: Path, key_file: Path) -> x509.Certificate | None:
    """The certificate in *file*, where its key is in *key_file*; None where a handshake with them would fail."""
    try:
        seen = (file.stat(), key_file.stat())
    except OSError:
        return None
    return _read_whole(file, key_file, tuple((one.st_ino, one.st_size, one.st_mtime_ns) for one in seen))


@lru_cache(maxsize=_REMEMBERED_MAX)
def _read_whole(file: Path, key_file: Path, seen: object) -> x509.Certificate | None:
    """Remembered until a file is another than the one *seen*: it is asked for once a minute and at each scrape."""
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        return None
    return certificate if certificate.public_key() == key.public_key() else None


def private_octets(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A key in PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_private(file: Path, octets: bytes) -> None:
    """Write a file that only its owner may read, in the place of what was there, durably."""
    fresh = file.with_name(f".{file.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(octets)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
