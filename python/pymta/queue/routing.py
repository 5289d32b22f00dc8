"""
Where to, with the operator's word: asks the policy's `route` hook, then the router.

Answers at once where neither has to wait, which is the common path; a coroutine otherwise.
"""

from collections.abc import Coroutine
from typing import Any

from pymta._core import QueuedMessage, Reply
from pymta.mail.route import Route
from pymta.mail.verdict import RouteChoice, Verdict
from pymta.policy.message import QueuedMail
from pymta.policy.script import PolicyHolder
from pymta.route.router import Router

__all__ = ["Answer", "PolicyRouting"]

Answer = Route | Reply | Coroutine[Any, Any, Route | Reply]


class PolicyRouting:
    """The queue's way to a route. The router is exchanged on reload, the policy by its holder."""

    def __init__(self, policies: PolicyHolder, router: Router) -> None:
        self._policies = policies
        self.router = router

    def find(self, message: QueuedMessage, domain: str) -> Answer:
        """
        A route, or the reply that tells why there is none (4yz: try again, 5yz: never).

        Args:
            message: Whose recipients are to be routed.
            domain: Canonical domain of some of its pending recipients.
        """
        policy = self._policies.current
        if policy.on_route is not None:
            choice = policy.on_route(message, domain)
        elif message.annotations:
            choice = policy.chosen_route(QueuedMail(message))
        else:
            choice = None
        if choice is None or type(choice) is RouteChoice:
            return self.router.cached(domain, choice) or self.router.route(domain, choice)
        if type(choice) is Verdict:
            return _reply_of(choice)
        return self._find_later(choice, domain)

    async def _find_later(
        self, choosing: Coroutine[Any, Any, RouteChoice | Verdict | None], domain: str
    ) -> Route | Reply:
        choice = await choosing
        if isinstance(choice, Verdict):
            return _reply_of(choice)
        return await self.router.route(domain, choice)


def _reply_of(verdict: Verdict) -> Reply:
    assert verdict.reply is not None, "the pipeline lets only refuse and defer through here"
    return verdict.reply
