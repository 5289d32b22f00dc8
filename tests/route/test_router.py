"""
Whose word counts about the way out, what is remembered, and what is shared.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from pymta._core import Reply
from pymta.config.settings import Settings
from pymta.config.values import NextHop
from pymta.dns import StubResolver
from pymta.mail.route import Hop, Route, TlsMode
from pymta.mail.verdict import RouteChoice
from pymta.route import Router, RouterSettings, Rule
from tests.partners.dns import Knot

Make = Callable[..., Router]
SMARTHOSTS = (NextHop("mx1.example.test", 587), NextHop("192.0.2.50", None))


def hops(*texts: str) -> tuple[NextHop, ...]:
    return tuple(NextHop.parse(text) for text in texts)


async def routed(router: Router, domain: str, choice: RouteChoice | None = None) -> Route:
    route = await router.route(domain, choice)
    assert isinstance(route, Route), f"{domain}: {route}"
    return route


# ---- whose word counts --------------------------------------------------------------------------------------------


async def test_policy_before_rules_before_smarthosts_before_mx(make_router: Make) -> None:
    rule = Rule(pattern="other.test", next_hops=hops("192.0.2.60"))
    choice = RouteChoice(next_hop="192.0.2.70:2525")
    full = make_router(rules=(rule,), smarthosts=SMARTHOSTS)

    assert ["policy", '[[routes]] "other.test"', "smarthosts", "MX"] == [
        (await routed(full, "other.test", choice)).reason,
        (await routed(full, "other.test")).reason,
        (await routed(full, "example.test")).reason,
        (await routed(make_router(rules=(rule,)), "example.test")).reason,
    ]
    assert (Hop("192.0.2.70", "192.0.2.70", 2525),) == (await routed(full, "other.test", choice)).hops


async def test_smarthosts_are_tried_in_the_order_written(make_router: Make) -> None:
    route = await routed(make_router(smarthosts=SMARTHOSTS), "anything.invalid")

    assert (
        Hop("mx1.example.test", "192.0.2.1", 587),
        Hop("mx1.example.test", "2001:db8::1", 587),
        Hop("192.0.2.50", "192.0.2.50", 25),
    ) == route.hops
    assert "mx1.example.test:587,192.0.2.50" == route.site


async def test_a_smarthost_that_cannot_be_looked_up_is_passed_over(make_router: Make) -> None:
    route = await routed(
        make_router(smarthosts=hops("nowhere.example.test", "mx2.example.test")), "example.org"
    )

    assert ["mx2.example.test"] == [hop.host for hop in route.hops]


@pytest.mark.parametrize(
    ("next_hop", "enhanced"),
    [("nowhere.example.test", "4.3.5"), ("mx.broken.test", "4.4.3"), ("us.example.test", "4.3.5")],
)
async def test_mail_waits_when_no_smarthost_is_of_use(
    make_router: Make, next_hop: str, enhanced: str
) -> None:
    """A typing error of the operator's must not return mail."""
    reply = await make_router(smarthosts=hops(next_hop)).route("example.org")

    assert isinstance(reply, Reply)
    assert (451, enhanced) == (reply.code, reply.enhanced)


async def test_what_is_written_down_may_be_loopback(make_router: Make) -> None:
    route = await routed(make_router(smarthosts=hops("127.0.0.1:2526")), "example.org")

    assert (Hop("127.0.0.1", "127.0.0.1", 2526),) == route.hops


async def test_a_rule_may_lead_around_the_smarthosts(make_router: Make) -> None:
    rules = (Rule(pattern="example.test", port=2525, tls=TlsMode.VERIFIED),)
    route = await routed(make_router(rules=rules, smarthosts=SMARTHOSTS), "example.test")

    assert [("mx1.example.test", 2525), ("mx2.example.test", 2525)] == list(
        dict.fromkeys((hop.host, hop.port) for hop in route.hops)
    )
    assert '[[routes]] "example.test", MX' == route.reason


async def test_lmtp_has_a_port_and_a_site_of_its_own(make_router: Make) -> None:
    rules = (Rule(pattern="example.test", transport="lmtp", next_hops=hops("192.0.2.80", "192.0.2.81:2424")),)
    route = await routed(make_router(rules=rules), "example.test")

    assert ("lmtp", [24, 2424], "lmtp:192.0.2.80:24,192.0.2.81:2424") == (
        route.transport,
        [hop.port for hop in route.hops],
        route.site,
    )


async def test_lmtp_without_a_next_hop_waits(make_router: Make) -> None:
    reply = await make_router(rules=(Rule(pattern="*", transport="lmtp"),)).route("example.test")

    assert isinstance(reply, Reply)
    assert (451, "4.3.5") == (reply.code, reply.enhanced)


async def test_discard_asks_nobody(make_router: Make, make_resolver: Callable[..., StubResolver]) -> None:
    resolver = make_resolver()
    rules = (Rule(pattern="*", transport="discard"),)

    by_rule = await routed(make_router(over=resolver, rules=rules), "example.test")
    by_policy = await routed(make_router(over=resolver), "example.test", RouteChoice(transport="discard"))

    assert ("discard", (), "discard", ()) == (
        by_rule.transport,
        by_rule.hops,
        by_policy.transport,
        by_policy.hops,
    )
    assert 0 == resolver.query_count


async def test_policy_may_change_a_part_only(make_router: Make) -> None:
    choice = RouteChoice(source="192.0.2.200", tls=TlsMode.REQUIRED)
    route = await routed(make_router(), "example.test", choice)

    assert ("192.0.2.200", TlsMode.REQUIRED, "changed by policy, MX") == (
        route.source,
        route.tls,
        route.reason,
    )
    assert ["mx1.example.test", "mx2.example.test"] == list(dict.fromkeys(hop.host for hop in route.hops))


async def test_a_next_hop_of_policy_that_is_none_waits(make_router: Make) -> None:
    reply = await make_router().route("example.test", RouteChoice(next_hop="bad!host"))

    assert isinstance(reply, Reply)
    assert (451, "4.3.5") == (reply.code, reply.enhanced)


async def test_connections_with_less_tls_are_never_shared(make_router: Make) -> None:
    """A site's connections are reused for all its mail, so what asks for more TLS is a site of its own."""
    router = make_router(rules=(Rule(pattern="hosted.other.test", tls=TlsMode.VERIFIED),))

    assert "{mx1.,mx2.}example.test" == (await routed(router, "example.test")).site
    assert "{mx1.,mx2.}example.test/verified" == (await routed(router, "hosted.other.test")).site


async def test_a_site_has_the_same_name_whatever_tls_is_usual(make_router: Make) -> None:
    """A reload may ask for more; connections that were opened before must not be what is meant then."""
    router = make_router(tls=TlsMode.VERIFIED)

    assert "{mx1.,mx2.}example.test/verified" == (await routed(router, "example.test")).site


# ---- the fast path ------------------------------------------------------------------------------------------------


async def test_what_was_found_is_known_until_it_expires(make_router: Make, clock: object) -> None:
    router = make_router(route_s_max=60)
    assert None is router.cached("example.test")

    route = await routed(router, "example.test")

    assert route is router.cached("example.test")
    assert clock() + 60_000 == route.expires_ms
    clock.forward(59.9)
    assert route is router.cached("example.test")
    clock.forward(0.1)
    assert None is router.cached("example.test")


async def test_a_route_holds_no_longer_than_the_records_it_rests_on(
    make_router: Make, make_resolver: Callable[..., StubResolver], clock: object
) -> None:
    route = await routed(make_router(over=make_resolver(ttl_s_min=1)), "short.example.test")

    assert clock() + 5_000 == route.expires_ms


async def test_replies_are_known_too_but_temporary_ones_briefly(make_router: Make, clock: object) -> None:
    router = make_router()
    never = await router.route("nowhere.example.test")
    later = await router.route("broken.test")

    assert (never, later) == (router.cached("nowhere.example.test"), router.cached("broken.test"))
    clock.forward(5)
    assert (never, None) == (router.cached("nowhere.example.test"), router.cached("broken.test"))


async def test_a_choice_of_policy_is_remembered_apart(make_router: Make) -> None:
    router = make_router()
    choice = RouteChoice(next_hop=("192.0.2.70", "192.0.2.71"))
    chosen = await routed(router, "example.test", choice)

    assert chosen is router.cached("example.test", RouteChoice(next_hop=("192.0.2.70", "192.0.2.71")))
    assert None is router.cached("example.test")


async def test_the_memory_is_bounded(make_router: Make) -> None:
    router = make_router(routes_max=2, rules=(Rule(pattern="*", transport="discard"),))
    for n in range(3):
        await router.route(f"n{n}.test")

    assert [True, False, False] == [router.cached(f"n{n}.test") is None for n in range(3)]


async def test_many_messages_for_one_domain_ask_once(knot: Knot, make_router: Make) -> None:
    router = make_router()
    before = knot.query_count()

    routes = await asyncio.gather(*(router.route("example.test") for _ in range(100)))

    assert 1 + 2 * 2 == knot.query_count() - before
    assert 1 == len({id(route) for route in routes})


# ---- from the file ------------------------------------------------------------------------------------------------

FILE = {
    "server": {"hostname": "Mail.Example.Test"},
    "listeners": [{"name": "a", "address": "192.0.2.1:25"}, {"name": "b", "address": "0.0.0.0:26"}],
    "routing": {
        "smarthosts": ["smart.example.test:587"],
        "mx_port": 2525,
        "mx_hosts_max": 7,
        "addresses_max": 3,
    },
    "routes": [
        {"domain": "one.test", "transport": "lmtp", "next_hops": ["127.0.0.1"], "port": 2424},
        {"domain": ".two.test", "tls": "verified"},
    ],
    "delivery": {"tls": "required", "hello_name": "out.example.test"},
}


def settings_of(file: dict[str, object]) -> RouterSettings:
    def value(kind: type, text: object) -> object:
        return Path(text) if kind is Path else kind.parse(text)

    return RouterSettings.from_settings(msgspec.convert(file, Settings, dec_hook=value))


def test_settings_of_the_file_are_taken_over() -> None:
    settings = settings_of(FILE)

    assert hops("smart.example.test:587") == settings.smarthosts
    assert (2525, 7, 3, TlsMode.REQUIRED, False) == (
        settings.mx_port,
        settings.mx_hosts_max,
        settings.addresses_max,
        settings.tls,
        settings.loopback_allowed,
    )
    assert (
        Rule(pattern="one.test", transport="lmtp", next_hops=hops("127.0.0.1"), port=2424)
        == settings.rules[0]
    )
    assert Rule(pattern=".two.test", tls=TlsMode.VERIFIED) == settings.rules[1]
    assert settings.ourselves.is_named("mail.example.test")
    assert settings.ourselves.is_named("out.example.test")
    assert settings.ourselves.listens_on("192.0.2.1", 25)
    assert settings.ourselves.listens_on("127.0.0.1", 26)
    assert not settings.ourselves.listens_on("127.0.0.1", 25)


def test_loopback_is_allowed_where_every_listener_is_on_loopback() -> None:
    assert settings_of({"server": {"hostname": "mail.example.test"}}).loopback_allowed
