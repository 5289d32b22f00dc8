"""
What each TLS mode means for a delivery: which context, what may be skipped, what is said where it fails.

It shakes no hands. Rule: only `opportunistic` ever goes on in the clear; what `required` and `verified` cannot get is
deferred, never sent anyway (RFC 8314 §4.1's "fail closed", for relays).
"""

import ssl
from pathlib import Path

from pymta._core import Reply
from pymta.mail.route import TlsMode
from pymta.tls import verifying_context, whoever_context

__all__ = ["ClientContexts", "after_failed_handshake", "after_missing_starttls"]


class ClientContexts:
    """
    The client contexts, each made when it is first needed and then shared by all connections.

    Raises:
        OSError: From the constructor, where *ca_file* cannot be used: found at the start, not at the first delivery.
    """

    def __init__(self, ca_file: Path | None = None) -> None:
        self._verified = verifying_context(ca_file) if ca_file is not None else None
        self._opportunistic: ssl.SSLContext | None = None
        self._required: ssl.SSLContext | None = None

    def for_mode(self, mode: TlsMode) -> ssl.SSLContext:
        """The context for *mode*, which is not `none`."""
        if mode is TlsMode.OPPORTUNISTIC:
            if self._opportunistic is None:
                self._opportunistic = whoever_context()
            return self._opportunistic
        if mode is TlsMode.REQUIRED:
            if self._required is None:
                self._required = whoever_context(version_min=ssl.TLSVersion.TLSv1_2)
            return self._required
        assert mode is TlsMode.VERIFIED, "without TLS there is no context"
        if self._verified is None:
            self._verified = verifying_context()
        return self._verified


def after_failed_handshake(mode: TlsMode, cause: str) -> Reply | None:
    """
    None where the delivery goes on in the clear on a new connection (RFC 7435 §4.3), else why it is deferred.

    *cause* is OpenSSL's or ours, never the peer's text.
    """
    if mode is TlsMode.OPPORTUNISTIC:
        return None
    return Reply(451, "4.7.4", f"TLS is {mode} and the handshake failed: {cause}")


def after_missing_starttls(mode: TlsMode) -> Reply | None:
    """None where the delivery goes on without TLS, else why it is deferred (RFC 3463 §3.8, X.7.4)."""
    if mode in (TlsMode.NONE, TlsMode.OPPORTUNISTIC):
        return None
    return Reply(451, "4.7.4", f"TLS is {mode} and the next hop does not offer STARTTLS")
