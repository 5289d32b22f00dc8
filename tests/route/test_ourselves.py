"""
A host is this server where it has our name or we listen on its address and port.
"""

import socket

import pytest

from pymta.config.values import Endpoint
from pymta.route import Ourselves
from pymta.route.ourselves import is_address_of_this_host

LISTENERS = [Endpoint("192.0.2.1", 25), Endpoint("0.0.0.0", 2525)]


@pytest.mark.parametrize(
    ("address", "port", "is_us"),
    [
        ("192.0.2.1", 25, True),
        ("192.0.2.1", 26, False),
        ("192.0.2.2", 25, False),
        ("127.0.0.1", 25, False),
        ("127.0.0.1", 2525, True),
        ("127.5.5.5", 2525, True),
        ("0.0.0.0", 2525, True),
        ("203.0.113.77", 2525, False),
        ("2001:db8::77", 2525, False),
    ],
)
def test_listeners_say_where_we_are(address: str, port: int, is_us: bool) -> None:
    assert is_us == Ourselves.from_listeners((), LISTENERS).listens_on(address, port)


def test_names_are_compared_in_canonical_form() -> None:
    ourselves = Ourselves.from_listeners(("Mail.Example.Org",), ())

    assert ourselves.is_named("mail.example.org")
    assert not ourselves.is_named("example.org")


def test_an_address_of_an_interface_is_of_this_host() -> None:
    """The address that the kernel would use towards the outside, where this machine has an outside."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
        except OSError:
            pytest.skip("this machine has no route to anywhere")
        own = probe.getsockname()[0]

    assert is_address_of_this_host(own)
    assert not is_address_of_this_host("203.0.113.77")
