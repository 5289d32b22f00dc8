"""
What a real server says becomes the right answer; what it cannot say becomes `Unavailable`.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from pymta.config.settings import DnsSettings
from pymta.config.values import Resolver as ServerAddress
from pymta.dns import Found, MxRecord, NoData, NxDomain, ResolverSettings, StubResolver, Unavailable
from tests.dns import zones
from tests.dns.fixtures import Clock
from tests.partners.dns import Knot, SilentServer, Unbound

Make = Callable[..., StubResolver]


async def test_mx_records_come_best_first(resolver: StubResolver) -> None:
    answer = await resolver.mx("example.test")

    assert isinstance(answer, Found)
    assert (MxRecord(10, "mx1.example.test"), MxRecord(20, "mx2.example.test")) == answer.records
    assert 3600 == answer.ttl_s


async def test_a_null_mx_is_a_record_without_a_host(resolver: StubResolver) -> None:
    answer = await resolver.mx("null.example.test")

    assert isinstance(answer, Found)
    assert (MxRecord(0, ""),) == answer.records


async def test_a_name_without_the_record_is_no_data(resolver: StubResolver, clock: Clock) -> None:
    answer = await resolver.mx("implicit.example.test")

    assert (
        NoData(zones.NEGATIVE_TTL_S, clock() + zones.NEGATIVE_TTL_S * 1000, "implicit.example.test") == answer
    )


async def test_a_name_that_does_not_exist_is_nxdomain_for_as_long_as_the_soa_says(
    resolver: StubResolver, clock: Clock
) -> None:
    answer = await resolver.mx("nowhere.example.test")

    assert (
        NxDomain(zones.NEGATIVE_TTL_S, clock() + zones.NEGATIVE_TTL_S * 1000, "nowhere.example.test")
        == answer
    )


async def test_a_long_negative_ttl_is_cut(make_resolver: Make) -> None:
    answer = await make_resolver(negative_ttl_s_max=30).mx("nowhere.example.test")

    assert isinstance(answer, NxDomain)
    assert 30 == answer.ttl_s


async def test_addresses_of_both_families(resolver: StubResolver) -> None:
    answer = await resolver.addresses("mx1.example.test")

    assert isinstance(answer, Found)
    assert ("192.0.2.1", "2001:db8::1") == answer.records


@pytest.mark.parametrize(
    ("host", "families", "addresses"),
    [
        ("only4", "both", ("192.0.2.4",)),
        ("only6", "both", ("2001:db8::6",)),
        ("mx1", "ipv4", ("192.0.2.1",)),
        ("mx1", "ipv6", ("2001:db8::1",)),
    ],
)
async def test_one_family_is_enough(
    resolver: StubResolver, host: str, families: str, addresses: tuple[str, ...]
) -> None:
    answer = await resolver.addresses(f"{host}.example.test", families)

    assert isinstance(answer, Found)
    assert addresses == answer.records


async def test_a_family_that_is_not_wanted_is_not_asked_for(knot: Knot, resolver: StubResolver) -> None:
    before = knot.query_count("AAAA")

    await resolver.addresses("mx1.example.test", "ipv4")

    assert before == knot.query_count("AAAA")


async def test_aliases_are_followed(resolver: StubResolver) -> None:
    answer = await resolver.addresses("alias.example.test", "ipv4")

    assert isinstance(answer, Found)
    assert ("192.0.2.1",) == answer.records
    assert "mx1.example.test" == answer.canonical_name


async def test_an_alias_into_another_zone_is_followed_with_a_question_of_our_own(
    resolver: StubResolver,
) -> None:
    """An authoritative server stops at its zone's border; a resolver would not, so both must lead to the end."""
    answer = await resolver.addresses("far.example.test", "ipv4")

    assert isinstance(answer, Found)
    assert ("198.51.100.1",) == answer.records
    assert "mx.other.test" == answer.canonical_name
    assert 2 == resolver.query_count


async def test_an_alias_to_nowhere_does_not_exist(resolver: StubResolver) -> None:
    assert isinstance(await resolver.addresses("dangling.example.test"), NxDomain)


async def test_an_alias_loop_is_unavailable_and_ends(resolver: StubResolver) -> None:
    answer = await resolver.addresses("loop-a.example.test", "ipv4")

    assert isinstance(answer, Unavailable)
    assert "too many aliases" == answer.cause
    assert 1 == resolver.query_count


async def test_more_aliases_than_allowed_are_unavailable(make_resolver: Make) -> None:
    assert isinstance(await make_resolver(aliases_max=11).addresses("chain0.example.test", "ipv4"), Found)
    assert isinstance(
        await make_resolver(aliases_max=10).addresses("chain0.example.test", "ipv4"), Unavailable
    )


@pytest.mark.parametrize(("domain", "cause"), [("broken.test", "SERVFAIL"), ("not-here.test", "REFUSED")])
async def test_a_server_that_cannot_say_is_unavailable(
    resolver: StubResolver, domain: str, cause: str
) -> None:
    answer = await resolver.mx(domain)

    assert isinstance(answer, Unavailable)
    assert cause == answer.cause


async def test_silence_is_unavailable_within_the_time_limit(make_resolver: Make) -> None:
    with SilentServer() as silent:
        resolver = make_resolver(servers=((silent.address, silent.port),), timeout_s=0.1, lookup_s_max=0.3)
        started_s = asyncio.get_running_loop().time()

        answer = await resolver.mx("example.test")

        assert isinstance(answer, Unavailable)
        assert "timeout" == answer.cause
        assert asyncio.get_running_loop().time() - started_s < 3


async def test_the_second_server_is_asked_when_the_first_is_silent(knot: Knot, make_resolver: Make) -> None:
    with SilentServer() as silent:
        servers = ((silent.address, silent.port), (knot.address, knot.port))

        answer = await make_resolver(servers=servers, timeout_s=0.1).mx("example.test")

    assert isinstance(answer, Found)


async def test_a_large_answer_comes_over_tcp_and_keeps_the_best_records(make_resolver: Make) -> None:
    answer = await make_resolver(records_max=100).mx("many.example.test")

    assert isinstance(answer, Found)
    assert [MxRecord(10 + n, f"h{n}.many.example.test") for n in range(100)] == list(answer.records)


async def test_the_strings_of_a_txt_record_are_joined(resolver: StubResolver) -> None:
    answer = await resolver.txt("text.example.test")

    assert isinstance(answer, Found)
    assert (b"v=spf1 -all",) == answer.records


async def test_an_address_has_a_name(resolver: StubResolver) -> None:
    answer = await resolver.ptr("192.0.2.1")

    assert isinstance(answer, Found)
    assert ("mx1.example.test",) == answer.records
    assert isinstance(await resolver.ptr("192.0.2.200"), NxDomain)
    assert isinstance(await resolver.ptr("not an address"), Unavailable)


# ---- the cache ----------------------------------------------------------------------------------------------------


async def test_an_answer_is_kept_for_its_ttl_and_not_longer(
    knot: Knot, make_resolver: Make, clock: Clock
) -> None:
    resolver = make_resolver(ttl_s_min=1)
    before = knot.query_count("A")

    await resolver.addresses("short.example.test", "ipv4")
    clock.forward(4.9)
    await resolver.addresses("short.example.test", "ipv4")
    assert 1 == knot.query_count("A") - before
    clock.forward(0.2)
    await resolver.addresses("short.example.test", "ipv4")
    assert 2 == knot.query_count("A") - before


async def test_after_its_ttl_a_changed_record_is_seen(tmp_path: Path, clock: Clock) -> None:
    with Knot(tmp_path, {"moving.test": "@ 60 MX 10 old\n"}) as knot:
        resolver = StubResolver(ResolverSettings(servers=((knot.address, knot.port),)), now_ms=clock)
        await resolver.mx("moving.test")
        knot.replace_zone("moving.test", "@ 60 MX 10 new\n")

        clock.forward(59)
        old = await resolver.mx("moving.test")
        clock.forward(1)
        new = await resolver.mx("moving.test")

    assert isinstance(old, Found)
    assert isinstance(new, Found)
    assert ("old.moving.test", "new.moving.test") == (old.records[0].host, new.records[0].host)


async def test_ttls_are_kept_inside_their_bounds(make_resolver: Make) -> None:
    resolver = make_resolver(ttl_s_min=7, ttl_s_max=100)

    short = await resolver.addresses("zero.example.test", "ipv4")
    long = await resolver.mx("example.test")

    assert (7, 100) == (short.ttl_s, long.ttl_s)


async def test_a_failure_is_kept_for_a_moment(knot: Knot, make_resolver: Make, clock: Clock) -> None:
    resolver = make_resolver(failure_ttl_s=5)
    before = knot.query_count("MX")

    await resolver.mx("broken.test")
    clock.forward(4)
    await resolver.mx("broken.test")
    assert 1 == knot.query_count("MX") - before
    clock.forward(1)
    await resolver.mx("broken.test")
    assert 2 == knot.query_count("MX") - before


async def test_the_cache_is_bounded(make_resolver: Make) -> None:
    resolver = make_resolver(cache_entries_max=3)

    for n in range(6):
        await resolver.mx(f"n{n}.example.test")

    assert 3 == resolver.cache_counts["entries"]
    assert 3 == resolver.cache_counts["evictions"]


# ---- single-flight ------------------------------------------------------------------------------------------------


async def test_many_askers_make_one_query(knot: Knot, resolver: StubResolver) -> None:
    before = knot.query_count("MX")

    answers = await asyncio.gather(*(resolver.mx("example.test") for _ in range(50)))

    assert 1 == knot.query_count("MX") - before
    assert all(isinstance(answer, Found) for answer in answers)


async def test_who_gives_up_takes_nothing_from_the_others(knot: Knot, resolver: StubResolver) -> None:
    before = knot.query_count("MX")
    first = asyncio.create_task(resolver.mx("example.test"))
    second = asyncio.create_task(resolver.mx("example.test"))
    await asyncio.sleep(0)

    first.cancel()

    assert isinstance(await second, Found)
    assert first.cancelled()
    assert 1 == knot.query_count("MX") - before


async def test_too_many_questions_at_once_are_unavailable_at_once(make_resolver: Make) -> None:
    with SilentServer() as silent:
        resolver = make_resolver(servers=((silent.address, silent.port),), lookups_waiting_max=2)
        waiting = [asyncio.create_task(resolver.mx(f"n{n}.test")) for n in range(2)]
        await asyncio.sleep(0)

        answer = await resolver.mx("n2.test")

        assert isinstance(answer, Unavailable)
        assert "too many questions at once" == answer.cause
        await resolver.aclose()
        assert all(
            isinstance(e, asyncio.CancelledError)
            for e in await asyncio.gather(*waiting, return_exceptions=True)
        )


async def test_questions_beyond_the_sockets_wait_and_are_answered(make_resolver: Make) -> None:
    resolver = make_resolver(sockets_max=2)

    answers = await asyncio.gather(*(resolver.addresses(f"e{n}.example.test", "ipv4") for n in (1, 2, 3, 4)))

    assert ["192.0.2.11", "192.0.2.12", "192.0.2.13", "192.0.2.14"] == [a.records[0] for a in answers]


# ---- DNSSEC, uvloop, settings -------------------------------------------------------------------------------------


async def test_what_a_trusted_resolver_validated_is_authenticated(tmp_path: Path) -> None:
    """A real chain: Knot signs one zone of two, Unbound validates it."""
    zones_here = {"signed.test": "@ MX 10 mx\n", "plain.test": "@ MX 10 mx\n"}
    (tmp_path / "knot").mkdir()
    (tmp_path / "unbound").mkdir()
    with Knot(tmp_path / "knot", zones_here, signed=("signed.test",)) as knot:
        anchors = knot.signing_keys("signed.test")
        with Unbound(tmp_path / "unbound", knot, tuple(zones_here), trust_anchors=anchors) as unbound:
            servers = ((unbound.address, unbound.port),)
            trusting = StubResolver(ResolverSettings(servers=servers))
            doubting = StubResolver(ResolverSettings(servers=servers, trust_authenticated=False))

            signed = await trusting.mx("signed.test")
            missing = await trusting.mx("missing.signed.test")
            plain = await trusting.mx("plain.test")
            doubted = await doubting.mx("signed.test")

    assert isinstance(signed, Found)
    assert isinstance(missing, NxDomain)
    assert isinstance(plain, Found)
    assert isinstance(doubted, Found)
    assert (True, True, False, False) == (
        signed.authenticated,
        missing.authenticated,
        plain.authenticated,
        doubted.authenticated,
    )


def test_it_works_on_uvloop(knot: Knot) -> None:
    async def ask() -> object:
        resolver = StubResolver(ResolverSettings(servers=((knot.address, knot.port),)))
        return await asyncio.gather(resolver.mx("many.example.test"), resolver.addresses("mx1.example.test"))

    many, addresses = uvloop.run(ask())

    assert isinstance(many, Found)  # over TCP
    assert isinstance(addresses, Found)


def test_settings_of_the_file_are_taken_over() -> None:
    written = DnsSettings(resolvers=(ServerAddress("::1", 5353),), timeout_s=2, lookup_s_max=7, ttl_s_max=3)

    settings = ResolverSettings.from_settings(written)

    assert ((("::1", 5353),), 2, 7, 3, 3) == (
        settings.servers,
        settings.timeout_s,
        settings.lookup_s_max,
        settings.ttl_s_max,
        settings.ttl_s_min,
    )
    assert ("::1 port 5353",) == StubResolver(settings).server_names


def test_a_server_that_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match=r"dns\.example\.org"):
        StubResolver(ResolverSettings(servers=(("dns.example.org", 53),)))
