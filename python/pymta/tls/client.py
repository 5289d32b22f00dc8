"""
Client contexts: one that proves who answers, one that only keeps passers-by from reading.

Which of them a delivery uses is `deliver/tls_policy.py`'s affair.
"""

import ssl
from pathlib import Path


def whoever_context(*, version_min: ssl.TLSVersion = ssl.TLSVersion.MINIMUM_SUPPORTED) -> ssl.SSLContext:
    """
    Encrypt, whoever answers: for opportunistic and required TLS between MTAs (RFC 7435 §3).

    What OpenSSL was built with is offered down to *version_min* and at security level 0, because what a peer cannot do
    here is then sent in the clear: an old cipher is better than none. Nothing is verified, so nothing is weakened that
    could have been relied on. Where TLS is required, ask for at least 1.2 (RFC 8996).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = version_min
    if version_min is ssl.TLSVersion.MINIMUM_SUPPORTED:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def verifying_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """
    Encrypt, and prove that the certificate is valid for the host name asked for (RFC 9525).

    Args:
        ca_file: Authorities to trust, PEM; None is the system's.

    Raises:
        OSError: *ca_file* cannot be read, or holds no certificate (`ssl.SSLError` is an OSError).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.load_verify_locations(cafile=ca_file)
    return context
