"""
One (egress source, site): what is ready for it, and how fast it gets it.

Fair between messages: each message waits with one entry whatever the number of its recipients, and the entries take
turns with one transaction each. Fair between sites: nothing here is shared with another site.

Common path: `put` finds an idle connection and hands over; `delivery_over` reports and hands over the next. No task,
no future.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from pymta._core import QueuedMessage, Reply
from pymta.config.settings.delivery import DeliverySettings
from pymta.deliver.pool import ConnectionPool
from pymta.deliver.smtp import SmtpConnection
from pymta.mail.route import Hop, Route
from pymta.queue.round import Delivery
from pymta.queue.shaping import AdaptiveLimit, RateLimit, ReadyLimit, Suspension

__all__ = ["Site", "SiteOwner"]

# Connections that are opened at the same time; more would only hit the same trouble more often.
OPENING_MAX = 5

# A site whose transactions take less than this is better served by few connections that are kept busy: a transaction
# that is pipelined behind another saves a round trip and its system calls, and waits for next to nothing.
QUICK_S = 0.01

# How much the latest transaction counts in a site's pace.
PACE_WEIGHT = 0.1

# What a site has not got to for so long makes room for others, where all that may be in hand is in hand.
READY_S_MAX = 30.0

_BUSY = Reply(451, "4.3.2", "too much mail is ready for this site, trying again later")


class SiteOwner(Protocol):
    """The queue's manager, as a site sees it."""

    def attempted(
        self,
        delivery: Delivery,
        outcomes: list[tuple[int, Reply]],
        hop: Hop | None,
        *,
        dsn_passed: bool,
        took_s: float,
    ) -> None:
        """A transaction was tried: a reply for each recipient of *delivery*; no hop where none could be reached."""

    def postponed(self, delivery: Delivery, reply: Reply, wait_s: float) -> None:
        """Nothing was tried and nothing shall be before *wait_s* are over."""

    def site_suspended(self, site: "Site", wait_s: float, reply: Reply) -> None:
        """The site is left alone for *wait_s*."""

    def may_open_more(self) -> bool:
        """Whether all sites together are below the limit of connections."""

    def is_crowded(self) -> bool:
        """Whether nearly as many messages are in hand as may be."""


class Site:
    """The ready queue and the connections of one (egress source, site)."""

    __slots__ = (
        "_allowance",
        "_idle",
        "_in_flight",
        "_in_hand",
        "_loop",
        "_owner",
        "_pace_s",
        "_pool",
        "_rate",
        "_rate_timer",
        "_ready",
        "_settings",
        "_spare",
        "_suspension",
        "_trouble",
        "closing",
        "route",
        "used_at_s",
    )

    def __init__(
        self,
        owner: SiteOwner,
        route: Route,
        settings: DeliverySettings,
        make_pool: Callable[["Site", Route], ConnectionPool],
    ) -> None:
        self.route = route
        self._owner = owner
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._pool = make_pool(self, route)
        self._ready: deque[Delivery] = deque()
        self._idle: list[SmtpConnection] = []
        # Busy, but with room for one more transaction behind the current one.
        self._spare: dict[SmtpConnection, None] = {}
        self._in_flight: dict[SmtpConnection, deque[Delivery]] = {}
        self._allowance = AdaptiveLimit(
            settings.connections_per_site_start, settings.connections_per_site_max
        )
        self._in_hand = ReadyLimit(settings)
        self._rate = RateLimit(settings.messages_per_site_per_min_max)
        self._suspension = Suspension(settings)
        self._rate_timer: asyncio.TimerHandle | None = None
        self._trouble = _BUSY
        # Of an unknown site nothing is assumed.
        self._pace_s = QUICK_S
        self.used_at_s = self._loop.time()
        self.closing = False

    # ---- for the manager

    @property
    def ready_count(self) -> int:
        """Messages that wait for a connection."""
        return len(self._ready)

    @property
    def connection_count(self) -> int:
        """Open connections."""
        return self._pool.open_count

    @property
    def connections_max(self) -> int:
        """What the adaptive limit allows now."""
        return self._allowance.connections_max

    @property
    def is_unused(self) -> bool:
        """Nothing ready, nothing open: it may be forgotten (but for a suspension's memory)."""
        return not (self._ready or self._pool.open_count or self._pool.opening_count)

    def suspended_for_s(self) -> float:
        """Seconds until it may be tried again; 0 where it may."""
        return max(self._suspension.until_s - self._loop.time(), 0.0)

    def lift_suspension(self) -> None:
        """Try it again now."""
        self._suspension.lift()

    def use_route(self, route: Route) -> None:
        """A newer answer of the DNS for the same site."""
        if route is not self.route:
            self.route = route
            self._pool.use_route(route)

    def put(self, delivery: Delivery) -> None:
        """Make a delivery ready; it is tried as soon as the limits allow."""
        now_s = self._loop.time()
        self.used_at_s = now_s
        if self._suspension.until_s > now_s:
            self._owner.postponed(delivery, self._trouble, self._suspension.until_s - now_s)
        elif len(self._ready) >= self._in_hand.messages_max:
            self._owner.postponed(delivery, _BUSY, self._in_hand.wait_s)
        else:
            delivery.ready_s = now_s
            self._ready.append(delivery)
            self._pump()

    def sweep(self, now_s: float) -> None:
        """Time limits of the connections, and of what waits for them; called about once a second."""
        self._pool.sweep(now_s)
        if not self._ready:
            self._in_hand.got_through()
        elif now_s - self._ready[0].ready_s > READY_S_MAX and self._owner.is_crowded():
            wait_s = self._in_hand.overstayed(len(self._ready))
            # In order of the time since which they wait.
            while self._ready and now_s - self._ready[0].ready_s > READY_S_MAX:
                self._owner.postponed(self._ready.popleft(), _BUSY, wait_s)

    async def close(self) -> None:
        """Stop: what is ready is postponed, connections are closed."""
        self.closing = True
        if self._rate_timer is not None:
            self._rate_timer.cancel()
        while self._ready:
            self._owner.postponed(self._ready.popleft(), _BUSY, 0.0)
        await self._pool.close()

    # ---- handing over

    def _pump(self) -> None:
        """Hand over what is ready to whoever may take it, then see whether more connections are due."""
        while self._ready and (self._idle or self._spare):
            if self._spare and self._pace_s < QUICK_S:
                connection = next(
                    iter(self._spare)
                )  # its next transaction rides on the end of the current one
            elif self._idle:
                connection = self._idle.pop()
            elif self._may_open():
                break  # a connection of its own is quicker than waiting behind another message
            else:
                connection = next(iter(self._spare))
            if not connection.is_usable:
                self._spare.pop(connection, None)
            elif not self._hand_over(connection):
                break
        self._open_more()

    def _open_more(self) -> None:
        while len(self._ready) > self._pool.opening_count and self._may_open():
            self._pool.open()

    def _may_open(self) -> bool:
        opening = self._pool.opening_count
        mine = self._pool.open_count + opening
        # A site's first connection is always allowed: at the limit of all, it is the others' idle ones that end.
        if mine and not self._owner.may_open_more():
            return False
        return opening < OPENING_MAX and mine < self._allowance.connections_max

    def _hand_over(self, connection: SmtpConnection) -> bool:
        """Give *connection* the next transaction; False where the rate does not allow it or nothing is ready."""
        self._spare.pop(connection, None)
        if not self._ready or not self._within_rate():
            self._rest(connection)
            return False
        delivery = self._ready.popleft()
        portion = delivery.portion(self._settings.recipients_per_transaction_max)
        if delivery.recipients:
            delivery.ready_s = self._loop.time()
            self._ready.append(delivery)
        # Not the loop's time, which stands still within a turn and counts milliseconds.
        portion.started_s = monotonic()
        self._in_flight.setdefault(connection, deque()).append(portion)
        connection.deliver(portion.round.message, portion.recipients)
        # One that the peer cannot take is over by now, and the connection may already rest with the idle ones.
        if connection.room and self._in_flight.get(connection):
            self._spare[connection] = None
        return True

    def _rest(self, connection: SmtpConnection) -> None:
        """Put a connection with room back where it belongs."""
        if self._in_flight.get(connection):
            self._spare[connection] = None
        else:
            self._idle.append(connection)

    def _within_rate(self) -> bool:
        if not self._rate.is_limited:
            return True
        wait_s = self._rate.wait_s(self._loop.time())
        if wait_s == 0.0:
            return True
        if self._rate_timer is None:
            self._rate_timer = self._loop.call_later(wait_s, self._rate_over)
        return False

    def _rate_over(self) -> None:
        self._rate_timer = None
        self._pump()

    # ---- what the pool says (PoolOwner)

    def connection_free(self, connection: SmtpConnection) -> None:
        is_idle = not self._in_flight.get(connection)
        if is_idle:
            self._suspension.succeeded()
        if self._is_one_too_many():
            self._spare.pop(connection, None)
            if is_idle:
                connection.quit()
        elif connection.room:
            self._hand_over(connection)
            if self._ready:
                self._open_more()  # a success may have raised the limit
        elif is_idle:
            connection.quit()  # the peer's own limit is reached (MAILMAX, RFC 9422)

    def _is_one_too_many(self) -> bool:
        """Whether more connections are at work than the site, which pushed back, now gets."""
        connections_max = self._allowance.connections_max
        return self._pool.open_count > connections_max and self._pool.usable_count > connections_max

    def delivery_over(
        self,
        connection: SmtpConnection,
        message: QueuedMessage,
        outcomes: list[tuple[int, Reply]],
        dsn_passed: bool,
    ) -> None:
        delivery = self._landed(connection, message, outcomes[0][0])
        if not outcomes[-1][1].is_temporary:
            self._allowance.succeeded()
        outcomes = self._take_back_surplus(delivery, outcomes)
        took_s = monotonic() - delivery.started_s
        self._pace_s += (took_s - self._pace_s) * PACE_WEIGHT
        self._owner.attempted(delivery, outcomes, connection.hop, dsn_passed=dsn_passed, took_s=took_s)

    def _landed(self, connection: SmtpConnection, message: QueuedMessage, recipient: int) -> Delivery:
        """Which delivery is over: the oldest, but for one that the peer cannot take, whose outcome overtakes others."""
        in_flight = self._in_flight[connection]
        for at, delivery in enumerate(in_flight):
            # Portions of one message may follow each other; they have no recipient in common.
            if delivery.round.message is message and recipient in delivery.recipients:
                del in_flight[at]
                return delivery
        raise AssertionError("an outcome of what is not in flight")

    def _take_back_surplus(
        self, delivery: Delivery, outcomes: list[tuple[int, Reply]]
    ) -> list[tuple[int, Reply]]:
        """
        Recipients that were one too many for this transaction go into the next one at once (RFC 5321 §4.5.3.1.10).
        """
        if len(outcomes) == 1:
            return outcomes
        surplus = [
            index for index, reply in outcomes if reply.code == 452 and reply.enhanced in (None, "4.5.3")
        ]
        if not surplus or len(surplus) == len(outcomes):
            return outcomes
        delivery.round.outstanding += 1
        left = Delivery(delivery.round, delivery.route, surplus)
        left.ready_s = self._loop.time()
        self._ready.append(left)
        left_over = set(surplus)
        return [outcome for outcome in outcomes if outcome[0] not in left_over]

    def connection_ended(self, reply: Reply | None) -> None:
        idle = [connection for connection in self._idle if connection.is_ready]
        # Who ends what is idle, says nothing about how much it can take.
        if reply is not None and len(idle) == len(self._idle):
            self._allowance.pushed_back()
        self._idle = idle
        for gone in [c for c in self._spare if not c.is_ready]:
            del self._spare[gone]
        for gone in [c for c in self._in_flight if not c.is_ready and not self._in_flight[c]]:
            del self._in_flight[gone]
        if not self.closing:
            self._pump()

    def connect_failed(self, reply: Reply) -> None:
        if self._pool.open_count:
            self._allowance.pushed_back()  # the others still work: too many at once, it seems
            return
        wait_s = self._suspension.failed(self._loop.time())
        self._trouble = reply
        if wait_s:
            self._owner.site_suspended(self, wait_s, reply)
        # One message learns of one failure; of a suspension all that were ready do.
        while self._ready:
            delivery = self._ready.popleft()
            outcomes = [(index, reply) for index in delivery.recipients]
            self._owner.attempted(delivery, outcomes, None, dsn_passed=False, took_s=0.0)
            if not wait_s:
                break
        if not self.closing:
            self._pump()
