"""
Whatever a next hop does, what is put to its site is concluded: random histories against a peer with moods.

Site, pool and connections are the real ones, on the loop that the server runs on; only time limits are helped along, by
sweeps that look far ahead. PYMTA_HISTORY_SEED repeats one history.
"""

import asyncio
import os
from collections import Counter, defaultdict
from random import Random
from typing import Any, NamedTuple

import pytest

from pymta._core import QueuedMessage, Reply
from pymta.config.settings.delivery import DeliverySettings
from pymta.deliver.pool import ConnectionPool, OpenCount
from pymta.deliver.tls_policy import ClientContexts
from pymta.mail.route import Hop, Route, TlsMode
from pymta.queue.round import Delivery, Round
from pymta.queue.site import Site
from pymta.runtime.loop import loop_factory
from tests.partners.waiting import wait_until_async
from tests.queue.conftest import NOW_MS
from tests.queue.moody_peer import Moods, MoodyPeer

FAR_AHEAD_S = 100_000.0
HISTORIES = 50


class Owner:
    """Counts conclusions for each recipient of each round."""

    def __init__(self) -> None:
        self.concluded: Counter[tuple[int, int]] = Counter()
        self.replies: dict[Round, list[Reply]] = defaultdict(list)
        self.has_room = True

    def attempted(
        self,
        delivery: Delivery,
        outcomes: list[tuple[int, Reply]],
        hop: Hop | None,
        *,
        dsn_passed: bool,
        took_s: float,
    ) -> None:
        assert set(delivery.recipients) >= {index for index, _ in outcomes}, "outcomes of another delivery"
        if any(reply.enhanced == "5.6.7" for _, reply in outcomes):
            assert delivery.round.message.envelope.needs_smtputf8, "a refusal of another message"
        self.replies[delivery.round].extend(reply for _, reply in outcomes)
        self._conclude(delivery, [index for index, _ in outcomes])

    def postponed(self, delivery: Delivery, reply: Reply, wait_s: float) -> None:
        self._conclude(delivery, delivery.recipients)

    def _conclude(self, delivery: Delivery, indexes: list[int]) -> None:
        assert indexes, "a conclusion about nobody"
        delivery.round.outstanding -= 1
        for index in indexes:
            self.concluded[id(delivery.round), index] += 1

    def site_suspended(self, site: Site, wait_s: float, reply: Reply) -> None:
        pass

    def may_open_more(self) -> bool:
        return self.has_room

    def is_crowded(self) -> bool:
        return True


class History:
    """One site, one peer, and what happens to them."""

    def __init__(self, seed: int, messages: list[QueuedMessage]) -> None:
        self.random = random = Random(seed)

        def share(most: float) -> float:
            return random.choice((0.0, 0.0, random.random() * most))

        self.moods = Moods(
            unfriendly=share(0.6),
            refusing=share(0.3),
            leaving=share(0.1),
            hanging_up=share(0.15),
            silent=share(0.05),
            slow=share(0.6),
            restless=share(0.1),
        )
        self.peer = MoodyPeer(random, self.moods)
        self.owner = Owner()
        self.messages = messages
        self.rounds: list[Round] = []
        self.expected: Counter[tuple[int, int]] = Counter()
        self.settings = DeliverySettings(
            connections_per_site_max=(most := random.randint(1, 4)),
            connections_per_site_start=random.randint(1, most),
            messages_per_connection_max=random.choice((1, 2, 3, 1000)),
            messages_per_site_per_min_max=random.choice((0, 0, 0, 1800)),
            recipients_per_transaction_max=random.choice((1, 3, 100)),
            ready_max=random.choice((5, 1000, 1000)),
            suspend_after_failures=random.choice((1, 3, 1000)),
            suspend_s_min=1,
        )
        self.open = OpenCount()
        self.troubles: list[dict[str, Any]] = []

    async def run(self) -> None:
        """Some steps, then the end: all is concluded though no time limit helps but those of silent peers."""
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.troubles.append(context))
        await self.peer.start()
        site = self.make_site()
        try:
            for _ in range(self.random.randint(5, 40)):
                await self.step(site)
            if not self.peer_listens:
                await self.listen()
            self.owner.has_room = True
            await self.conclude(site)
            assert [] == self.troubles
            assert self.expected == self.owner.concluded
            assert [0] * len(self.rounds) == [round_.outstanding for round_ in self.rounds]
            self.check_books(site)
            assert self.peer.transactions_max <= self.settings.messages_per_connection_max
            await self.leave(site)
            assert 0 == self.open.total
        finally:
            await self.close(site)

    async def close(self, site: Site) -> None:
        """Also where something failed, because a loop cannot be closed under open connections."""
        await site.close()
        await self.peer.close()

    def make_site(self) -> Site:
        hops = tuple(
            Hop("moody.example.test", "127.0.0.1", self.peer.port)
            for _ in range(self.random.choice((1, 1, 2)))
        )
        route = Route("smtp", "moody", hops, TlsMode.NONE, None, NOW_MS, "a test")
        contexts = ClientContexts()
        self.peer_listens = True
        return Site(
            self.owner,
            route,
            self.settings,
            lambda site, route: ConnectionPool(
                site,
                route,
                self.settings,
                hello_name="client.example.test",
                contexts=contexts,
                count=self.open,
            ),
        )

    async def listen(self) -> None:
        await self.peer.start(self.peer.port)
        self.peer_listens = True

    async def step(self, site: Site) -> None:
        random = self.random
        match random.choice(("put", "put", "put", "turn", "turn", "moment", "sweep", "fault")):
            case "put":
                for _ in range(random.choice((1, 1, 3, 12))):
                    self.put(site)
            case "turn":
                for _ in range(random.randint(1, 5)):
                    await asyncio.sleep(0)
            case "moment":
                loop = asyncio.get_running_loop()
                over = loop.create_future()
                loop.call_later(random.random() * 0.01, over.set_result, None)
                await over
            case "sweep":
                site.sweep(asyncio.get_running_loop().time() + random.choice((0.0, 0.0, 10.0, FAR_AHEAD_S)))
            case "fault":
                await self.fault(site)

    async def fault(self, site: Site) -> None:
        match self.random.choice(("hang up", "refuse", "room", "lift")):
            case "hang up":
                self.peer.hang_up()
            case "refuse" if self.peer_listens:
                await self.peer.stop()
                self.peer_listens = False
            case "refuse":
                await self.listen()
            case "room":
                self.owner.has_room = not self.owner.has_room
            case "lift":
                site.lift_suspension()

    def put(self, site: Site) -> None:
        self.put_message(site, self.random.choices(self.messages, (8, 3, 1, 2))[0])

    def put_message(self, site: Site, message: QueuedMessage) -> None:
        round_ = Round(message)
        recipients = list(range(message.envelope.recipient_count))
        round_.outstanding = 1
        self.rounds.append(round_)
        self.expected.update((id(round_), index) for index in recipients)
        site.put(Delivery(round_, site.route, recipients))

    @property
    def is_concluded(self) -> bool:
        return self.owner.concluded.total() >= self.expected.total()

    async def conclude(self, site: Site) -> None:
        """Wait for the end; a silent peer's time limit is over at once."""
        loop = asyncio.get_running_loop()

        def concluded() -> bool:
            if any(connection.is_silent for connection in self.peer.connections):
                site.sweep(loop.time() + FAR_AHEAD_S)
            return self.is_concluded

        await wait_until_async(concluded, "all is concluded", limit_s=8)

    def check_books(self, site: Site) -> None:
        """Nothing is left, and each idle connection is known once."""
        assert 0 == site.ready_count
        assert not any(site._in_flight.values())
        idle, spare = site._idle, list(site._spare)
        assert len(idle) == len(set(idle))
        assert not set(idle) & {connection for connection in spare if connection.is_usable}

    async def leave(self, site: Site) -> None:
        """Idle connections end by their time limit, then the site is unused."""
        loop = asyncio.get_running_loop()

        def is_unused() -> bool:
            site.sweep(loop.time() + FAR_AHEAD_S)
            return site.is_unused

        await wait_until_async(is_unused, "the site is unused")
        assert [] == self.troubles


def seeds() -> list[int]:
    chosen = os.environ.get("PYMTA_HISTORY_SEED")
    return [int(chosen)] if chosen else list(range(HISTORIES))


@pytest.mark.parametrize("seed", seeds())
def test_all_that_is_put_is_concluded_once(seed: int, messages: list[QueuedMessage]) -> None:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(History(seed, messages).run())


class Told(NamedTuple):
    """What became of one message."""

    message: QueuedMessage
    enhanced: str | None


def told(messages: list[QueuedMessage], puts: list[list[QueuedMessage]]) -> list[Told]:
    """One connection to a friendly peer without SMTPUTF8; each list is put in one go, when all before is concluded."""

    async def deliver() -> Owner:
        history = History(1, messages)
        history.peer.moods = Moods(keywords=(("PIPELINING", "8BITMIME"),))
        history.settings = DeliverySettings(connections_per_site_max=1, connections_per_site_start=1)
        await history.peer.start()
        site = history.make_site()
        try:
            for together in puts:
                for message in together:
                    history.put_message(site, message)
                await wait_until_async(lambda: history.is_concluded, "all is concluded")
            assert [] == history.troubles
            await history.leave(site)
        finally:
            await history.close(site)
        return history.owner

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        owner = runner.run(deliver())
    return [Told(round_.message, reply.enhanced) for round_, (reply,) in owner.replies.items()]


def test_a_message_that_the_peer_cannot_take_does_not_end_the_one_before_it(
    messages: list[QueuedMessage],
) -> None:
    """
    Its outcome is there at once, while the other one, on the same connection, still waits for its reply.
    """
    plain, needs_smtputf8 = messages[0], messages[3]

    replies = told(messages, [[plain], [plain, needs_smtputf8]])

    assert [Told(plain, "2.0.0"), Told(needs_smtputf8, "5.6.7"), Told(plain, "2.0.0")] == replies


def test_a_connection_is_idle_once_after_a_message_that_the_peer_cannot_take(
    messages: list[QueuedMessage],
) -> None:
    """
    It was known as idle and as busy with room to spare, so that it got more than it could take.
    """
    plain, needs_smtputf8 = messages[0], messages[3]

    replies = told(messages, [[plain], [needs_smtputf8], [plain] * 4])

    assert ["2.0.0", "5.6.7", *["2.0.0"] * 4] == [one.enhanced for one in replies]
