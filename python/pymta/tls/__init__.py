"""
TLS contexts for both sides, from Python's `ssl` (OpenSSL).

It does not decide who needs TLS: the doors and `deliver/tls_policy.py` do. Rule: contexts are made once and shared; a
new certificate takes the place of the old one without a new listener.
"""

from pymta.tls.client import verifying_context, whoever_context
from pymta.tls.server import CertificateError, CertificateFiles, ServerTls

__all__ = ["CertificateError", "CertificateFiles", "ServerTls", "verifying_context", "whoever_context"]
