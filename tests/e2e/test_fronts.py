"""
Clients behind a front: XCLIENT and PROXY are believed of networks that are named, and of no other.

"Another network" is another address of loopback (127.0.0.2 is the front, 127.0.0.1 is anybody).
"""

import socket
import ssl
import struct
from collections.abc import Callable

import pytest

from tests.e2e.our_sink import OurSink
from tests.e2e.wire import Wire
from tests.partners.ca import CertificateAuthority
from tests.partners.pymta import Pymta, next_hop

FRONT, ANYBODY = "127.0.0.2", "127.0.0.1"
CONTENT = b"Subject: hello\r\n\r\nhello\r\n"
DOMAINS = {"relay_domains": ["example.org"]}

V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 51000 25\r\n"
V1_6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 51000 25\r\n"
V2 = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"
    + socket.inet_aton("192.0.2.7")
    + socket.inet_aton("198.51.100.1")
    + struct.pack("!HH", 51000, 25)
)
V2_LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"


def test_xclient_is_believed_of_the_front_only(start_pymta: Callable[..., Pymta], our_sink: OurSink) -> None:
    """
    The client that the front names is looked at for relaying, is in the trace and in the log; nobody else gets to name one.
    """
    server = start_pymta(
        routes=[next_hop(our_sink.port)],
        listener={"xclient_networks": [f"{FRONT}/32"], "trusted_networks": [f"{FRONT}/32"]},
        domains=DOMAINS,
    )

    with Wire(server.port, source=FRONT) as front:
        assert any(line.startswith("XCLIENT ") for line in front.capabilities)
        front.say("XCLIENT ADDR=192.0.2.7 PORT=51000 NAME=client.example.com HELO=client.example.com", 220)
        front.hello("EHLO client.example.com")
        front.say("MAIL FROM:<author@example.net>")
        front.say("RCPT TO:<reader@elsewhere.example>", 550)  # the front is trusted, the client is not
        front.say("RCPT TO:<reader@example.org>")
        assert 250 == front.data(CONTENT)[0]
    with Wire(server.port, source=ANYBODY) as anybody:
        assert not any(line.startswith("XCLIENT") for line in anybody.capabilities)
        said, _ = anybody.command("XCLIENT ADDR=127.0.0.2")
        assert 500 <= said <= 599
        anybody.say("MAIL FROM:<author@example.net>")
        anybody.say("RCPT TO:<reader@elsewhere.example>", 550)

    (kept,) = our_sink.wait(1)
    assert b"[192.0.2.7]" in kept.header_section
    assert b"127.0.0.2" not in kept.header_section
    assert server.wait_event("accept")["peer"] == "192.0.2.7"


@pytest.mark.parametrize(
    ("header", "client"), [(V1, "192.0.2.7"), (V1_6, "2001:db8::7"), (V2, "192.0.2.7"), (V2_LOCAL, FRONT)]
)
def test_proxy_is_believed_of_the_front(
    start_pymta: Callable[..., Pymta], our_sink: OurSink, header: bytes, client: str
) -> None:
    """
    Version 1 and 2, also in pieces and with the client's first words behind it.
    """
    server = start_pymta(
        routes=[next_hop(our_sink.port)],
        listener={"proxy_networks": [f"{FRONT}/32"], "trusted_networks": []},
        domains=DOMAINS,
    )

    with Wire(server.port, source=FRONT, before=header[:9], greeted=False, hello="") as front:
        front.send(header[9:])
        front.expect(220)
        front.hello()
        front.envelope("reader@example.org")
        assert 250 == front.data(CONTENT)[0]

    (kept,) = our_sink.wait(1)
    address = f"[IPv6:{client}]" if ":" in client else f"[{client}]"
    assert address.encode() in kept.header_section
    assert client == server.wait_event("accept")["peer"]
    assert server.wait_event("connect", accepted=1)["peer"].startswith((client, f"[{client}]"))


def test_proxy_of_anybody_else_is_not_believed(start_pymta: Callable[..., Pymta], our_sink: OurSink) -> None:
    """
    Whoever is no front is greeted at once and looked at as who it is; a header gets it nothing.
    """
    server = start_pymta(
        routes=[next_hop(our_sink.port)],
        listener={"proxy_networks": [f"{FRONT}/32"], "trusted_networks": ["192.0.2.0/24"]},
        domains=DOMAINS,
    )

    with Wire(server.port, source=ANYBODY) as anybody:
        anybody.say("MAIL FROM:<author@example.net>")
        anybody.say("RCPT TO:<reader@elsewhere.example>", 550)
    with Wire(server.port, source=ANYBODY, before=V1, hello="") as anybody:
        said, _ = anybody.reply()
        assert 500 <= said <= 599
    server.wait_event("refuse", stage="rcpt", peer=ANYBODY)
    assert [] == [event for event in server.events("connect") if event["peer"].startswith("192.0.2.")]


def test_a_front_that_sends_no_header_is_cut(start_pymta: Callable[..., Pymta], our_sink: OurSink) -> None:
    """
    Its own address would be one that is trusted to speak for others: no greeting, a line in the log.
    """
    server = start_pymta(
        routes=[next_hop(our_sink.port)],
        listener={"proxy_networks": [f"{FRONT}/32"], "trusted_networks": []},
        domains=DOMAINS,
    )

    with Wire(server.port, source=FRONT, before=b"EHLO client.example.net\r\n", greeted=False) as front:
        assert front.is_closed()

    assert FRONT == server.wait_event("refuse", stage="connect")["peer"]


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
def test_a_front_may_send_the_handshake_in_one_segment_with_its_header(
    start_pymta: Callable[..., Pymta],
    authority: CertificateAuthority,
    without_uvloop: dict[str, str],
    header: bytes,
    loop: str,
) -> None:
    """
    A TLS client speaks first, so balancers have its ClientHello before they have sent their header.
    """
    issued = authority.issue("mail.example.test")
    server = start_pymta(
        listener={
            "proxy_networks": [f"{FRONT}/32"],
            "tls": "implicit",
            "certificate_file": issued.certificate_file,
            "key_file": issued.key_file,
        },
        environment=without_uvloop if loop == "asyncio" else {},
    )
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="mail.example.test")

    with socket.create_connection(("127.0.0.1", server.port), 15, source_address=(FRONT, 0)) as front:
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        front.sendall(header + outgoing.read())

        def heard(step: Callable[[], bytes | None]) -> bytes:
            while True:
                try:
                    return step() or b""
                except ssl.SSLWantReadError:
                    front.sendall(outgoing.read())
                    octets = front.recv(65536)
                    assert octets, "the server has hung up"
                    incoming.write(octets)

        heard(tls.do_handshake)
        tls.write(b"EHLO client.example.net\r\nQUIT\r\n")
        front.sendall(outgoing.read())
        greeting = heard(lambda: tls.read(65536))

    assert greeting.startswith(b"220 mail.example.test ")
    assert "192.0.2.7:51000" == server.wait_event("connect")["peer"]


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_what_a_front_breaks_off_leaves_nothing_behind(
    start_pymta: Callable[..., Pymta],
    authority: CertificateAuthority,
    without_uvloop: dict[str, str],
    loop: str,
) -> None:
    """
    Before its header, within it, before the handshake and within it; and one that waits does not hold up the end.
    """
    issued = authority.issue("mail.example.test")
    server = start_pymta(
        listener={
            "proxy_networks": [f"{FRONT}/32"],
            "tls": "implicit",
            "certificate_file": issued.certificate_file,
            "key_file": issued.key_file,
        },
        http=True,
        environment=without_uvloop if loop == "asyncio" else {},
    )

    def front(octets: bytes) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", server.port), 15, source_address=(FRONT, 0))
        connection.sendall(octets)
        return connection

    for octets in (b"", V1[:9], V1, V1 + b"\x16\x03\x01", V1 + b"EHLO client.example.net\r\n"):
        front(octets).close()
    server.wait_events(2, "refuse", stage="connect", peer=FRONT)
    with front(V1 + b"EHLO client.example.net\r\n") as connection:
        while connection.recv(1000):
            pass  # an alert, or nothing
    # The sessions never began.
    assert [] == server.events("connect")

    with front(V1[:9]) as waits:
        assert 0 == server.stop()
        assert b"" == waits.recv(100)
