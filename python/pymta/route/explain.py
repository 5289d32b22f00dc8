"""
"Where would mail for this address go, and why?": the router's own steps, told.

It decides nothing: `Router.decide` does, which the queue's answers come from too. Rule: what is not known here (how
busy a site is, what a policy script would choose for a real message) is not guessed.
"""

from typing import Any

import msgspec

from pymta._core import Reply
from pymta.mail.route import Route
from pymta.mail.verdict import RouteChoice
from pymta.route.router import Router
from pymta.route.trace import Step


class Explanation(msgspec.Struct, frozen=True):
    """An answer and the way to it."""

    domain: str
    outcome: Route | Reply
    steps: tuple[Step, ...]
    """In the order in which they were taken."""
    holds_s: float
    """How long the answer may be used."""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`: route or reply, and the steps."""
        answer: dict[str, Any] = {"domain": self.domain, "holds_s": self.holds_s}
        if isinstance(self.outcome, Reply):
            reply = self.outcome
            answer["reply"] = {"code": reply.code, "enhanced": reply.enhanced, "text": reply.text}
        else:
            answer["route"] = msgspec.to_builtins(self.outcome)
        answer["steps"] = msgspec.to_builtins(self.steps)
        return answer

    def as_text(self) -> str:
        """For a person: the answer first, then how it came about."""
        lines = [*self._outcome_lines(), "", "why:"]
        for step in self.steps:
            notes = [] if step.ttl_s is None else [f"TTL {step.ttl_s} s"]
            if step.authenticated:
                notes.append("DNSSEC")
            note = f"  ({', '.join(notes)})" if notes else ""
            lines.append(f"  {step.kind:<8}{step.what}: {step.found}{note}")
        return "\n".join(lines)

    def _outcome_lines(self) -> list[str]:
        outcome = self.outcome
        if isinstance(outcome, Reply):
            what = "mail waits and is tried again" if outcome.is_temporary else "mail is returned"
            return [f"{self.domain}: {what}", f"  reply     {outcome}"]
        lines = [
            f"{self.domain}: {outcome.transport}, by {outcome.reason}",
            f"  site      {outcome.site}",
            f"  TLS       {outcome.tls}",
            f"  source    {outcome.source or 'as [delivery] says'}",
            f"  holds     {self.holds_s:.0f} s",
        ]
        for number, hop in enumerate(outcome.hops, start=1):
            at = f"[{hop.address}]" if ":" in hop.address else hop.address
            lines.append(f"  hop {number:<6}{hop.host}  {at}:{hop.port}")
        return lines


async def explain(router: Router, domain: str, choice: RouteChoice | None = None) -> Explanation:
    """
    What `router.route(domain, choice)` would say now, step by step.

    The DNS answers come from the same cache; the order of hosts with equal preference is thrown anew.
    """
    trace = router.new_trace()
    outcome = await router.decide(domain, choice, trace)
    holds_s = max(trace.expires_ms - router.now_ms(), 0) / 1000
    return Explanation(domain, outcome, tuple(trace.steps), holds_s)
