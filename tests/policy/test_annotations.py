"""What the spool keeps about a message comes back as it went in, also from a neighbour version."""

import msgspec
import pytest

from pymta.mail.route import TlsMode
from pymta.mail.verdict import RouteChoice
from pymta.policy.annotations import EMPTY, Annotations, Decision, TlsFacts, decode, encode


def test_nothing_is_no_octets() -> None:
    assert b"" == encode(Annotations())
    assert EMPTY == decode(b"")


def test_all_of_it_comes_back() -> None:
    whole = Annotations(
        tags={"tenant": "acme"},
        route=RouteChoice(
            next_hop=("a.example", "b.example:26"), source="192.0.2.1", tls=TlsMode.VERIFIED, transport="lmtp"
        ),
        decisions=(
            Decision("rcpt", "rcpt", "refuse", "full", "policy.py:3", "452 4.2.2 full", "a@b.example"),
        ),
        peer="192.0.2.9",
        listener="relay",
        account="alice",
        tls=TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", "CN=client"),
        sid="s1",
    )
    assert whole == decode(encode(whole))
    assert encode(Annotations(peer="192.0.2.9")) == b"\x81\xa4peer\xa9192.0.2.9"


def test_a_field_of_a_later_version_is_passed_over() -> None:
    later = msgspec.msgpack.encode({"tags": {"a": "b"}, "colour": "blue"})

    assert {"a": "b"} == decode(later).tags


@pytest.mark.parametrize(
    "octets", [b"\xc1", b"\x81", msgspec.msgpack.encode({"route": {"next_hop": "a b"}}), b"\x90"]
)
def test_what_is_no_annotation_is_not_passed_over(octets: bytes) -> None:
    """
    A message must not leave without the route and the TLS that it was given.
    """
    with pytest.raises(ValueError, match="annotations"):
        decode(octets)
