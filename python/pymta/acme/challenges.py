"""
What the authority is about to ask for, as files: so any process can answer, and none keeps an answer too long.

    challenges/http-01/TOKEN            the key authorization (RFC 8555 §8.3)
    challenges/tls-alpn-01/NAME.pem     key and certificate for one handshake (RFC 8737 §3)

Written by whoever asks for a certificate, and taken away when that has ended. Read by `responder.py` and by tls/challenge.py.
"""

import datetime
import hashlib
import shutil
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pymta.acme.store import private_octets, write_private
from pymta.tls.challenge import folder_of

__all__ = ["Challenges", "challenge_certificate"]

_ACME_IDENTIFIER: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")  # RFC 8737 §6.1, id-pe-acmeIdentifier
_OCTET_STRING_OF_32: Final = b"\x04\x20"  # ASN.1, before a SHA-256 digest


class Challenges:
    """The files below *folder*, the `acme` of the data folder."""

    def __init__(self, folder: Path) -> None:
        self.http_folder = folder / "challenges" / "http-01"
        self.tls_folder = folder_of(folder)

    def clear(self) -> None:
        """Take away what an earlier run has left."""
        for kept in (self.http_folder, self.tls_folder):
            shutil.rmtree(kept, ignore_errors=True)

    def put_http(self, token: str, key_authorization: str) -> Path:
        """Answer for *token*; the file is the caller's to take away."""
        file = _made(self.http_folder) / token
        write_private(file, key_authorization.encode("ascii"))
        return file

    def put_tls(self, name: str, key_authorization: str) -> Path:
        """Answer in handshakes for *name*; the file is the caller's to take away."""
        file = _made(self.tls_folder) / f"{name}.pem"
        write_private(file, challenge_certificate(name, key_authorization))
        return file


def _made(kept: Path) -> Path:
    """Made when it is needed: names may come with a reload, long after the start."""
    for folder in (kept.parent, kept):  # each one, since `parents` would leave the upper one to everybody
        folder.mkdir(mode=0o700, exist_ok=True)
    return kept


def challenge_certificate(name: str, key_authorization: str) -> bytes:
    """Key and certificate, in PEM, that prove nothing but that we know *key_authorization* (RFC 8737 §3)."""
    key = ec.generate_private_key(ec.SECP256R1())
    common = x509.Name([])
    now = datetime.datetime.now(datetime.UTC)
    digest = hashlib.sha256(key_authorization.encode("ascii")).digest()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(common)
        .issuer_name(common)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
        .add_extension(
            x509.UnrecognizedExtension(_ACME_IDENTIFIER, _OCTET_STRING_OF_32 + digest), critical=True
        )
        .sign(key, hashes.SHA256())
    )
    return private_octets(key) + certificate.public_bytes(serialization.Encoding.PEM)
