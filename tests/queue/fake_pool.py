"""
A pool without sockets: its connections open, answer and end as the test says, in the loop's time.

For what a real peer cannot show again and again in the same way: how much a site asks for at once, and in which order.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Any, cast

from pymta._core import QueuedMessage, Reply
from pymta.deliver.pool import ConnectionPool
from pymta.mail.route import Hop, Route, TlsMode
from pymta.queue.round import Delivery, Round
from pymta.queue.site import Site

OK = Reply(250, "2.0.0", "ok")
LEAVING = Reply(421, "4.3.2", "leaving")
UNREACHABLE = Reply(421, "4.4.1", "connection refused")
HOP = Hop("mx.example.net", "192.0.2.1", 25)
ROUTE = Route("smtp", "example.net", (HOP,), TlsMode.NONE, None, 0, "a test")


class FakeMessage:
    """A queued message, as far as a site looks at it."""

    def __init__(self, name: str) -> None:
        self.id = name


class FakeConnection:
    """Takes one transaction and one more behind it; each takes `service_s`."""

    hop = HOP

    def __init__(self, pool: "FakePool") -> None:
        self._pool = pool
        self._in_hand: deque[tuple[QueuedMessage, list[int]]] = deque()
        self.is_ready = True
        self.is_retiring = False
        self.delivered_count = 0

    @property
    def is_usable(self) -> bool:
        return self.is_ready and not self.is_retiring

    @property
    def is_idle(self) -> bool:
        return self.is_ready and not self._in_hand

    @property
    def room(self) -> int:
        return 2 - len(self._in_hand) if self.is_usable else 0

    def deliver(self, message: QueuedMessage, recipients: list[int]) -> None:
        assert self.room, "more than it takes"
        self._in_hand.append((message, recipients))
        self._pool.begun.append((self._pool.loop.time(), message.id, list(recipients)))
        self._pool.busy_max = max(self._pool.busy_max, self._pool.busy_count)
        if len(self._in_hand) == 1:
            self._pool.loop.call_later(self._pool.service_s, self._answer)

    def quit(self) -> None:
        assert not self._in_hand, "it has something in hand"
        self.is_retiring = True
        self._pool.loop.call_soon(self._gone, None)

    def _answer(self) -> None:
        if not self.is_ready:
            return
        reply = self._pool.next_reply()
        if reply.code == 421:
            self.end(reply)
            return
        message, recipients = self._in_hand.popleft()
        self.delivered_count += 1
        if self._in_hand:
            self._pool.loop.call_later(self._pool.service_s, self._answer)
        owner, me = self._pool.owner, cast(Any, self)
        owner.delivery_over(me, message, [(index, reply) for index in recipients], False)
        if self.is_usable:
            owner.connection_free(me)
        elif self.is_idle:
            self.quit()

    def end(self, reply: Reply) -> None:
        """The peer is gone: what is in hand ends with *reply*."""
        while self._in_hand:
            message, recipients = self._in_hand.popleft()
            self._pool.owner.delivery_over(
                cast(Any, self), message, [(index, reply) for index in recipients], False
            )
        self._gone(reply)

    def _gone(self, reply: Reply | None) -> None:
        if self.is_ready:
            self.is_ready = False
            self._pool.connections_now.remove(self)
            self._pool.owner.connection_ended(reply)


class FakePool:
    """See the module."""

    def __init__(self, owner: Site, connections_max: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.owner = owner
        self._connections_max = connections_max
        self.service_s = 1.0
        self.connect_s = 0.5
        self.is_reachable = True
        self.replies: deque[Reply] = deque()
        self.connections_now: list[FakeConnection] = []
        self.begun: list[tuple[float, str, list[int]]] = []
        self.busy_max = 0
        self.opened_at_s: list[float] = []
        self.opening_count = 0

    @property
    def open_count(self) -> int:
        return len(self.connections_now)

    @property
    def usable_count(self) -> int:
        return sum(connection.is_usable for connection in self.connections_now)

    @property
    def busy_count(self) -> int:
        """Connections that have something in hand."""
        return sum(not connection.is_idle for connection in self.connections_now)

    def next_reply(self) -> Reply:
        return self.replies.popleft() if self.replies else OK

    def use_route(self, route: Route) -> None:
        pass

    def connections(self) -> Iterator[FakeConnection]:
        return iter(self.connections_now)

    def open(self) -> None:
        assert self.open_count + self.opening_count < self._connections_max, "more connections than allowed"
        assert self.open_count + self.opening_count < self.owner.connections_max
        self.opening_count += 1
        self.opened_at_s.append(self.loop.time())
        self.loop.call_later(self.connect_s, self._opened)

    def _opened(self) -> None:
        self.opening_count -= 1
        if self.is_reachable:
            connection = FakeConnection(self)
            self.connections_now.append(connection)
            self.owner.connection_free(cast(Any, connection))
        else:
            self.owner.connect_failed(UNREACHABLE)

    def sweep(self, now_s: float) -> None:
        pass

    async def close(self) -> None:
        pass


class FakeOwner:
    """The manager, as a site sees it: keeps what it is told."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.outcomes: list[tuple[float, str, int, Reply]] = []
        self.postponements: list[tuple[str, Reply, float]] = []
        self.suspensions: list[tuple[float, float]] = []
        self.has_room = True
        self.crowded = False

    def attempted(
        self,
        delivery: Delivery,
        outcomes: list[tuple[int, Reply]],
        hop: Hop | None,
        *,
        dsn_passed: bool,
        took_s: float,
    ) -> None:
        now_s = self.loop.time()
        self.outcomes.extend((now_s, delivery.round.id, index, reply) for index, reply in outcomes)

    def postponed(self, delivery: Delivery, reply: Reply, wait_s: float) -> None:
        self.postponements.append((delivery.round.id, reply, wait_s))

    def site_suspended(self, site: Site, wait_s: float, reply: Reply) -> None:
        self.suspensions.append((self.loop.time(), wait_s))

    def may_open_more(self) -> bool:
        return self.has_room

    def is_crowded(self) -> bool:
        return self.crowded


def delivery_of(name: str, recipient_count: int = 1) -> Delivery:
    """All recipients of a message of that name."""
    round_ = Round(cast(Any, FakeMessage(name)))
    round_.outstanding = 1
    return Delivery(round_, ROUTE, list(range(recipient_count)))


def make_site(owner: FakeOwner, settings: Any, route: Route = ROUTE) -> tuple[Site, FakePool]:
    """A site, and the pool that it has made."""
    pools: list[FakePool] = []

    def make_pool(site: Site, route: Route) -> ConnectionPool:
        pools.append(FakePool(site, settings.connections_per_site_max))
        return cast(ConnectionPool, pools[0])

    site = Site(owner, route, settings, make_pool)
    return site, pools[0]
