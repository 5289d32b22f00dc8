"""
A certificate of the sink's own making, for trying TLS: valid for a week, trusted by nobody.

Not for a server that anybody relies on. The key never is in a file that another user can read, and is gone when the
context is made.
"""

import ssl
import tempfile
from pathlib import Path
from typing import Final

from pymta.tls.self_made import write_self_made

__all__ = ["self_made_context"]

_VALID_DAYS: Final = 7


def self_made_context(hostname: str) -> ssl.SSLContext:
    """A server's context with a new key and a certificate for *hostname*, localhost and 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.TemporaryDirectory(prefix="pymta-sink-") as name:
        certificate_file, key_file = Path(name) / "certificate.pem", Path(name) / "key.pem"
        names = (hostname, "localhost", "127.0.0.1")
        write_self_made(certificate_file, key_file, names, valid_days=_VALID_DAYS)
        context.load_cert_chain(certificate_file, key_file)
    return context
