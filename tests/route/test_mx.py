"""
What a domain's MX records lead to, asked of a real DNS server (RFC 5321 §5.1, RFC 7505).
"""

from collections.abc import Callable

import pytest

from pymta._core import Reply
from pymta.dns import StubResolver
from pymta.mail.route import Hop, Route, TlsMode
from pymta.route import Router
from tests.partners.dns import Knot

Make = Callable[..., Router]


async def routed(router: Router, domain: str) -> Route:
    route = await router.route(domain)
    assert isinstance(route, Route), f"{domain}: {route}"
    return route


async def refused(router: Router, domain: str) -> tuple[int, str | None]:
    reply = await router.route(domain)
    assert isinstance(reply, Reply), f"{domain}: {reply}"
    return reply.code, reply.enhanced


def hosts(route: Route) -> list[str]:
    return list(dict.fromkeys(hop.host.removesuffix(".example.test") for hop in route.hops))


async def test_hosts_in_order_of_preference_with_both_families(make_router: Make) -> None:
    route = await routed(make_router(), "example.test")

    assert (
        Hop("mx1.example.test", "192.0.2.1", 25),
        Hop("mx1.example.test", "2001:db8::1", 25),
        Hop("mx2.example.test", "192.0.2.2", 25),
    ) == route.hops
    assert ("smtp", "{mx1.,mx2.}example.test", TlsMode.OPPORTUNISTIC, None, "MX") == (
        route.transport,
        route.site,
        route.tls,
        route.source,
        route.reason,
    )


async def test_ipv6_may_come_first_or_alone_or_not(make_router: Make) -> None:
    first = await routed(make_router(first_family="ipv6"), "example.test")
    alone = await routed(make_router(address_families="ipv6"), "example.test")
    never = await routed(make_router(address_families="ipv4"), "example.test")

    assert ["2001:db8::1", "192.0.2.1", "192.0.2.2"] == [hop.address for hop in first.hops]
    assert ["2001:db8::1"] == [hop.address for hop in alone.hops]
    assert ["192.0.2.1", "192.0.2.2"] == [hop.address for hop in never.hops]


async def test_equal_preferences_are_shuffled(make_router: Make) -> None:
    orders = {tuple(hosts(await routed(make_router(seed=seed), "equal.example.test"))) for seed in range(40)}

    assert {"e1", "e2", "e3", "e4"} == {order[0] for order in orders}
    assert all({"e1", "e2", "e3", "e4"} == set(order) for order in orders)


async def test_equal_preferences_are_shuffled_anew_without_a_query(
    knot: Knot, make_router: Make, clock: object
) -> None:
    router = make_router(route_s_max=1)
    await routed(router, "equal.example.test")
    before = knot.query_count()
    orders = set()
    for _ in range(20):
        clock.forward(1)
        orders.add(tuple(hosts(await routed(router, "equal.example.test"))))

    assert len(orders) > 1
    assert before == knot.query_count()


async def test_without_mx_the_domain_is_its_own_host(make_router: Make) -> None:
    route = await routed(make_router(), "implicit.example.test")

    assert ["192.0.2.7", "2001:db8::7"] == [hop.address for hop in route.hops]
    assert ("implicit.example.test", "address records (no MX)") == (route.site, route.reason)


async def test_an_alias_counts_as_what_it_leads_to(make_router: Make) -> None:
    """A domain may be an alias, and so may an MX host, though RFC 2181 §10.3 wants none there."""
    assert ["mx1", "mx2"] == hosts(await routed(make_router(), "alias-mx.example.test"))
    assert ["192.0.2.1"] == [
        hop.address
        for hop in (await routed(make_router(address_families="ipv4"), "to-alias.example.test")).hops
    ]


async def test_a_host_named_twice_is_tried_once(make_router: Make) -> None:
    assert 2 == len((await routed(make_router(), "twice.example.test")).hops)


async def test_a_null_mx_beside_others_is_ignored(make_router: Make) -> None:
    assert ["mx1"] == hosts(await routed(make_router(), "null-beside.example.test"))


async def test_one_broken_host_does_not_stop_the_others_and_holds_briefly(
    make_router: Make, clock: object
) -> None:
    route = await routed(make_router(), "half-broken.example.test")

    assert ["mx2"] == hosts(route)
    assert clock() + 5_000 == route.expires_ms


@pytest.mark.parametrize(
    ("domain", "reply"),
    [
        ("null.example.test", (556, "5.1.10")),
        ("nowhere.example.test", (550, "5.1.2")),
        ("no-address.example.test", (550, "5.4.4")),
        ("to-nowhere.example.test", (550, "5.4.4")),
        ("to-empty.example.test", (550, "5.4.4")),
        ("junk.example.test", (550, "5.4.4")),
        ("to-broken.example.test", (451, "4.4.3")),
        ("broken.test", (451, "4.4.3")),
        ("not-here.test", (451, "4.4.3")),
        ("loop-a.example.test", (451, "4.4.3")),
        ("", (550, "5.1.2")),
        ("exam ple.test", (550, "5.1.2")),
        ("a..test", (550, "5.1.2")),
    ],
)
async def test_no_means_never_and_silence_means_later(
    make_router: Make, domain: str, reply: tuple[int, str]
) -> None:
    assert reply == await refused(make_router(), domain)


# ---- loops --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", ["us-first.example.test", "us-implicit.example.test", "us.example.test"])
async def test_mail_that_would_come_back_is_returned(make_router: Make, domain: str) -> None:
    assert (554, "5.4.6") == await refused(make_router(), domain)


@pytest.mark.parametrize("domain", ["us-backup.example.test", "us-by-address.example.test"])
async def test_a_backup_uses_only_what_is_better_than_itself(make_router: Make, domain: str) -> None:
    """Whether it is known by its name or only by its address; hosts of its own preference are dropped too."""
    assert ["mx1"] == hosts(await routed(make_router(), domain))


async def test_another_port_of_ours_is_not_ourselves(make_router: Make) -> None:
    """A second server on the same host, as in every test here and behind many a gateway."""
    assert ["192.0.2.99"] == [
        hop.address for hop in (await routed(make_router(mx_port=2525), "us-implicit.example.test")).hops
    ]


# ---- places that are none -----------------------------------------------------------------------------------------


async def test_loopback_is_no_place_that_the_dns_may_send_us_to(make_router: Make) -> None:
    assert (550, "5.4.4") == await refused(make_router(), "loopback.example.test")
    assert ["mx2"] == hosts(await routed(make_router(), "some-loopback.example.test"))


async def test_loopback_is_allowed_in_a_lab(make_router: Make) -> None:
    route = await routed(make_router(loopback_allowed=True), "loopback.example.test")

    assert {"127.0.0.1", "0.0.0.0", "::1"} == {hop.address for hop in route.hops}


@pytest.mark.parametrize(
    ("literal", "address"),
    [
        ("[192.0.2.5]", "192.0.2.5"),
        ("[IPv6:2001:db8::5]", "2001:db8::5"),
        ("[ipv6:2001:DB8::5]", "2001:db8::5"),
    ],
)
async def test_an_address_literal_is_its_own_host(make_router: Make, literal: str, address: str) -> None:
    route = await routed(make_router(), literal)

    assert (Hop(address, address, 25),) == route.hops
    assert "address literal" == route.reason


@pytest.mark.parametrize(
    ("literal", "reply"),
    [
        ("[127.0.0.1]", (550, "5.4.4")),
        ("[0.0.0.0]", (550, "5.4.4")),
        ("[IPv6:::1]", (550, "5.4.4")),
        ("[IPv6:::ffff:127.0.0.1]", (550, "5.4.4")),
        ("[169.254.169.254]", (550, "5.4.4")),
        ("[192.0.2.99]", (554, "5.4.6")),
        ("[x400:something]", (550, "5.1.2")),
        ("[]", (550, "5.1.2")),
        ("[192.0.2.1", (550, "5.1.2")),
    ],
)
async def test_a_literal_that_leads_nowhere(make_router: Make, literal: str, reply: tuple[int, str]) -> None:
    assert reply == await refused(make_router(), literal)


# ---- bounds -------------------------------------------------------------------------------------------------------


async def test_500_hosts_of_50_addresses_cost_a_bounded_number_of_queries(
    knot: Knot, make_router: Make, make_resolver: Callable[..., StubResolver]
) -> None:
    """attacks.md, row 29."""
    resolver = make_resolver()
    router = make_router(over=resolver, mx_hosts_max=20, addresses_max=5)
    before = knot.query_count()

    route = await routed(router, "many.example.test")

    # One for MX, one A and one AAAA for each host that is looked at; over TCP once more where UDP was too small.
    assert resolver.query_count <= 1 + 2 * 20
    assert knot.query_count() - before <= 2 * (1 + 2 * 20)
    assert ["h0.many", "h1.many", "h2.many", "h3.many", "h4.many"] == hosts(route)
    assert len(route.site) <= 160


async def test_a_host_with_many_addresses_leaves_room_for_its_backup(make_router: Make) -> None:
    route = await routed(make_router(addresses_max=5), "backup-of-big.example.test")

    assert ["h0.many"] * 4 + ["mx2"] == [hop.host.removesuffix(".example.test") for hop in route.hops]


async def test_domains_of_one_provider_have_one_site(make_router: Make) -> None:
    """However they order its hosts."""
    one = await routed(make_router(), "example.test")
    other = await routed(make_router(), "hosted.other.test")

    assert one.site == other.site
    assert one.hops == tuple(hop for hop in other.hops)
