"""
How much a site asks for at once, in which order, and when it leaves off: in virtual time, against connections of a fake.

That all of it is concluded, against a real peer, is test_site_histories.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random

import pytest

from pymta.config.settings.delivery import DeliverySettings
from pymta.queue import site as site_module
from tests.queue.fake_pool import LEAVING, OK, UNREACHABLE, FakeOwner, delivery_of, make_site
from tests.queue.virtual_time import VirtualTimeLoop, run


@pytest.fixture(autouse=True)
def _one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long a transaction took is told by the virtual clock, too: sites find out whether they are quick."""
    monkeypatch.setattr(site_module, "monotonic", lambda: asyncio.get_running_loop().time())


async def until(condition: Callable[[], bool], *, limit_s: float = 10_000) -> None:
    """Let virtual time pass until *condition* holds."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    end_s = loop.time() + limit_s
    while not condition():
        assert loop.time() < end_s, "it never came true"
        await pass_s(0.05)


async def pass_s(seconds: float) -> None:
    """Let virtual time pass."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    loop.call_later(seconds, over.set_result, None)
    await over


@pytest.mark.parametrize("service_s", [0.001, 1.0], ids=["quick", "slow"])
def test_a_site_gets_no_more_connections_than_it_may_and_more_with_success(service_s: float) -> None:
    async def scenario() -> None:
        owner = FakeOwner()
        settings = DeliverySettings(connections_per_site_max=12, connections_per_site_start=2)
        site, pool = make_site(owner, settings)
        pool.service_s = service_s
        for number in range(2000):
            site.put(delivery_of(str(number)))
        await until(lambda: pool.open_count > 0)
        assert 2 >= pool.open_count + pool.opening_count
        await until(lambda: len(owner.outcomes) == 2000)
        assert 12 == site.connections_max
        # That it is never asked for more, the pool asserts itself.
        if service_s == 1.0:
            assert 12 == pool.busy_max

    run(scenario())


def test_a_site_that_says_421_gets_half_of_the_connections() -> None:
    """
    Half of those that are open, not only of those that may be opened: the others take no more and end.
    """

    async def scenario() -> None:
        owner = FakeOwner()
        settings = DeliverySettings(connections_per_site_max=8, connections_per_site_start=8)
        site, pool = make_site(owner, settings)
        for number in range(1000):
            site.put(delivery_of(str(number)))
        await until(lambda: pool.open_count == 8 and len(owner.outcomes) > 20)
        pool.replies.append(LEAVING)
        await until(lambda: pool.open_count < 8)
        assert 4 == site.connections_max
        busy: list[int] = []
        for _ in range(12):
            await pass_s(0.1)
            busy.append(pool.busy_count)
        assert busy[-1] <= site.connections_max <= 5
        await until(lambda: len(owner.outcomes) == 1000)
        assert 8 == site.connections_max

    run(scenario())


def test_a_site_that_ends_idle_connections_keeps_its_limit() -> None:
    """
    Its patience is shorter than ours; that says nothing about how much it takes.
    """

    async def scenario() -> None:
        owner = FakeOwner()
        settings = DeliverySettings(connections_per_site_max=8, connections_per_site_start=8)
        site, pool = make_site(owner, settings)
        for number in range(50):
            site.put(delivery_of(str(number)))
        await until(lambda: len(owner.outcomes) == 50)
        assert 8 == pool.open_count
        for connection in tuple(pool.connections_now):
            connection.end(LEAVING)
        assert (0, 8) == (pool.open_count, site.connections_max)

    run(scenario())


def test_the_rate_of_a_site_is_never_exceeded() -> None:
    async def scenario() -> None:
        owner = FakeOwner()
        settings = DeliverySettings(messages_per_site_per_min_max=600, connections_per_site_start=20)
        site, pool = make_site(owner, settings)
        pool.service_s = 0.01
        for number in range(500):
            site.put(delivery_of(str(number), 1 + number % 3))
        await until(lambda: len({name for _, name, _, _ in owner.outcomes}) == 500)
        begun = [at_s for at_s, _, _ in pool.begun]
        # Ten a second, and a burst of one second's worth.
        for first in range(len(begun)):
            for last in range(first, len(begun)):
                assert last - first + 1 <= 10 + (begun[last] - begun[first]) * 10 + 1
        assert 500 / 10 == pytest.approx(begun[-1] - begun[0], abs=2), "slower than it may be"

    run(scenario())


@pytest.mark.parametrize("service_s", [0.001, 1.0], ids=["quick", "slow"])
def test_a_message_with_fifty_thousand_recipients_takes_turns_with_those_of_one(service_s: float) -> None:
    async def scenario() -> None:
        owner = FakeOwner()
        settings = DeliverySettings(connections_per_site_max=2, connections_per_site_start=2)
        site, pool = make_site(owner, settings)
        pool.service_s = service_s
        site.put(delivery_of("huge", 50_000))
        await until(lambda: len(pool.begun) >= 10)
        before = len(pool.begun)
        for number in range(10):
            site.put(delivery_of(f"small-{number}"))
        await until(lambda: len(owner.outcomes) == 50_010)
        after = [name for _, name, _ in pool.begun[before:]]
        # Each waits for one turn of the huge one at most.
        assert 11 >= max(at for at, name in enumerate(after) if name != "huge")
        assert "huge" in after[:11], "nor do the small ones starve it"
        assert {1} == set(Counter((name, index) for _, name, index, _ in owner.outcomes).values())
        assert 100 == max(len(recipients) for _, _, recipients in pool.begun)

    run(scenario())


def test_a_site_that_does_not_answer_holds_up_no_other() -> None:
    async def scenario() -> None:
        owner = FakeOwner()
        settings = DeliverySettings()
        silent, silent_pool = make_site(owner, settings)
        other, other_pool = make_site(owner, settings)
        silent_pool.service_s = 1e6
        for number in range(500):
            silent.put(delivery_of(f"silent-{number}"))
            other.put(delivery_of(f"other-{number}"))
        await until(lambda: len(owner.outcomes) == 500, limit_s=200)
        assert {"other"} == {name.partition("-")[0] for _, name, _, _ in owner.outcomes}
        assert 0 == other.ready_count
        assert other_pool.open_count

    run(scenario())


def test_a_dead_site_is_left_alone_for_longer_each_time_and_its_mail_waits() -> None:
    async def scenario() -> None:
        owner = FakeOwner()
        settings = DeliverySettings(
            connections_per_site_start=1, suspend_after_failures=2, suspend_s_min=60, suspend_s_max=200
        )
        site, pool = make_site(owner, settings)
        pool.is_reachable = False
        for number in range(10):
            site.put(delivery_of(str(number)))
        await until(lambda: len(owner.outcomes) == 10)
        assert {UNREACHABLE} == {reply for _, _, _, reply in owner.outcomes}
        # One message learns of the first failure, all others of the second, which suspends.
        assert 2 == len(pool.opened_at_s)
        assert [60] == [wait_s for _, wait_s in owner.suspensions]

        site.put(delivery_of("while suspended"))
        assert [("while suspended", UNREACHABLE)] == [(name, reply) for name, reply, _ in owner.postponements]
        assert 60 == pytest.approx(owner.postponements[0][2], abs=1)
        assert 2 == len(pool.opened_at_s), "tried though suspended"

        for wait_s in (120, 200, 200):
            await pass_s(site.suspended_for_s() + 0.01)
            site.put(delivery_of("again"))
            await until(lambda: site.suspended_for_s() > 0)
            assert wait_s == owner.suspensions[-1][1]

        pool.is_reachable = True
        await pass_s(site.suspended_for_s() + 0.01)
        site.put(delivery_of("at last"))
        await until(lambda: owner.outcomes[-1][1] == "at last")
        assert OK == owner.outcomes[-1][3]
        assert 0 == site.suspended_for_s()

    run(scenario())


def test_a_lifted_suspension_is_tried_at_once() -> None:
    async def scenario() -> None:
        owner = FakeOwner()
        site, pool = make_site(
            owner, DeliverySettings(suspend_after_failures=1, connections_per_site_start=1)
        )
        pool.is_reachable = False
        site.put(delivery_of("first"))
        await until(lambda: site.suspended_for_s() > 0)
        pool.is_reachable = True
        site.lift_suspension()
        site.put(delivery_of("second"))
        await until(lambda: owner.outcomes[-1][1] == "second")
        assert OK == owner.outcomes[-1][3]

    run(scenario())


def test_at_the_limit_of_all_a_site_still_gets_its_first_connection() -> None:
    async def scenario() -> None:
        owner = FakeOwner()
        owner.has_room = False
        site, pool = make_site(owner, DeliverySettings())
        for number in range(20):
            site.put(delivery_of(str(number)))
        await until(lambda: len(owner.outcomes) == 20)
        assert 1 == len(pool.opened_at_s)

    run(scenario())


def test_more_than_may_be_ready_is_put_off() -> None:
    async def scenario() -> None:
        owner = FakeOwner()
        site, _ = make_site(owner, DeliverySettings(ready_max=3, suspend_s_min=77))
        for number in range(5):
            site.put(delivery_of(str(number)))
        assert [("3", 77.0), ("4", 77.0)] == [(name, wait_s) for name, _, wait_s in owner.postponements]
        await until(lambda: len(owner.outcomes) == 3)

    run(scenario())


def test_what_a_silent_site_does_not_get_to_makes_room_for_others() -> None:
    """
    But only where there is no room otherwise; and more of its mail, and for longer, each time. Once it gets through what
    it has, all is forgotten.
    """

    async def scenario() -> None:
        owner = FakeOwner()
        settings = DeliverySettings(connections_per_site_max=1, ready_max=4000, suspend_s_min=60)
        site, pool = make_site(owner, settings)
        pool.service_s = 1e6
        loop = asyncio.get_running_loop()
        for number in range(4000):
            site.put(delivery_of(str(number)))
        await pass_s(100)
        site.sweep(loop.time())
        assert [] == owner.postponements, "nobody else needs the room"

        owner.crowded = True
        for ready_max, wait_s in ((999, 60), (249, 120), (62, 240)):
            owner.postponements.clear()
            site.sweep(loop.time())
            assert {float(wait_s)} == {wait for _, _, wait in owner.postponements}
            assert 0 == site.ready_count
            for number in range(1200):
                site.put(delivery_of(str(number)))
            assert ready_max == site.ready_count
            await pass_s(31)

        pool.service_s = 0.001
        pool.connections_now[0].end(LEAVING)
        await until(lambda: site.ready_count == 0)
        for _ in range(8):
            site.sweep(loop.time())
        owner.postponements.clear()
        for number in range(4000):
            site.put(delivery_of(str(number)))
        assert [] == owner.postponements

    run(scenario())


def test_a_huge_backlog_that_its_site_gets_through_is_not_put_off() -> None:
    async def scenario() -> None:
        owner = FakeOwner()
        owner.crowded = True
        site, pool = make_site(owner, DeliverySettings(connections_per_site_max=2))
        pool.service_s = 0.2
        site.put(delivery_of("huge", 50_000))
        for number in range(100):
            site.put(delivery_of(str(number)))
        while site.ready_count:
            await pass_s(1)
            site.sweep(asyncio.get_running_loop().time())
        assert [] == owner.postponements

    run(scenario())


@pytest.mark.parametrize("seed", range(60))
def test_nothing_is_stranded_while_its_site_may_deliver(seed: int) -> None:
    """
    After each turn of the loop: who is ready waits for a connection that opens or is at work, or for the rate.
    """

    async def scenario() -> None:
        random = Random(seed)
        owner = FakeOwner()
        settings = DeliverySettings(
            connections_per_site_max=(most := random.randint(1, 9)),
            connections_per_site_start=random.randint(1, most),
            recipients_per_transaction_max=random.choice((1, 3, 100)),
            suspend_after_failures=random.choice((1, 3)),
            suspend_s_min=10,
        )
        site, pool = make_site(owner, settings)
        put = 0
        for _ in range(300):
            match random.choice(("put", "put", "pass", "pass", "fault")):
                case "put":
                    for _ in range(random.choice((1, 1, 5, 30))):
                        site.put(delivery_of(str(put), random.choice((1, 1, 2, 10))))
                        put += 1
                case "pass":
                    await pass_s(random.choice((0.0, 0.01, 0.3, 2.0, 20.0)))
                case "fault":
                    pool.service_s = random.choice((0.0, 0.001, 0.02, 1.0))
                    pool.is_reachable = random.random() < 0.8
                    owner.has_room = random.random() < 0.9
                    pool.replies.extend([LEAVING] * random.choice((0, 0, 1, 3)))
                    if pool.connections_now and random.random() < 0.5:
                        random.choice(pool.connections_now).end(LEAVING)
            if site.ready_count:
                assert pool.opening_count or pool.busy_count, "nobody works for what is ready"
                assert pool.busy_count == pool.usable_count or pool.open_count > site.connections_max
            assert pool.opening_count <= site_module.OPENING_MAX
        pool.is_reachable, owner.has_room = True, True
        await until(lambda: not site.ready_count and not pool.busy_count)
        told = {name for _, name, _, _ in owner.outcomes} | {name for name, _, _ in owner.postponements}
        assert {str(number) for number in range(put)} == told

    run(scenario())
