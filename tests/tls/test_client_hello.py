"""
What a real client says first is read whole, in pieces it is waited for, and what is none is refused and nothing worse.
"""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymta.tls.client_hello import HELLO_OCTETS_MAX, ClientHello, NeedMore, read_client_hello


def hello(name: str | None = "mail.example.test", protocols: tuple[str, ...] = ()) -> bytes:
    """The first flight of Python's own client."""
    context = ssl.create_default_context()
    context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(list(protocols))
    to_server = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), to_server, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return to_server.read()


def in_records(octets: bytes, fragment_octets: int) -> bytes:
    """The same message in records of so many octets."""
    body = octets[5:]
    fragments = [body[at : at + fragment_octets] for at in range(0, len(body), fragment_octets)]
    return b"".join(octets[:3] + len(one).to_bytes(2, "big") + one for one in fragments)


@pytest.mark.parametrize("name", ["mail.example.test", None])
@pytest.mark.parametrize("protocols", [(), ("acme-tls/1",), ("h2", "http/1.1")])
def test_name_and_protocols_are_read(name: str | None, protocols: tuple[str, ...]) -> None:
    assert ClientHello(name or "", protocols) == read_client_hello(hello(name, protocols) + b"more")


def test_every_beginning_of_it_is_waited_for() -> None:
    octets = in_records(hello(protocols=("acme-tls/1",)), 100)

    for length in range(len(octets)):
        with pytest.raises(NeedMore):
            read_client_hello(octets[:length])
    assert ("acme-tls/1",) == read_client_hello(octets).protocols


@pytest.mark.parametrize(
    "octets",
    [
        b"EHLO client.example.net\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",  # an alert
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",  # another message
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",  # nothing in it
        b"\x16\x03\x01\x00\x04\x01" + HELLO_OCTETS_MAX.to_bytes(3, "big") + b"\x00",
    ],
)
def test_what_is_none_is_refused(octets: bytes) -> None:
    with pytest.raises((ValueError, NeedMore)):
        read_client_hello(octets)


def test_one_that_would_not_end_is_refused() -> None:
    with pytest.raises(ValueError, match="more than"):
        read_client_hello(b"\x16\x03\x01\x00\x04\x01\xff\xff\xff")


@given(st.binary(max_size=600), st.booleans())
def test_no_octets_do_more_harm_than_that(octets: bytes, is_framed: bool) -> None:
    if is_framed:
        message = b"\x01" + len(octets).to_bytes(3, "big") + octets
        octets = b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message
    try:
        read_client_hello(octets)
    except (ValueError, NeedMore):
        return


@given(st.data())
def test_a_real_one_with_any_octet_changed_does_no_more_harm(data: st.DataObject) -> None:
    octets = bytearray(HELLO)
    octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_client_hello(bytes(octets))
    except (ValueError, NeedMore):
        return


HELLO = hello(protocols=("acme-tls/1",))
