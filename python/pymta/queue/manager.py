"""
The queue's manager: take what is due → route → hand to a site → record what became of it → report → settle.

It decides nothing itself: when is `schedule`, where is the router, how fast is the site, what a reply means is its
first digit. It is woken by the spool's eventfd (new mail, loaded mail) and by one timer for what becomes due.

Rule: a recipient leaves the queue exactly one way (ARCHITECTURE.md, invariant 7), and every way goes through
`_settle`. A report is durable before the failure that it reports is recorded, so a crash between the two repeats a
report and never loses one.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from pymta._core import QueuedMessage, Reply, Spool
from pymta.config.settings.queue import QueueSettings
from pymta.mail.outcome import outcome_of
from pymta.mail.route import Hop, Route
from pymta.queue.local import LocalSite
from pymta.queue.observer import QueueObserver
from pymta.queue.reports import QueueReporter
from pymta.queue.round import Delivery, RecipientOutcome, Round
from pymta.queue.routing import PolicyRouting
from pymta.queue.schedule import jitter_of, lifetime_ms, next_attempt_ms, warning_is_due
from pymta.queue.site import Site
from pymta.queue.tasks import TaskSite

__all__ = ["QueueManager", "Sites"]

# Taken from the spool in one go, so that a deep queue does not hold up the loop.
TAKE_MAX = 64

# What is due and was not taken is looked at again after this long; so is what falls due sooner.
LOOK_AGAIN_S = 0.02

# From here on, what a site has in hand and does not get to keeps others out.
CROWDED_SHARE = 0.8

# A taken message that could not be handed on is looked at again after this long.
POSTPONE_S = 30.0

_ROUTING_TROUBLE = Reply(451, "4.3.0", "local trouble while routing")
_DISCARDED = Reply(250, "2.0.0", "discarded by route")

# What `PolicyRouting.find` answers where nothing has to be waited for. Written once: `Route | Reply` makes an object.
_KNOWN: Final = (Route, Reply)


class Sites(Protocol):
    """The sites by (egress source, site name)."""

    def for_route(self, route: Route) -> Site | LocalSite | TaskSite:
        """The one that *route* leads to; made when it is first needed."""

    @property
    def has_room(self) -> bool:
        """Whether all sites together have fewer connections than they may."""


class QueueManager:
    """See the module. One instance a spool; all methods run on the loop's thread."""

    def __init__(
        self,
        spool: Spool,
        settings: QueueSettings,
        *,
        routing: PolicyRouting,
        sites: Sites,
        reporter: QueueReporter,
        observer: QueueObserver,
        now_ms: Callable[[], int],
        moved: Callable[[int], int] = int,
    ) -> None:
        """
        Args:
            spool: Where the messages are.
            settings: When and how many.
            routing: Where to.
            sites: How fast.
            reporter: Tells reverse-paths.
            observer: Tells operators.
            now_ms: The clock.
            moved: What a date of the past is called now, should the clock have been set since.
        """
        self._moved = moved
        self._spool = spool
        self._settings = settings
        self._routing = routing
        self._sites = sites
        self._reporter = reporter
        self._observer = observer
        self._now_ms = now_ms
        self._loop = asyncio.get_running_loop()
        self._active_count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._take_scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._idle: asyncio.Event = asyncio.Event()
        self._idle.set()

    # ---- waking up

    @property
    def active_count(self) -> int:
        """Messages in hand."""
        return self._active_count

    def wake(self) -> None:
        """Something may be due or loaded: look, at most once per turn of the loop."""
        if not self._take_scheduled:
            self._take_scheduled = True
            self._loop.call_soon(self._take)

    def use_settings(self, settings: QueueSettings) -> None:
        """After a reload; messages that wait keep their next attempt, later ones are computed anew."""
        self._settings = settings

    async def stop(self, grace_s: float) -> None:
        """Take nothing more and wait until what is in hand is settled, at most *grace_s*."""
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            # What is still in hand stays in the spool as active and is due again at the next start.
            pass

    async def close(self) -> None:
        """After the sites are closed: end what still waits for an answer."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _take(self) -> None:
        self._take_scheduled = False
        if self._stopping:
            return
        self._begin_all(self._spool.loaded())
        room = self._room()
        if room > 0:
            loading_count = self._spool.loading_count
            taken = self._spool.take_due(self._now_ms(), room, self._settings.active_per_group_max)
            sent_for_count = self._spool.loading_count - loading_count
            self._begin_all(taken)
            if len(taken) + sent_for_count >= room:
                self.wake()  # there may be more: go on after the loop's other work
        self._set_timer()

    def _room(self) -> int:
        """How many messages may be taken now; those that the spool still reads for us are in hand as well."""
        in_hand_count = self._active_count + self._spool.loading_count
        return min(self._settings.active_max - in_hand_count, TAKE_MAX)

    def _set_timer(self) -> None:
        due_ms = self._spool.next_due_ms()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due_ms is not None and self._room() > 0:
            # What fell due since `take_due` was asked, or could not be taken yet, would otherwise wait for other mail:
            # a timer may also fire a moment early, by another clock than that of the instants.
            wait_s = max((due_ms - self._now_ms()) / 1000, LOOK_AGAIN_S)
            self._timer = self._loop.call_later(wait_s, self.wake)

    # ---- a round begins

    def _begin_all(self, messages: list[QueuedMessage]) -> None:
        for message in messages:
            try:
                self._begin(message)
            except (
                BaseException
            ) as error:  # a bug of ours, also a panic in Rust, is about this message and no other
                if isinstance(error, KeyboardInterrupt | SystemExit):
                    raise
                # Who has part of it already may still conclude, so it stays in hand, and is due at the next start.
                self._observer.trouble("beginning a round", error, spool_id=message.id)

    def _begin(self, message: QueuedMessage) -> None:
        self._active_count += 1
        if self._active_count == 1:
            self._idle.clear()
        round_ = Round(message, self)
        groups = message.by_domain()
        round_.outstanding = len(groups)
        for domain, recipients in groups:
            try:
                route = self._routing.find(message, domain)
            except Exception as error:
                self._observer.trouble(f"routing {domain}", error, spool_id=round_.id)
                route = _ROUTING_TROUBLE
            if isinstance(route, _KNOWN):
                self._dispatch(round_, route, domain, recipients)
            else:
                self._spawn(self._dispatch_later(round_, route, domain, recipients))
        if not groups:  # nothing pending: can only be a message whose settling was lost in a crash
            self._settle(round_, due_ms=self._now_ms())

    async def _dispatch_later(
        self, round_: Round, finding: Coroutine[Any, Any, Route | Reply], domain: str, recipients: list[int]
    ) -> None:
        try:
            route = await finding
        except Exception as error:  # whatever went wrong, the message must not stay in hand for ever
            self._observer.trouble(f"routing {domain}", error, spool_id=round_.id)
            route = _ROUTING_TROUBLE
        self._dispatch(round_, route, domain, recipients)

    def _dispatch(self, round_: Round, route: Route | Reply, domain: str, recipients: list[int]) -> None:
        if isinstance(route, Reply):
            self._observer.unroutable(round_, domain, route)
            self._conclude(round_, [(index, route) for index in recipients], None, "none", took_s=0.0)
        elif route.transport == "discard":
            outcomes = [(index, _DISCARDED) for index in recipients]
            self._conclude(round_, outcomes, None, "discard", took_s=0.0)
        else:
            self._sites.for_route(route).put(Delivery(round_, route, recipients))

    # ---- what a site says (SiteOwner)

    def attempted(
        self,
        delivery: Delivery,
        outcomes: list[tuple[int, Reply]],
        hop: Hop | None,
        *,
        dsn_passed: bool,
        took_s: float,
    ) -> None:
        self._conclude(
            delivery.round, outcomes, hop, delivery.route.transport, dsn_passed=dsn_passed, took_s=took_s
        )

    def postponed(self, delivery: Delivery, reply: Reply, wait_s: float) -> None:
        round_ = delivery.round
        message = round_.message
        is_report = message.envelope.reverse_path is None
        end_ms = self._moved(message.spooled_at_ms) + lifetime_ms(
            is_report=is_report, settings=self._settings
        )
        if wait_s and self._now_ms() >= end_ms:
            # Put off for ever is not an end: this counts as the last attempt, so that it can expire.
            outcomes = [(index, reply) for index in delivery.recipients]
            self._conclude(round_, outcomes, None, delivery.route.transport, took_s=0.0)
            return
        round_.not_before_ms = max(round_.not_before_ms, self._now_ms() + int(max(wait_s, POSTPONE_S) * 1000))
        self._observer.postponed(round_, wait_s, reply)
        self._one_less(round_)

    def site_suspended(self, site: Site, wait_s: float, reply: Reply) -> None:
        self._observer.suspended(site, wait_s, reply)

    def may_open_more(self) -> bool:
        return self._sites.has_room

    def is_crowded(self) -> bool:
        return self._active_count > self._settings.active_max * CROWDED_SHARE

    # ---- outcomes

    def _conclude(
        self,
        round_: Round,
        outcomes: list[tuple[int, Reply]],
        hop: Hop | None,
        transport: str,
        *,
        dsn_passed: bool = False,
        took_s: float,
    ) -> None:
        """Outcomes that end one of the round's deliveries."""
        host = "" if hop is None else hop.host
        for index, reply in outcomes:
            state = outcome_of(reply).state
            outcome = RecipientOutcome(index, state, reply, str(reply), host, transport, dsn_passed)
            round_.outcomes.append(outcome)
            try:
                self._observer.attempted(round_, outcome, hop, took_s=took_s)
            except Exception as error:  # whoever watches must not keep a message in hand for ever
                self._observer.trouble("observing an attempt", error, spool_id=round_.id)
        if round_.outstanding > 1 and not round_.message.wants_success:
            # Recorded before the next step; those that end the round go with `settle`.
            self._record(round_)
        self._one_less(round_)

    def _record(self, round_: Round) -> None:
        delivered = round_.unrecorded(deliveries_only=True)
        if not delivered:
            return
        try:
            self._spool.record(round_.id, delivered)
        except (
            Exception
        ) as error:  # such as for a message that was found damaged meanwhile; `settle` tries again
            self._observer.trouble("recording", error, spool_id=round_.id)
            round_.not_recorded(delivered)

    def _one_less(self, round_: Round) -> None:
        round_.outstanding -= 1
        if round_.outstanding == 0:
            self._end(round_)

    # ---- a round ends

    def _end(self, round_: Round) -> None:
        if round_.is_delivered and not round_.message.wants_success:
            self._settle(round_, due_ms=round_.not_before_ms)
        else:
            self._spawn(self._end_with_reports(round_))

    async def _end_with_reports(self, round_: Round) -> None:
        message, now_ms = round_.message, self._now_ms()
        due_ms = self._after_deferral(round_, now_ms)
        try:
            await self._reporter.report(message, round_.outcomes, now_ms=now_ms, queue=self._settings)
        except Exception as error:
            # What cannot be reported is not settled: all but the deliveries is tried again.
            self._observer.trouble("reporting", error, spool_id=round_.id)
            round_.outcomes = [outcome for outcome in round_.outcomes if outcome.state == "delivered"]
            due_ms = max(due_ms, now_ms + int(POSTPONE_S * 1000))
        self._settle(round_, due_ms=due_ms)

    def _after_deferral(self, round_: Round, now_ms: int) -> int:
        """When to go on with what is deferred; restates it as "expired" or "delayed" where its time has come."""
        message = round_.message
        spooled_at_ms = self._moved(message.spooled_at_ms)
        due_ms = next_attempt_ms(
            spooled_at_ms,
            message.attempts + 1,
            now_ms=now_ms,
            is_report=message.envelope.reverse_path is None,
            jitter=jitter_of(message.id, message.attempts),
            settings=self._settings,
        )
        if due_ms is None:
            round_.restate("deferred", "expired")
            return max(round_.not_before_ms, now_ms)
        if warning_is_due(spooled_at_ms, now_ms=now_ms, settings=self._settings):
            round_.restate("deferred", "delayed")
        return max(due_ms, round_.not_before_ms)

    def _settle(self, round_: Round, *, due_ms: int) -> None:
        self._active_count -= 1
        try:
            if self._spool.settle(round_.id, round_.unrecorded(), due_ms):
                self._observer.done(round_)
            else:
                self._observer.waits(round_, due_ms)
        except (
            Exception
        ) as error:  # the message stays active in the spool, and is due again at the next start
            self._observer.trouble("settling", error, spool_id=round_.id)
        if self._active_count == 0:
            self._idle.set()
        self.wake()

    # ---- tasks

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_over)

    def _task_over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._observer.trouble("a task of the queue", error)
