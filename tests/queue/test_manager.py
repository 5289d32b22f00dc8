"""
How the manager ends: a settlement that fails, a grace that is over, a report that is never answered.

What it does on the way, with a real spool, is test_manager_histories.
"""

import asyncio
from typing import Any, cast

import pytest

from pymta._core import Envelope, IncomingMessage, QueuedMessage, Reply, Spool
from pymta.config.settings.queue import QueueSettings
from pymta.mail.route import Hop, Route, TlsMode
from pymta.queue.manager import QueueManager
from pymta.queue.round import Delivery
from pymta.testing import FakeClock
from tests.partners.waiting import wait_until_async

ROUTE = Route("smtp", "site", (Hop("mx.example.net", "192.0.2.1", 25),), TlsMode.NONE, None, 0, "a test")


class Station:
    """Everything that the manager works with, and what it was told."""

    has_room = True

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self.ready: list[Delivery] = []
        self.troubles: list[str] = []
        self.settle_fails = False
        self.answer = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._spool, name)

    def settle(self, *arguments: Any) -> bool:
        if self.settle_fails:
            raise OSError(5, "Input/output error")
        return self._spool.settle(*arguments)

    def find(self, message: QueuedMessage, domain: str) -> Route:
        return ROUTE

    def for_route(self, route: Route) -> "Station":
        return self

    def put(self, delivery: Delivery) -> None:
        self.ready.append(delivery)

    async def report(self, *arguments: Any, **named: Any) -> None:
        await self.answer.wait()

    def attempted(self, *arguments: Any, **named: Any) -> None:
        pass

    done = waits = postponed = attempted

    def trouble(self, what: str, error: BaseException, *, spool_id: str = "") -> None:
        self.troubles.append(what)


@pytest.fixture
async def station(tmp_path: Any) -> Any:
    clock = FakeClock()
    spool = Spool(str(tmp_path / "spool"), now_ms=clock())
    envelope = Envelope("author@example.test", ["reader@example.test"])
    IncomingMessage.from_content(spool, envelope, b"\r\n").commit(clock(), due_ms=clock())
    await wait_until_async(lambda: spool.stats()["commits"] == 1, "it is committed")
    yield Station(spool)
    spool.close()


async def manager_with_one_in_hand(station: Station) -> QueueManager:
    part = cast(Any, station)
    manager = QueueManager(
        part,
        QueueSettings(),
        routing=part,
        sites=part,
        reporter=part,
        observer=part,
        now_ms=FakeClock(),
    )
    manager.wake()
    await wait_until_async(lambda: station.ready, "the message is in hand")
    return manager


def conclude(manager: QueueManager, delivery: Delivery, reply: Reply) -> None:
    manager.attempted(
        delivery, [(index, reply) for index in delivery.recipients], None, dsn_passed=False, took_s=0
    )


async def test_a_settlement_that_fails_is_told_and_keeps_nothing_in_hand(station: Station) -> None:
    """
    The message stays active in the spool, and is due again at the next start.
    """
    manager = await manager_with_one_in_hand(station)
    station.settle_fails = True
    conclude(manager, station.ready[0], Reply(250, "2.0.0", "ok"))

    assert ["settling"] == station.troubles
    assert 0 == manager.active_count
    await manager.stop(60)
    assert 1 == station.stats()["active"]


async def test_a_grace_that_is_over_is_over(station: Station) -> None:
    manager = await manager_with_one_in_hand(station)

    await manager.stop(0.01)

    assert 1 == manager.active_count
    assert not station.troubles


async def test_what_is_in_hand_is_waited_for_and_nothing_more_is_taken(station: Station) -> None:
    manager = await manager_with_one_in_hand(station)
    stopping = asyncio.create_task(manager.stop(60))
    await asyncio.sleep(0)
    assert not stopping.done()
    conclude(manager, station.ready[0], Reply(250, "2.0.0", "ok"))
    await stopping

    manager.wake()
    await asyncio.sleep(0)
    assert 1 == len(station.ready)


async def test_a_report_that_is_never_durable_ends_with_the_manager(station: Station) -> None:
    """
    What it would have told of is not settled: it is told at the next start.
    """
    manager = await manager_with_one_in_hand(station)
    conclude(manager, station.ready[0], Reply(550, "5.1.1", "no"))
    await manager.stop(0.01)
    await manager.close()

    assert 1 == station.stats()["active"]
    assert not station.troubles
