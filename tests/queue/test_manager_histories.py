"""
Whatever sites, routes, reports and operators do, each round ends with one settlement and each recipient ends once.

Manager and spool are the real ones. What they work with says at random what the real ones could say: sites that
conclude, split and postpone, routes that are refused or not found at once, reports that fail, operators that hold and
drop. PYMTA_HISTORY_SEED repeats one history.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, cast

import pytest

from pymta._core import Address, Envelope, IncomingMessage, QueuedMessage, Reply, Spool
from pymta.config.settings.queue import QueueSettings
from pymta.mail.route import Hop, Route, TlsMode
from pymta.queue.manager import QueueManager
from pymta.queue.round import Delivery, RecipientOutcome, RecipientState
from pymta.testing import FakeClock
from tests.partners.waiting import wait_until_async

HISTORIES = 40
DAY_S = 86_400
DELIVERED, DEFERRED, FAILED = (
    Reply(250, "2.0.0", "ok"),
    Reply(451, "4.3.0", "later"),
    Reply(550, "5.1.1", "no"),
)
TERMINAL = {"delivered", "failed", "expired", "dropped"}
DOMAINS = ("a.example", "b.example", "c.example", "refused.example", "discarded.example", "later.example")


class Injected(Exception):
    """A trouble of the test's own making."""


@pytest.fixture(scope="module")
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory, clock: FakeClock) -> Iterator[Spool]:
    """One for all histories, each of which leaves it empty; it keeps next to nothing in memory."""
    spool = Spool(str(tmp_path_factory.mktemp("spool")), now_ms=clock(), memory_octets_max=2048)
    yield spool
    spool.close()


class Books:
    """The spool, and what the manager asked of it against what may be asked."""

    def __init__(self, spool: Spool, history: "History") -> None:
        self._spool = spool
        self._history = history
        self.in_hand: set[str] = set()
        self.ends: dict[tuple[str, int], str] = {}

    def take_due(self, now_ms: int, count_max: int, active_per_group_max: int) -> list[QueuedMessage]:
        return self._taken(self._spool.take_due(now_ms, count_max, active_per_group_max))

    def loaded(self) -> list[QueuedMessage]:
        return self._taken(self._spool.loaded())

    def _taken(self, messages: list[QueuedMessage]) -> list[QueuedMessage]:
        for message in messages:
            assert message.id not in self.in_hand, "taken twice"
            self.in_hand.add(message.id)
            self._history.reverse_paths[message.id] = message.envelope.reverse_path
            ended = {index for spool_id, index in self.ends if spool_id == message.id}
            assert not ended & set(message.pending), "tried again after its end"
            delivered = {index for spool_id, index in self._history.delivered if spool_id == message.id}
            assert not delivered & set(message.pending), "tried again after its delivery"
        assert len(self.in_hand) + self.loading_count <= self._history.settings.active_max
        return messages

    @property
    def loading_count(self) -> int:
        return self._spool.loading_count

    def next_due_ms(self) -> int | None:
        return self._spool.next_due_ms()

    def record(self, spool_id: str, outcomes: Sequence[tuple[int, RecipientState, str]]) -> None:
        assert {"delivered"} == {state for _, state, _ in outcomes}, "only what needs no report"
        if self._history.chance(0.1):
            raise Injected
        self._end(spool_id, outcomes)
        self._spool.record(spool_id, outcomes)

    def settle(self, spool_id: str, outcomes: Sequence[tuple[int, RecipientState, str]], due_ms: int) -> bool:
        self.in_hand.remove(spool_id)
        self._end(spool_id, outcomes)
        not_before_ms = self._history.not_before_ms.pop(spool_id, 0)
        is_over = self._spool.settle(spool_id, outcomes, due_ms)
        assert is_over or due_ms >= not_before_ms, "tried before a suspension's end"
        return is_over

    def _end(self, spool_id: str, outcomes: Sequence[tuple[int, RecipientState, str]]) -> None:
        for index, state, _ in outcomes:
            if state in TERMINAL:
                assert (spool_id, index) not in self.ends, "ended twice"
                self.ends[spool_id, index] = state
                wanted = self._history.reverse_paths[spool_id] is not None and state in ("failed", "expired")
                assert not wanted or (spool_id, index) in self._history.reported, "not reported"


class FakeSite:
    """Keeps what is put to it."""

    def __init__(self) -> None:
        self.ready: list[Delivery] = []

    def put(self, delivery: Delivery) -> None:
        assert delivery.recipients
        self.ready.append(delivery)


class History:
    """All that the manager works with, and what happens to it."""

    def __init__(self, seed: int, spool: Spool, clock: FakeClock) -> None:
        self.random = Random(seed)
        self.clock = clock
        self.real_spool = spool
        self.spool = Books(spool, self)
        self.settings = QueueSettings(
            active_max=self.random.choice((1, 3, 50)),
            active_per_group_max=self.random.choice((1, 2, 50)),
            lifetime_s=2 * DAY_S,
            report_lifetime_s=DAY_S,
            delay_warning_s=DAY_S // 2,
        )
        self.site = FakeSite()
        self.is_friendly = False
        self.reverse_paths: dict[str, Address | None] = {}
        self.committing: dict[int, int] = {}
        self.expected: set[tuple[str, int]] = set()
        self.reported: set[tuple[str, int]] = set()
        self.reports_waiting: list[asyncio.Future[None]] = []
        self.not_before_ms: dict[str, int] = {}
        self.delivered: set[tuple[str, int]] = set()
        self.dropped: set[str] = set()
        self.troubles: list[BaseException] = []
        # Of each part, only what the manager uses is there.
        us, books = cast(Any, self), cast(Any, self.spool)
        self.manager = QueueManager(
            books, self.settings, routing=us, sites=us, reporter=us, observer=us, now_ms=clock
        )

    def chance(self, share: float) -> bool:
        return not self.is_friendly and self.random.random() < share

    # ---- PolicyRouting

    def find(self, message: QueuedMessage, domain: str) -> Any:
        if self.chance(0.03):
            raise Injected
        if domain == "refused.example" and not self.is_friendly:
            return self.random.choice((DEFERRED, FAILED))
        transport = "discard" if domain == "discarded.example" else "smtp"
        hops = (Hop(domain, "192.0.2.1", 25),)
        route = Route(transport, domain, hops, TlsMode.NONE, None, self.clock() + 1000, "a test")
        return self._find_later(route) if domain == "later.example" else route

    async def _find_later(self, route: Route) -> Route | Reply:
        await asyncio.sleep(0)
        if self.chance(0.1):
            raise Injected
        return DEFERRED if self.chance(0.2) else route

    # ---- Sites

    def for_route(self, route: Route) -> FakeSite:
        return self.site

    has_room = True

    # ---- QueueReporter

    async def report(
        self, message: QueuedMessage, outcomes: list[RecipientOutcome], *, now_ms: int, queue: QueueSettings
    ) -> None:
        assert message.id in self.spool.in_hand
        told = {outcome.index for outcome in outcomes}
        assert len(told) == len(outcomes), "two outcomes for one recipient in one round"
        if self.chance(0.3):
            waiting = asyncio.get_running_loop().create_future()
            self.reports_waiting.append(waiting)
            await waiting
        if self.chance(0.1):
            raise Injected
        for outcome in outcomes:
            if outcome.state in ("failed", "expired"):
                assert (message.id, outcome.index) not in self.reported, "reported twice"
                self.reported.add((message.id, outcome.index))
            lifetime_s = DAY_S if message.envelope.reverse_path is None else 2 * DAY_S
            is_over = now_ms >= message.spooled_at_ms + lifetime_s * 1000
            assert outcome.state in ("delivered", "failed") or is_over == (outcome.state == "expired")

    # ---- QueueObserver

    def attempted(self, *arguments: object, **named: object) -> None:
        if self.chance(0.02):
            raise Injected

    def unroutable(self, *arguments: object) -> None:
        pass

    postponed = waits = done = suspended = unroutable

    def trouble(self, what: str, error: BaseException, *, spool_id: str = "") -> None:
        self.troubles.append(error)

    # ---- what happens

    async def run(self) -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: self.troubles.append(context.get("exception") or RuntimeError(context))
        )
        loop = asyncio.get_running_loop()
        loop.add_reader(self.real_spool.wake_fd, self.spool_woke)
        try:
            for _ in range(self.random.randint(20, 80)):
                await self.step()
            await self.finish()
        finally:
            loop.remove_reader(self.real_spool.wake_fd)
        assert [] == [error for error in self.troubles if not isinstance(error, Injected)]
        kept = {key for key in self.expected if key[0] not in self.dropped}
        assert kept == {key for key in self.spool.ends if key[0] not in self.dropped}
        assert not self.spool.in_hand
        assert 0 == self.manager.active_count
        await self.manager.stop(1)
        await self.manager.close()

    def spool_woke(self) -> None:
        self.real_spool.drain_wake()
        for token, spool_id in self.real_spool.completions():
            assert isinstance(spool_id, str)
            self.expected.update((spool_id, index) for index in range(self.committing.pop(token)))
        self.manager.wake()

    async def step(self) -> None:
        steps: list[Callable[[], Any]] = [
            self.inject,
            self.inject,
            self.conclude,
            self.conclude,
            self.conclude,
            self.let_time_pass,
            self.let_time_pass,
            self.operate,
            self.end_a_report,
        ]
        in_hand_count, active_max = len(self.spool.in_hand), self.settings.active_max
        assert self.manager.is_crowded() == (in_hand_count > 0.8 * active_max)
        result = self.random.choice(steps)()
        if result is not None:
            await result
        self.manager.wake()
        for _ in range(self.random.randint(1, 4)):
            await asyncio.sleep(0)

    async def inject(self) -> None:
        recipients = [
            f"r{number}@{self.random.choice(DOMAINS)}" for number in range(self.random.choice((1, 1, 2, 5)))
        ]
        reverse_path = self.random.choice((None, "author@example.test", "author@example.test"))
        content = b"From: author@example.test\r\n\r\n" + b"x" * 900 + b"\r\n"
        incoming = IncomingMessage.from_content(self.real_spool, Envelope(reverse_path, recipients), content)
        token = incoming.commit(self.clock(), due_ms=self.clock())
        self.committing[token] = len(recipients)
        await wait_until_async(lambda: not self.committing, "it is committed")

    def let_time_pass(self) -> None:
        self.clock.advance(self.random.choice((1, 60, 3600, DAY_S // 3, DAY_S)))

    def conclude(self) -> None:
        ready = self.site.ready
        if not ready:
            return
        delivery = ready.pop(self.random.randrange(len(ready)))
        if self.chance(0.2):
            wait_s = self.random.choice((0.0, 1.0, 600.0))
            message = delivery.round.message
            if self.clock() < message.spooled_at_ms + DAY_S * 1000:  # else it may be its last attempt
                self.not_before_ms[message.id] = self.clock() + int(wait_s * 1000)
            self.manager.postponed(delivery, DEFERRED, wait_s)
            return
        portion = delivery.portion(self.random.choice((1, 2, 100)))
        if delivery.recipients:
            ready.append(delivery)
        replies = (DELIVERED,) if self.is_friendly else (DELIVERED, DELIVERED, DEFERRED, FAILED)
        outcomes = [(index, self.random.choice(replies)) for index in portion.recipients]
        assert delivery.round.id in self.spool.in_hand, "settled before its end"
        self.delivered.update((delivery.round.id, index) for index, reply in outcomes if reply.is_positive)
        self.manager.attempted(portion, outcomes, portion.route.hops[0], dsn_passed=False, took_s=0.1)

    def end_a_report(self) -> None:
        if self.reports_waiting:
            waiting = self.reports_waiting.pop(self.random.randrange(len(self.reports_waiting)))
            waiting.set_result(None)

    def operate(self) -> None:
        """Hold, release, retry and drop, in flight or not."""
        rows = self.real_spool.list(count_max=1000)
        if not rows:
            return
        spool_id, state = self.random.choice(rows)[:2]
        match self.random.choice(("hold", "release", "retry", "drop")):
            case "hold":
                self.real_spool.hold(spool_id)
            case "release":
                self.real_spool.release(spool_id, self.clock())
            case "retry":
                self.real_spool.retry(spool_id, self.clock())
            case "drop":
                is_dropped = self.real_spool.drop(spool_id)
                assert is_dropped == (state != "active")
                if is_dropped:
                    self.dropped.add(spool_id)

    async def finish(self) -> None:
        """Everybody is friendly: it all leaves, without a wake-up that the real server would not give."""
        self.is_friendly = True

        def is_over() -> bool:
            while self.reports_waiting:
                self.end_a_report()
            while self.site.ready:
                self.conclude()
            for row in self.real_spool.list(state="hold", count_max=1000):
                self.real_spool.release(row[0], self.clock())
            if not self.real_spool.list(count_max=1) and not self.spool.in_hand:
                return True
            if self.real_spool.loading_count == 0 and not self.spool.in_hand:
                self.clock.advance(3600)
                self.manager.wake()
            return False

        await wait_until_async(is_over, "all has left the spool", limit_s=8)


def seeds() -> list[int]:
    chosen = os.environ.get("PYMTA_HISTORY_SEED")
    return [int(chosen)] if chosen else list(range(HISTORIES))


@pytest.mark.parametrize("seed", seeds())
def test_each_round_is_settled_once_and_each_recipient_ends_once(
    seed: int, spool: Spool, clock: FakeClock
) -> None:
    async def run() -> None:
        await History(seed, spool, clock).run()

    asyncio.run(run())
