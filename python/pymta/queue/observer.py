"""
Who hears of attempts: one log line each, the metrics, the policy's delivered, deferred and failed hooks.
"""

import asyncio
from collections.abc import Callable

from pymta._core import Reply
from pymta.mail.outcome import Attempt, Outcome, outcome_of
from pymta.mail.route import Hop
from pymta.observe.events import Admin, Done, in_us
from pymta.observe.events import Attempt as AttemptLine
from pymta.observe.log import Log
from pymta.observe.metrics import Metrics
from pymta.observe.trace import Trace
from pymta.policy.annotations import tags_of
from pymta.policy.pipeline import Policy
from pymta.policy.script import PolicyHolder
from pymta.queue.round import RecipientOutcome, Round
from pymta.queue.site import Site

__all__ = ["QueueObserver"]


class QueueObserver:
    """See the module."""

    def __init__(
        self, log: Log, metrics: Metrics, trace: Trace, policies: PolicyHolder, now_ms: Callable[[], int]
    ) -> None:
        self._log = log
        self._trace = trace
        self._metrics = metrics
        self._policies = policies
        self._now_ms = now_ms
        self._loop = asyncio.get_running_loop()

    # "Why" is asked of messages that are still here, so only what keeps one here is noted.

    def unroutable(self, round_: Round, domain: str, reply: Reply) -> None:
        """Mail for *domain* goes nowhere, now or ever."""
        self._trace.note(round_.id, self._now_ms(), "route", f"no route for {domain}", str(reply))

    def postponed(self, round_: Round, wait_s: float, reply: Reply) -> None:
        """Nothing was tried, because the site is suspended or has too much ready."""
        self._trace.note(round_.id, self._now_ms(), "site", f"not before {wait_s:.0f} s", str(reply))

    def waits(self, round_: Round, due_ms: int) -> None:
        """Something is still to be tried, at *due_ms*."""
        now_ms = self._now_ms()
        self._trace.note(round_.id, now_ms, "schedule", f"next attempt in {(due_ms - now_ms) / 1000:.0f} s")

    def attempted(self, round_: Round, outcome: RecipientOutcome, hop: Hop | None, *, took_s: float) -> None:
        """One recipient was tried; *hop* is None where nobody was reached."""
        message, became = round_.message, outcome_of(outcome.reply)
        state = became.state
        now_ms = self._now_ms()
        next_hop = "" if hop is None else f"{hop.host}[{hop.address}]:{hop.port}"
        self._metrics.deliveries.add(state)
        if hop is not None:
            self._metrics.attempt_s.observe(took_s)
        attempt = message.attempts + 1
        self._log.emit(
            AttemptLine(
                spool_id=round_.id,
                forward_path=message.forward_path_text(outcome.index),
                transport=outcome.transport,
                next_hop=next_hop,
                outcome=state,
                reply=outcome.text,
                attempt=attempt,
                took_s=in_us(took_s),
                age_s=(now_ms - message.spooled_at_ms) / 1000,
            )
        )
        if state != "delivered":
            self._trace.note(round_.id, now_ms, next_hop or outcome.transport, state, outcome.text)
        hook = _hook_for(self._policies.current, state)
        if hook is not None:
            seen = self._seen_by_policy(
                round_, outcome, became, attempt, next_hop, now_ms=now_ms, took_s=took_s
            )
            hook(seen)

    def _seen_by_policy(
        self,
        round_: Round,
        outcome: RecipientOutcome,
        became: Outcome,
        attempt: int,
        next_hop: str,
        *,
        now_ms: int,
        took_s: float,
    ) -> Attempt:
        message = round_.message
        envelope = message.envelope
        return Attempt(
            spool_id=round_.id,
            reverse_path=envelope.reverse_path,
            forward_path=envelope.recipient(outcome.index).forward_path,
            outcome=became,
            attempts=attempt,
            spooled_at_ms=message.spooled_at_ms,
            now_ms=now_ms,
            size_octets=message.size_octets,
            transport=outcome.transport,
            next_hop=next_hop,
            took_s=took_s,
            tags=tags_of(message.annotations),
        )

    def done(self, round_: Round) -> None:
        """A message left the spool with this round."""
        message = round_.message
        age_s = (self._now_ms() - message.spooled_at_ms) / 1000
        self._metrics.messages_done += 1
        self._metrics.age_s.observe(age_s)
        delivered = failed = expired = 0
        for outcome in round_.outcomes:
            state = outcome.state
            if state == "delivered":
                delivered += 1
            elif state == "failed":
                failed += 1
            elif state == "expired":
                expired += 1
        self._log.emit(
            Done(
                spool_id=round_.id,
                delivered=delivered,
                failed=failed,
                expired=expired,
                age_s=age_s,
            )
        )

    def suspended(self, site: Site, wait_s: float, reply: Reply) -> None:
        """A site is left alone for a while."""
        self._metrics.sites_suspended += 1
        self._log.emit(
            Admin(action="suspend", detail=f"{site.route.site} for {wait_s:.0f} s: {reply}", by="queue")
        )

    def trouble(self, what: str, error: BaseException, *, spool_id: str = "") -> None:
        """Something of ours went wrong."""
        self._log.trouble(what, error, where="queue", spool_id=spool_id)


def _hook_for(policy: Policy, state: str) -> Callable[[Attempt], None] | None:
    if state == "delivered":
        return policy.on_delivered
    return policy.on_deferred if state == "deferred" else policy.on_failed
