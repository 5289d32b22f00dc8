"""
What the text of a value means, and what is said where it means nothing.
"""

import pytest

from pymta.config.values import (
    DomainPattern,
    Endpoint,
    HostName,
    Network,
    NetworkSet,
    NextHop,
    Resolver,
    SourceAddress,
)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Endpoint, "127.0.0.1:2525"),
        (Endpoint, "[::1]:0"),
        (NextHop, "mx.example.org"),
        (NextHop, "mx.example.org:587"),
        (NextHop, "[2001:db8::1]:25"),
        (NextHop, "192.0.2.1"),
        (Resolver, "127.0.0.1:53"),
        (Network, "192.0.2.0/24"),
        (HostName, "mail.example.org"),
        (DomainPattern, ".example.org"),
        (DomainPattern, "*"),
        (SourceAddress, "2001:db8::1"),
    ],
)
def test_text_round_trips(kind: type[Endpoint], text: str) -> None:
    value = kind.parse(text)

    assert text == str(value)
    assert kind.parse(str(value)) == value
    assert 1 == len({value, kind.parse(text)})


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Endpoint, "2525"),
        (Endpoint, "localhost:2525"),
        (Endpoint, "::1:2525"),
        (Endpoint, "127.0.0.1:65536"),
        (Endpoint, "127.0.0.1:-1"),
        (Endpoint, "127.0.0.1:٢٥"),
        (Endpoint, "[::1"),
        (Endpoint, "[::1]25"),
        (NextHop, ":25"),
        (NextHop, "mx.example.org:0"),
        (NextHop, "a..b"),
        (NextHop, "10.0.0.300"),
        (NextHop, "-a.example"),
        (NextHop, "a" * 64 + ".example"),
        (NextHop, "a b"),
        (NextHop, ""),
        (Resolver, "dns.example"),
        (Network, "example.org"),
        (Network, "10.0.0.0/33"),
        (HostName, "localhost"),
        (HostName, "192.0.2.1"),
        (HostName, "mail.example.org\n"),
        (DomainPattern, "*.example.org"),
        (DomainPattern, ".."),
        (DomainPattern, ""),
        (SourceAddress, "192.0.2.1:25"),
    ],
)
def test_nonsense_is_refused_with_what_was_expected(kind: type[Endpoint], text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        kind.parse(text)


def test_a_value_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Endpoint("127.0.0.1", 1).port = 2


@pytest.mark.parametrize(
    ("pattern", "domain", "matches"),
    [
        ("example.org", "example.org", True),
        ("example.org", "a.example.org", False),
        ("example.org", "badexample.org", False),
        (".example.org", "a.example.org", True),
        (".example.org", "a.b.example.org", True),
        (".example.org", "example.org", False),
        (".example.org", ".example.org", False),
        ("*", "anything.example", True),
        ("bücher.example", "bücher.example", True),
        ("bücher.example", "xn--bcher-kva.example", True),
        ("straße.example", "straße.example", True),
        ("straße.example", "xn--strae-oqa.example", True),
        ("straße.example", "strasse.example", False),
        (".ＥＸＡＭＰＬＥ.org", "a.example.org", True),
        ("example.org", "\udcff.example", False),
    ],
)
def test_domain_patterns_mean_exactly_what_they_say(pattern: str, domain: str, matches: bool) -> None:
    assert matches is DomainPattern.parse(pattern).matches(domain)


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("192.0.2.77", True),
        ("192.0.3.1", False),
        ("::ffff:192.0.2.77", True),
        ("2001:db8::5", True),
        ("2001:db9::5", False),
        ("fe80::1%eth0", False),
        ("not an address", False),
        ("", False),
    ],
)
def test_a_network_set_knows_both_families_and_mapped_addresses(address: str, inside: bool) -> None:
    networks = NetworkSet(map(Network.parse, ["192.0.2.0/24", "2001:db8::/32"]))

    assert inside is (address in networks)
    assert address not in NetworkSet([])
