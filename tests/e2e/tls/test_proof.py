"""
The port of implicit TLS while an authority is expected there (RFC 8737): the authority sees the proof, mail sees nothing of it.

The authority here is the test; the real one is in test_acme.py.
"""

import contextlib
import socket
import ssl
from collections.abc import Callable

import pytest

from pymta.acme.challenges import Challenges
from tests.partners.ports import free_port
from tests.partners.pymta import Pymta
from tests.partners.waiting import wait_until

NAME, OTHER = "mail.example.test", "mx.example.test"


@pytest.fixture
def expecting(start_pymta: Callable[..., Pymta], request: pytest.FixtureRequest) -> Pymta:
    """A server that has asked for a certificate, in vain, and holds a proof for NAME."""
    server = start_pymta(
        listeners=[{"name": "secured", "tls": "implicit"}],
        acme={
            "names": [NAME],
            "directory_url": f"https://127.0.0.1:{free_port()}/dir",
            "agree_to_terms": True,
            "challenge": "tls-alpn-01",
        },
        limits={"tls_handshake_s_max": 1},
        server={"workers": getattr(request, "param", 1)},
        trouble_expected=True,
    )
    server.wait_event("trouble", what="certificate not issued")
    Challenges(server.data / "acme").put_tls(NAME, "token.thumbprint")
    return server


def connected(server: Pymta) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.ports["secured"]), timeout=10)


def shaken(connection: socket.socket, name: str, *protocols: str) -> tuple[str | None, bytes, bytes]:
    """(protocol, certificate, the first octets after the handshake)"""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    with context.wrap_socket(connection, server_hostname=name) as secured:
        certificate = secured.getpeercert(binary_form=True)
        assert certificate is not None
        said = secured.recv(100)
        return secured.selected_alpn_protocol(), certificate, said


def is_proof(certificate: bytes) -> bool:
    return b"\x06\x08\x2b\x06\x01\x05\x05\x07\x01\x1f" in certificate  # id-pe-acmeIdentifier


@pytest.mark.parametrize("expecting", [1, 2], indirect=True, ids=["one process", "two workers"])
def test_the_authority_sees_the_proof_and_hears_nothing(expecting: Pymta) -> None:
    for _ in range(8):  # every worker has it
        protocol, certificate, said = shaken(connected(expecting), NAME, "acme-tls/1")
        assert ("acme-tls/1", True, b"") == (protocol, is_proof(certificate), said)


@pytest.mark.parametrize(
    ("name", "protocols"),
    [(NAME, ()), (NAME, ("h2", "http/1.1")), (OTHER, ()), (OTHER, ("acme-tls/1",))],
)
def test_everybody_else_sees_the_certificate_and_is_greeted(
    expecting: Pymta, name: str, protocols: tuple[str, ...]
) -> None:
    protocol, certificate, said = shaken(connected(expecting), name, *protocols)

    assert (None, False) == (protocol, is_proof(certificate))
    assert said.startswith(b"220 ")


@pytest.mark.parametrize("protocols", [(), ("acme-tls/1",)])
def test_a_client_that_speaks_in_pieces_is_heard_out(expecting: Pymta, protocols: tuple[str, ...]) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    client = context.wrap_bio(to_client, to_server, server_hostname=NAME)
    with connected(expecting) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        hello = to_server.read()
        for at in range(0, len(hello), 50):
            connection.sendall(hello[at : at + 50])
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                if pending := to_server.read():
                    connection.sendall(pending)
                to_client.write(connection.recv(16_384))

    certificate = client.getpeercert(binary_form=True)
    assert certificate is not None
    assert bool(protocols) == is_proof(certificate)


@pytest.mark.parametrize(
    "said", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00", b"EHLO client.example.net\r\n"]
)
@pytest.mark.parametrize("then", ["closes", "waits"])
def test_who_says_less_or_something_else_is_not_waited_for(expecting: Pymta, said: bytes, then: str) -> None:
    """Neither holds a connection longer than a handshake may take."""
    with connected(expecting) as connection:
        connection.sendall(said)
        if then == "closes":
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while octets := connection.recv(1000):
                assert b"220" not in octets
    wait_until(lambda: expecting.control.status().connections_open == 0, "nobody is counted any more")
