"""
Who a client says it speaks for: PROXY headers and XCLIENT (attacks.md, row 19). A header that stalls is in test_slow.
"""

import struct

import pytest

from tests.e2e.attacks.wire import Wire, codes
from tests.partners.pymta import Pymta

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TO_ELSEWHERE = b"EHLO front.example.net\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<a@ext.test>\r\nQUIT\r\n"


def version_2(source: str, *, octets: int | None = None, command: int = 0x21, family: int = 0x11) -> bytes:
    """A header of version 2 for TCP over IPv4; *octets* is a length that may be a lie."""
    addresses = bytes(map(int, source.split("."))) + bytes([10, 0, 0, 9]) + struct.pack("!HH", 4321, 25)
    length = len(addresses) if octets is None else octets
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", length) + addresses


def said(port: int, *pieces: bytes) -> list[str]:
    """All that is said to what is sent, without waiting for a greeting."""
    with Wire(port, greeted=False) as wire:
        wire.send(*pieces)
        return wire.rest()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"PROXY TCP4 192.0.2.7 10.0.0.9 4321 25\r\n", "550 5.7.1"),
        (b"PROXY TCP4 10.0.0.7 10.0.0.9 4321 25\r\n", "250 2.1.5"),
        (version_2("192.0.2.7"), "550 5.7.1"),
        (version_2("10.0.0.7"), "250 2.1.5"),
        (b"PROXY UNKNOWN\r\n", "550 5.7.1"),
        (version_2("10.0.0.7", command=0x20), "550 5.7.1"),
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 4321 25\r\n", "550 5.7.1"),
    ],
    ids=["v1-stranger", "v1-ours", "v2-stranger", "v2-ours", "v1-unknown", "v2-local", "v6-mapped"],
)
def test_it_is_the_client_behind_the_balancer_that_counts(
    attacked: Pymta, header: bytes, expected: str
) -> None:
    """
    Row 19: 10.0.0.0/8 is trusted there, and is neither the balancer nor a client whose address it did not say.
    """
    replies = said(attacked.ports["proxy"], header, TO_ELSEWHERE)

    assert ["220", "250", "250 2.1.0", expected, "221 2.0.0"] == codes(replies)


@pytest.mark.parametrize(
    "header",
    [
        TO_ELSEWHERE,
        b"PROXY TCP4 10.0.0.7 10.0.0.9 4321\r\n",
        b"PROXY TCP4 10.0.0.7 10.0.0.9 4321 25 x\r\n",
        b"PROXY TCP4 10.0.0.7 10.0.0.9 99999 25\r\n",
        b"PROXY TCP4 010.0.0.7 10.0.0.9 4321 25\r\n",
        b"PROXY TCP4 10.0.0.7\0 10.0.0.9 4321 25\r\n",
        b"PROXY TCP4 10.0.0.7 10.0.0.9 4321 25\n",
        b"PROXY TCP6 10.0.0.7 10.0.0.9 4321 25\r\n",
        b"PROXY UDP4 10.0.0.7 10.0.0.9 4321 25\r\n",
        b"PROXY " + b"1" * 102,
        b"proxy TCP4 10.0.0.7 10.0.0.9 4321 25\r\n",
        version_2("10.0.0.7", octets=4),
        version_2("10.0.0.7", octets=0xFFFF),
        version_2("10.0.0.7", command=0x31),
        version_2("10.0.0.7", command=0x2F),
        version_2("10.0.0.7", family=0x12),
        b" ",
        b"\0",
    ],
    ids=lambda header: ascii(header[:44])[2:-1],
)
def test_what_is_no_header_ends_the_connection_unheard(attacked: Pymta, header: bytes) -> None:
    """
    Row 19: no greeting, no reply, and what follows is not obeyed; 108 octets without CRLF are enough.
    """
    before = len(attacked.events("refuse", stage="connect"))

    assert [] == said(attacked.ports["proxy"], header, b"" if header == TO_ELSEWHERE else TO_ELSEWHERE)
    refusal = attacked.wait_events(before + 1, "refuse", stage="connect")[-1]
    assert "127.0.0.1" == refusal["peer"]


def test_a_header_in_single_octets_is_read_as_one(attacked: Pymta) -> None:
    """
    Row 19: and the first octets of SMTP behind it are not lost.
    """
    for header in (b"PROXY TCP4 10.0.0.7 10.0.0.9 4321 25\r\n", version_2("10.0.0.7")):
        with Wire(attacked.ports["proxy"], greeted=False) as wire:
            for octet in header + TO_ELSEWHERE:
                wire.send(bytes([octet]))
            assert ["220", "250", "250 2.1.0", "250 2.1.5", "221 2.0.0"] == codes(wire.rest())


def test_a_second_header_is_a_command_that_does_not_exist(attacked: Pymta) -> None:
    """
    Row 19: a client behind the balancer cannot say it once more.
    """
    header = b"PROXY TCP4 192.0.2.7 10.0.0.9 4321 25\r\n"
    replies = said(attacked.ports["proxy"], header, b"PROXY TCP4 10.0.0.7 10.0.0.9 4321 25\r\n", TO_ELSEWHERE)

    assert ["220", "500 5.5.2", "250", "250 2.1.0", "550 5.7.1", "221 2.0.0"] == codes(replies)


@pytest.mark.parametrize("listener", ["relay", "no-proxy"])
def test_a_header_from_elsewhere_means_nothing(attacked: Pymta, listener: str) -> None:
    """
    Row 19: who is not in proxy_networks is who it is; its header is an unknown command.
    """
    replies = said(attacked.ports[listener], b"PROXY TCP4 10.0.0.7 10.0.0.9 4321 25\r\n", TO_ELSEWHERE)

    assert ["220", "500 5.5.2", "250", "250 2.1.0", "550 5.7.1", "221 2.0.0"] == codes(replies)


# ---- XCLIENT -------------------------------------------------------------------------------------------------------


def told(attacked: Pymta, *commands: str) -> list[str]:
    """What is said to XCLIENT and then to an attempt to send elsewhere, through the front that is trusted itself."""
    with Wire(attacked.ports["xclient"], hello="front.example.net") as wire:
        return codes(wire.all_replies(*(f"{command}\r\n" for command in commands), TO_ELSEWHERE[:-6]))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("ADDR=192.0.2.7", "550 5.7.1"),
        ("ADDR=127.0.0.9", "250 2.1.5"),
        ("NAME=x ADDR=192.0.2.7 PORT=99999999", "550 5.7.1"),
        # Whom the front cannot name is a stranger, and not the front.
        ("ADDR=[UNAVAILABLE]", "550 5.7.1"),
        ("ADDR=[TEMPUNAVAIL]", "550 5.7.1"),
        ("NAME=[UNAVAILABLE] ADDR=[unavailable]", "550 5.7.1"),
        ("ADDR=IPV6:::ffff:192.0.2.7", "550 5.7.1"),
        ("ADDR=IPV6:2001:db8::7", "550 5.7.1"),
        ("ADDR=nonsense", "550 5.7.1"),
        ("ADDR=192.0.2.7 LOGIN=account", "250 2.1.5"),
        ("ADDR=192.0.2.7 LOGIN=[UNAVAILABLE]", "550 5.7.1"),
        ("ADDR=192.0.2.7 LOGIN=[TEMPUNAVAIL]", "550 5.7.1"),
    ],
)
def test_it_is_the_client_behind_the_front_that_counts(
    attacked: Pymta, attributes: str, expected: str
) -> None:
    """
    Row 19: the front's own rights are not its clients'.
    """
    replies = told(attacked, f"XCLIENT {attributes}")

    assert ["220", "250", "250 2.1.0", expected, "221 2.0.0"] == replies


def test_what_one_client_was_is_forgotten_with_the_next(attacked: Pymta) -> None:
    """
    Row 19: a login that XCLIENT vouched for ends with the next XCLIENT.
    """
    replies = told(attacked, "XCLIENT ADDR=192.0.2.7 LOGIN=account", "EHLO x", "XCLIENT ADDR=192.0.2.8")

    assert ["220", "250", "220", "250", "250 2.1.0", "550 5.7.1", "221 2.0.0"] == replies


def test_xclient_is_refused_within_a_transaction_and_to_strangers(attacked: Pymta) -> None:
    """
    Row 19.
    """
    with Wire(attacked.ports["xclient"], hello="front.example.net") as wire:
        wire.ask("MAIL FROM:<a@example.net>")
        assert wire.ask("XCLIENT ADDR=192.0.2.7").startswith("503 5.5.1")
    with Wire(attacked.port) as wire:
        assert "XCLIENT" not in wire.ask("EHLO stranger.example.net")
        assert wire.ask("XCLIENT ADDR=10.0.0.7").startswith("502 5.5.1")
