"""A certificate authority per test, and handshakes in memory between two real OpenSSL sides."""

import ssl
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.partners.ca import CertificateAuthority


class Handshake(NamedTuple):
    """What the client knows after a handshake."""

    names: set[str]
    """Subject alternative names of the certificate that was shown; empty where it was not verified."""
    certificate: bytes
    version: str


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str | bytes | None) -> Handshake:
    """A whole handshake without a socket; `ssl.SSLError` where either side gives up."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    client_side = client.wrap_bio(to_client, to_server, server_hostname=name)
    waiting = [client_side, server_side]
    for _ in range(10):
        for side in tuple(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                pass
    assert not waiting, "a handshake takes less than ten flights"
    shown = client_side.getpeercert() or {}
    certificate = client_side.getpeercert(binary_form=True)
    version = client_side.version()
    assert certificate is not None
    assert version is not None
    return Handshake({value for _, value in shown.get("subjectAltName", ())}, certificate, version)


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path)
