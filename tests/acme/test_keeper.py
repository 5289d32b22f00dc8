"""
When the authority is asked: what is due, once, after a failure later and later, and whatever happens not for the last time.
"""

import asyncio
import datetime
import re
import stat
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import trustme

from pymta.acme.keeper import Keeper, make_ready
from pymta.acme.outcome import NotIssued, Renewal
from pymta.acme.responder import Responder
from pymta.acme.store import Attempts, Store
from pymta.config.load import load_text
from pymta.config.settings import AcmeSettings, Settings
from pymta.mail.errors import ConfigError
from pymta.observe.events import Admin, Event, Trouble
from pymta.observe.log import Log
from pymta.observe.metrics import Counts
from pymta.testing import FakeClock
from pymta.tls.challenge import TlsChallenges
from tests.partners.waiting import wait_until_async

TEXT = """
[server]
hostname = "mail.example.test"
data_folder = "data"
[[listeners]]
name = "in"
address = "127.0.0.1:0"
tls = "implicit"
[acme]
names = ["a.example.test", "b.example.test"]
agree_to_terms = true
challenge = "tls-alpn-01"
"""
A, B = "a.example.test", "b.example.test"


class Heard:
    """A log that is a list."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def trouble(self, what: str, error: BaseException, *, where: str) -> None:
        self.events.append(Trouble(what=what, error=repr(error), where=where))

    def troubles(self) -> list[Trouble]:
        return [event for event in self.events if isinstance(event, Trouble)]

    def issued(self) -> int:
        return sum(isinstance(event, Admin) and event.action == "certificate issued" for event in self.events)


class World:
    """A keeper, and an authority that does as it is told."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = FakeClock()
        self.log = Heard()
        self.asked: list[str] = []
        self.answer: Callable[[str], bytes] = self.certificate
        self.changes = 0
        self.counts = Counts()
        self.store = Store(settings.acme_folder)
        self._authority = trustme.CA()
        make_ready(settings)
        self.keeper = self.make()

    def make(self) -> Keeper:
        """Another run of the same server."""
        folder = self.settings.acme_folder
        return Keeper(
            self.settings,
            Responder([], http_folder=folder, tls=TlsChallenges(folder)),
            addresses=(),
            issue=self._issue,
            log=cast(Log, self.log),
            orders=self.counts,
            now_ms=self.clock,
            on_changed=self._changed,
        )

    def certificate(self, name: str) -> bytes:
        begin = datetime.datetime.fromtimestamp(self.clock() / 1000, datetime.UTC)
        leaf = self._authority.issue_cert(
            name, not_before=begin, not_after=begin + datetime.timedelta(days=90)
        )
        return leaf.private_key_pem.bytes() + leaf.cert_chain_pems[0].bytes()

    def _issue(self, name: str, settings: Settings, say: Callable[[str, str], None]) -> bytes:
        self.asked.append(name)
        say("acme order", name)
        return self.answer(name)

    def _changed(self) -> None:
        self.changes += 1

    def refuse(self, problem: str = "rateLimited", retry_after_s: float = 0.0) -> None:
        def answer(name: str) -> bytes:
            raise NotIssued(problem, retry_after_s=retry_after_s)

        self.answer = answer

    def with_options(self, **options: Any) -> Settings:
        acme = msgspec.structs.replace(self.settings.acme, **options)
        return msgspec.structs.replace(self.settings, acme=acme)

    async def wait_troubles(self, count: int) -> None:
        """Return when so many failures were told."""
        await wait_until_async(lambda: len(self.log.troubles()) == count, f"{count} failures")

    async def look(self, seconds: float) -> None:
        """Let time pass, and let it look."""
        self.clock.advance(seconds)
        self.keeper.use(self.settings)
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(load_text(TEXT, base=tmp_path).settings)
    yield made
    await made.keeper.stop()


async def test_each_name_is_asked_for_once(world: World) -> None:
    await world.keeper.start()

    await wait_until_async(lambda: world.changes == 2, "both are there")
    await world.look(60)

    assert [A, B] == world.asked
    assert 2 == world.log.issued()
    assert "until 2027-04-15, renewed from 2027-03-16" in str(world.log.events)
    assert 2 == world.counts["issued"]
    assert 0o600 == stat.S_IMODE(world.store.certificate_file(A).stat().st_mode)


async def test_it_is_renewed_without_a_restart(world: World) -> None:
    await world.keeper.start()
    await wait_until_async(lambda: world.changes == 2, "both are there")

    await world.look(59 * 86_400)
    assert 2 == len(world.asked)
    await world.look(2 * 86_400)

    await wait_until_async(lambda: world.changes == 4, "both are there again")


async def test_a_failure_of_one_name_is_waited_for_longer_each_time_and_holds_up_no_other(
    world: World,
) -> None:
    def answer(name: str) -> bytes:
        if name == A:
            raise NotIssued("no such host")
        return world.certificate(name)

    world.answer = answer
    await world.keeper.start()
    await wait_until_async(lambda: world.changes == 1, "the other is there")

    for wait_s, failures in ((899, 1), (1, 2), (1799, 2), (1, 3)):
        await world.look(wait_s)
        await world.wait_troubles(failures)
        assert failures == world.asked.count(A)

    assert ["no such host; asked again in 900 s", A, 1] == [
        getattr(world.log.troubles()[0], key) for key in ("error", "where", "count")
    ]
    assert 1 == world.asked.count(B)


async def test_what_the_authority_asks_to_wait_is_waited(world: World) -> None:
    world.refuse(retry_after_s=7200)
    await world.keeper.start()
    await world.wait_troubles(2)

    await world.look(7199)
    assert 2 == len(world.asked)
    await world.look(1)
    await wait_until_async(lambda: len(world.asked) == 4, "asked again")


async def test_a_restart_does_not_forget_a_failure_and_an_operator_may(world: World) -> None:
    world.refuse()
    await world.keeper.start()
    await world.wait_troubles(2)
    await world.keeper.stop()

    world.keeper = world.make()
    await world.keeper.start()
    await world.look(1)
    assert 2 == len(world.asked)

    world.answer = world.certificate
    assert [Renewal(A), Renewal(B)] == await world.keeper.renew([])
    assert {A: 0, B: 0} == {name: one.failures for name, one in world.store.attempts().items()}


async def test_a_clock_that_was_ahead_does_not_hold_it_up_for_years(world: World) -> None:
    world.refuse()
    far = world.clock() + 10 * 365 * 86_400_000
    world.store.put_attempts({A: Attempts(failures=1, next_at_ms=far)})
    await world.keeper.start()
    await wait_until_async(lambda: B in world.asked, "the other was asked for")
    assert A not in world.asked

    await world.look(world.settings.acme.retry_s_max - 1)
    assert A not in world.asked
    await world.look(1)
    await wait_until_async(lambda: A in world.asked, "it is asked for after the longest wait")


async def test_a_clock_far_ahead_does_not_order_one_after_the_other(world: World) -> None:
    """What the authority has just issued is over already, as our clock has it."""
    world.settings = world.with_options(names=(A,))
    made = world.certificate(A)
    world.answer = lambda _: made
    world.clock.advance(10 * 365 * 86_400)
    world.keeper = world.make()
    await world.keeper.start()
    await wait_until_async(lambda: world.changes == 1, "it is there")

    await world.look(world.settings.acme.retry_s_min - 1)
    await world.look(0)
    assert [A] == world.asked

    await world.look(1)
    await wait_until_async(lambda: world.changes == 2, "asked for again")


async def test_what_an_operator_has_just_renewed_is_not_ordered_again(world: World) -> None:
    """It was due while the operator's order was under way, and is not after it."""
    loop, begun, go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def answer(name: str) -> bytes:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(20)
        return world.certificate(name)

    world.answer = answer
    renewed = loop.create_task(world.keeper.renew([A]))
    await begun.wait()
    await world.keeper.start()  # sees that there is none, and waits for its turn
    await world.look(0)
    go_on.set()

    await wait_until_async(lambda: world.changes == 2, "both are there")
    assert [Renewal(A)] == await renewed
    assert [A, B] == world.asked


async def test_another_authority_means_another_certificate(world: World) -> None:
    """Who tried with the one for trying wants one of the real one."""
    await world.keeper.start()
    await wait_until_async(lambda: world.changes == 2, "both are there")

    world.settings = world.with_options(directory_url="https://other.example/directory")
    await world.look(0)

    await wait_until_async(lambda: world.changes == 4, "both are there again")


async def test_a_name_that_is_none_of_ours_is_not_asked_for(world: World) -> None:
    with pytest.raises(ValueError, match=r"none of acme\.names"):
        await world.keeper.renew(["c.example.test"])
    assert [] == world.asked


async def test_a_bug_is_told_and_is_not_the_last_look(world: World) -> None:
    def answer(name: str) -> bytes:
        raise ZeroDivisionError

    world.answer = answer
    await world.keeper.start()
    await world.wait_troubles(2)
    world.answer = world.certificate

    await world.look(900)

    await wait_until_async(lambda: world.changes == 2, "both are there")
    assert "ZeroDivisionError" in world.log.troubles()[0].error


async def test_who_stops_does_not_wait_for_the_authority(world: World) -> None:
    """The thread is left to itself, and what it says after that is heard by nobody."""
    held = asyncio.Event()
    loop = asyncio.get_running_loop()
    go_on = threading.Event()

    def answer(name: str) -> bytes:
        loop.call_soon_threadsafe(held.set)
        go_on.wait(20)
        raise NotIssued("late")

    world.answer = answer
    await world.keeper.start()
    await held.wait()
    await world.keeper.stop()
    go_on.set()

    assert [] == world.log.troubles()


async def test_addresses_that_wait_for_a_restart_are_not_tried(world: World) -> None:
    """The authority would come in vain, and allows few failures."""
    world.settings = world.with_options(challenge="http-01", addresses=("anywhere",))
    world.keeper = world.make()

    (failed, _) = await world.keeper.renew([])

    assert "needs a restart" in failed.problem
    assert [] == world.asked


def test_without_the_library_a_start_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_text(TEXT, base=tmp_path).settings
    for name in ("acme", "pymta.acme.issuer", "pymta.acme.network"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "acme", None)

    with pytest.raises(ConfigError, match=re.escape('pip install "pymta-server[acme]"')):
        make_ready(settings)
    without = msgspec.structs.replace(settings, acme=AcmeSettings())
    make_ready(without)
