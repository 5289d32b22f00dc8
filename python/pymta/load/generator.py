"""
Which connection sends what, and until when: the run itself.

Closed loop: each connection sends its next message when the last one is answered. Open loop: messages fall due by the
clock (pace.py), a free connection takes the oldest. Rule: a run ends. Either all is answered, or the time and then the
wait for what is left are over, or so many connections in a row failed that nobody can be there.
"""

import asyncio
import ssl
from collections import OrderedDict
from random import Random
from time import monotonic_ns
from typing import Final

from pymta._core import ClientSettings, Envelope
from pymta.load.connection import LoadConnection
from pymta.load.content import ContentMaker
from pymta.load.pace import Pace
from pymta.load.plan import Plan
from pymta.load.tally import Tally
from pymta.load.ticker import Ticker

__all__ = ["Generator"]

_NS: Final = 1_000_000_000
SWEEP_S: Final = 1.0
CONNECTING_MAX: Final = 100
"""Connections being made at once: more would only wait in the server's backlog."""

PREPARE_S_MAX: Final = 5.0
"""How long the clock waits for all connections to be there, where they are to be."""

TICK_NS_MIN: Final = 100_000
"""Open loop: what falls due within so long goes out together."""

RETRY_S_MAX: Final = 0.25
FAILURES_IN_A_ROW_MAX: Final = 20


class Generator:
    """
    One run: `await run()`, then look at `tally`.

    Args:
        plan: What to do.
        context: For TLS; needed unless the plan has none.
    """

    def __init__(self, plan: Plan, *, context: ssl.SSLContext | None = None) -> None:
        assert (plan.tls == "none") == (context is None), "a context exactly where there is TLS"
        self.plan = plan
        self.context = context
        self.host = plan.host
        self.tally = Tally()
        self.chunking = plan.chunking
        self.messages_per_connection = plan.messages_per_connection or 1 << 62
        self.wait_s_max = plan.wait_s_max
        self.gave_up: str | None = None
        """Why the run ended before its end, or None."""
        self.began_ns = self.ended_ns = self.answered_ns = 0
        self._ended = asyncio.Event()
        self._settings = ClientSettings(
            hello_name=plan.hello_name,
            lmtp=plan.lmtp,
            starttls="required" if plan.tls == "starttls" else "never",
            chunking=plan.chunking,
        )
        random = Random(plan.seed)  # noqa: S311 - a load test wants to be repeated, not to be secret
        self._random = random
        self._choose_octets = plan.sizes.chooser(random)
        self._content = ContentMaker(plan.hello_name, random)
        self._constant: Envelope | None = None
        if not (plan.reverse_path.changes_with_message or plan.forward_path.changes_with_message):
            self._constant = self._envelope(1)
        self._open: set[LoadConnection] = set()
        # In the order in which they became idle, so that all take their turn.
        self._idle: OrderedDict[LoadConnection, None] = OrderedDict()
        self._connecting: dict[LoadConnection, asyncio.Task[None]] = {}
        self._unready: set[LoadConnection] = set()
        """Those of `_open` that have not been ready yet."""
        self._failures_in_a_row = 0
        self._accepted_at_failure = 0
        self._retry: asyncio.TimerHandle | None = None
        self._pace: Pace | None = None
        self._is_stopping = False

    @property
    def connections_open(self) -> int:
        """Connections that are there now."""
        return len(self._open) - len(self._unready)

    @property
    def taken(self) -> int:
        """Messages begun so far."""
        return self._pace.taken if self._pace is not None else 0

    @property
    def planned(self) -> int | None:
        """How many messages there are to be in all; None where only time decides."""
        return self._pace.planned if self._pace is not None else self.plan.messages_max

    @property
    def took_s(self) -> float:
        """From the begin to now; of a run that is over, to its last answer: farewells are not counted."""
        until_ns = (self.answered_ns or self.ended_ns) if self.ended_ns else monotonic_ns()
        return (until_ns - self.began_ns) / _NS if self.began_ns else 0.0

    async def run(self) -> None:
        """Do it all; returns when it is over."""
        self._loop = asyncio.get_running_loop()
        self._ticker = Ticker(self._loop, self._tick)
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
        if not self.plan.connections_prepared:
            self._begin()
        else:
            self._loop.call_later(PREPARE_S_MAX, self._begin)
        self._fill()
        try:
            await self._ended.wait()
        finally:
            self._close()
            # What was closed is gone after the loop's next rounds.
            for _ in range(3):
                await asyncio.sleep(0)

    def stop(self, reason: str) -> None:
        """End it early: what is in hand is lost, what was not begun is not sent."""
        if self.gave_up is None and not self._ended.is_set():
            self.gave_up = reason
        self._end()

    # ---- what connections call

    def take(self, now_ns: int) -> tuple[int, Envelope, bytes] | None:
        """The next message: when it was due, and what it is. None where none is due now."""
        pace = self._pace
        due_ns = pace.take(now_ns) if pace is not None else None
        if due_ns is None:
            return None
        assert pace is not None, "it gave the message"
        number = pace.taken
        envelope = self._constant or self._envelope(number)
        reverse_path = envelope.reverse_path
        content = self._content.make(
            number,
            "" if reverse_path is None else str(reverse_path),
            str(envelope.recipient(0).forward_path),
            self._choose_octets(),
        )
        return due_ns, envelope, content

    def is_ready(self, connection: LoadConnection) -> None:
        """Mail may flow on the connection: the next one may be made."""
        self._unready.discard(connection)
        if len(self._open) < self.plan.connections:
            self._fill()

    def is_idle(self, connection: LoadConnection) -> bool:
        """The connection has nothing to do; True where it is to stay, False where it may leave."""
        pace = self._pace
        if pace is not None and pace.left(monotonic_ns()) <= 0:
            return False
        self._idle[connection] = None
        if pace is None and len(self._idle) == self.plan.connections_prepared:
            self._begin()
        return True

    def is_over(self, connection: LoadConnection, *, failed: bool) -> None:
        """The connection is gone."""
        self._open.discard(connection)
        self._unready.discard(connection)
        self._idle.pop(connection, None)
        connecting = self._connecting.pop(connection, None)
        if connecting is not None:
            connecting.cancel()
        if self._is_stopping:
            return
        self._count_failure(failed=failed)
        if self._failures_in_a_row >= max(FAILURES_IN_A_ROW_MAX, 2 * self.plan.connections):
            self.stop(f"{self._failures_in_a_row} connections in a row failed")
            return
        self._fill_again(failed=failed)

    def _count_failure(self, *, failed: bool) -> None:
        # A server that takes something between two failures is alive.
        if not failed or self.tally.accepted > self._accepted_at_failure:
            self._failures_in_a_row = 0
        if failed:
            self._failures_in_a_row += 1
            self._accepted_at_failure = self.tally.accepted

    # ---- connections

    def _wanted(self, now_ns: int) -> int:
        """How many more connections are to be made now."""
        pace = self._pace
        room = min(self.plan.connections - len(self._open), CONNECTING_MAX - len(self._unready))
        if pace is None:
            return min(room, self.plan.connections_prepared - len(self._open))
        fresh = len(self._unready) + len(self._idle)
        messages = pace.due(now_ns) if self.plan.opens_on_demand else pace.left(now_ns)
        return min(room, messages - fresh)

    def _fill(self) -> None:
        """Make the connections that are wanted."""
        self._retry = None
        if self._is_stopping:
            return
        now_ns = monotonic_ns()
        for _ in range(self._wanted(now_ns)):
            secure = self.plan.tls == "implicit"
            connection = LoadConnection(self, self._settings, secure=secure)
            self._open.add(connection)
            self._unready.add(connection)
            self._connecting[connection] = self._loop.create_task(self._connect(connection))
        self._look_for_end(now_ns)

    def _fill_again(self, *, failed: bool) -> None:
        if not failed:
            self._fill()
        elif self._retry is None:
            delay_s = min(RETRY_S_MAX, 0.01 * 1.5 ** min(self._failures_in_a_row, 20))
            self._retry = self._loop.call_later(delay_s, self._fill)

    async def _connect(self, connection: LoadConnection) -> None:
        plan = self.plan
        implicit = self.context if plan.tls == "implicit" else None
        try:
            await self._loop.create_connection(
                lambda: connection,
                plan.host,
                plan.port,
                ssl=implicit,
                server_hostname=plan.host if implicit is not None else None,
            )
        except OSError as error:
            self._connecting.pop(connection, None)
            connection.fail_to_connect(error)
        else:
            self._connecting.pop(connection, None)

    # ---- time

    def _begin(self) -> None:
        """The clock starts."""
        if self._pace is not None or self._is_stopping:
            return
        plan = self.plan
        self.began_ns = now_ns = monotonic_ns()
        self._pace = Pace(
            now_ns, messages_max=plan.messages_max, duration_s=plan.duration_s, rate_per_s=plan.rate_per_s
        )
        self._tick()

    def _tick(self) -> None:
        """Open loop: hand out what is due, and come again for the next."""
        pace = self._pace
        if pace is None or self._is_stopping:
            return
        now_ns = monotonic_ns()
        while self._idle and pace.due(now_ns) > 0:
            self._idle.popitem(last=False)[0].send_next(now_ns)
        if self.plan.opens_on_demand:
            self._fill()
        else:
            self._look_for_end(now_ns)
        due_ns = pace.next_due_ns()
        if due_ns is not None and due_ns <= now_ns:
            # Nobody is free. Whoever becomes free takes the next one; only what falls due later needs a tick.
            waiting = pace.due(now_ns)
            due_ns = due_ns + int(waiting * _NS / (self.plan.rate_per_s or 1))
        if due_ns is not None:
            self._ticker.at(max(due_ns, now_ns + TICK_NS_MIN), now_ns)

    def _sweep(self) -> None:
        now_ns = monotonic_ns()
        for connection in tuple(self._open):
            connection.sweep(now_ns)
        pace, plan = self._pace, self.plan
        if pace is not None and pace.ends_ns is not None and now_ns >= pace.ends_ns:
            while self._idle:
                self._idle.popitem(last=False)[0].leave()
        if plan.duration_s is not None and pace is not None:
            late_ns = self.began_ns + int((plan.duration_s + plan.wait_s_max) * _NS)
            if now_ns > late_ns:
                self.stop(f"not all was answered {plan.wait_s_max:g} s after the end")
                return
        self._look_for_end(now_ns)
        if not self._is_stopping:
            self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    def _look_for_end(self, now_ns: int) -> None:
        pace = self._pace
        if pace is None or pace.left(now_ns) > 0:
            return
        while self._idle:
            self._idle.popitem(last=False)[0].leave()
        if not self._open:
            self._end()

    def _end(self) -> None:
        if not self._ended.is_set():
            self.ended_ns = monotonic_ns()
            self._ended.set()

    def _close(self) -> None:
        self._is_stopping = True
        self._ticker.close()
        self._sweeper.cancel()
        if self._retry is not None:
            self._retry.cancel()
        for connection in tuple(self._open):
            connection.abort("the run was stopped")

    # ---- messages

    def _envelope(self, number: int) -> Envelope:
        plan, random = self.plan, self._random
        count = plan.recipients
        forward_paths = [
            plan.forward_path.make(number, recipient, random) for recipient in range(1, count + 1)
        ]
        reverse_path = None if plan.reverse_path.is_null else plan.reverse_path.make(number, 1, random)
        smtputf8 = not (plan.forward_path.is_ascii and plan.reverse_path.is_ascii)
        return Envelope(reverse_path, forward_paths, smtputf8=smtputf8)
