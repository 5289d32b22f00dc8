"""
Handshakes in which an authority proves that a name is ours (tls-alpn-01, RFC 8737): which they are, and what is shown.

Not where the answers come from (acme/): they are files, so that every worker has them. A client that does not speak
`acme-tls/1` never sees one.
"""

import ssl
from pathlib import Path
from typing import Final

from pymta.tls.client_hello import ClientHello

__all__ = ["PROTOCOL", "TlsChallenges", "folder_of"]

PROTOCOL: Final = "acme-tls/1"
_CHALLENGES_MAX: Final = 100


def folder_of(acme_folder: Path) -> Path:
    """Where the answers are, one file a name: its key, then the certificate."""
    return acme_folder / "challenges" / "tls-alpn-01"


class TlsChallenges:
    """The answers below *acme_folder*, read anew for each handshake that may be one of them; there are few."""

    def __init__(self, acme_folder: Path) -> None:
        self._folder = folder_of(acme_folder)

    @property
    def are_expected(self) -> bool:
        """Whether the authority may come just now."""
        return bool(self._files())

    def context_for(self, hello: ClientHello) -> ssl.SSLContext | None:
        """The context for a handshake that begins with *hello*; None where it is nobody but a client."""
        return self.context_of(hello.server_name) if PROTOCOL in hello.protocols else None

    def context_of(self, name: str) -> ssl.SSLContext | None:
        """
        The context that answers for *name*; None where there is no answer.

        The name is the peer's: it is compared with the names of files, and never part of a path.
        """
        file = self._files().get(name.lower())
        if file is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8737 §3
        context.set_alpn_protocols([PROTOCOL])
        try:
            context.load_cert_chain(file)
        except (ssl.SSLError, OSError):  # taken away meanwhile: it is over
            return None
        return context

    def _files(self) -> dict[str, Path]:
        try:
            found = [file for file in self._folder.iterdir() if file.suffix == ".pem"]
        except OSError:
            return {}
        return {file.stem: file for file in found[:_CHALLENGES_MAX]}
