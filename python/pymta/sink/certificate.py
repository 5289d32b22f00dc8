"""
A certificate of the sink's own making, for trying TLS: valid for a week, trusted by nobody.

Not for a server that anybody relies on. It needs the `cryptography` package or the `openssl` program; the key never is in
a file that another user can read, and is gone when the context is made.
"""

import datetime
import ipaddress
import shutil
import ssl
import subprocess
import tempfile
from pathlib import Path
from typing import Final

__all__ = ["CannotMake", "self_made_context"]

_VALID_DAYS: Final = 7
_OPENSSL_S_MAX: Final = 30
_COMMON_NAME_OCTETS_MAX: Final = 64  # RFC 5280, ub-common-name


class CannotMake(Exception):
    """Neither `cryptography` nor `openssl` is there, or it failed; the text says which."""


def self_made_context(hostname: str) -> ssl.SSLContext:
    """
    A server's context with a new key and a certificate for *hostname*, localhost and 127.0.0.1.

    Raises:
        CannotMake: With one line that says why.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.TemporaryDirectory(prefix="pymta-sink-") as name:
        certificate_file, key_file = Path(name) / "certificate.pem", Path(name) / "key.pem"
        try:
            _make_with_cryptography(hostname, certificate_file, key_file)
        except ImportError:
            _make_with_openssl(hostname, certificate_file, key_file)
        context.load_cert_chain(certificate_file, key_file)
    return context


def _make_with_cryptography(hostname: str, certificate_file: Path, key_file: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hostname[:_COMMON_NAME_OCTETS_MAX])])
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName(hostname), x509.DNSName("localhost")]
    names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=_VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _make_with_openssl(hostname: str, certificate_file: Path, key_file: Path) -> None:
    program = shutil.which("openssl")
    if program is None:
        raise CannotMake(
            "neither the Python package cryptography nor the program openssl is here to make a certificate: "
            "give one with --certificate"
        )
    command = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", f"/CN={hostname[:_COMMON_NAME_OCTETS_MAX]}", "-days", str(_VALID_DAYS)]
    command += ["-addext", f"subjectAltName=DNS:{hostname},DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", str(key_file), "-out", str(certificate_file)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_OPENSSL_S_MAX, check=False)  # noqa: S603 - no shell; the host name was checked by ServerSettings
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotMake(f"openssl did not make a certificate: {error}") from None
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise CannotMake(f"openssl did not make a certificate: {lines[-1] if lines else done.returncode}")
