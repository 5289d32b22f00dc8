"""
The answer to "where would mail for this address go, and why?", for the command line, with and without a server.

The route is `route.explain`'s; added are the sites' shaping state, where a running server knows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymta.admin.span import with_site_state
from pymta.mail import Address
from pymta.mail.route import Route
from pymta.route import Router, explain

__all__ = ["SiteState", "explain_address"]

SiteState = Callable[[Route], dict[str, Any]]
"""What a running server knows of the site that a route leads to: connections, limit, suspension."""


async def explain_address(
    router: Router, address: str, site_state: SiteState | None = None
) -> dict[str, Any]:
    """
    Args:
        router: The queue's own, or one like it.
        address: `user@example.org`, a domain, or an address literal in brackets.
        site_state: None where no server is running.

    Returns:
        What is printed for `--json`: the route or the reply, the steps, `site_state`, and all of it in words as `text`.

    Raises:
        ValueError: It is neither an address nor a domain.
    """
    domain = Address(address).canonical_domain if "@" in address else address.strip()
    if not domain:
        raise ValueError(f"{address} has no domain")
    explanation = await explain(router, domain)
    answer = explanation.as_dict()
    text = explanation.as_text()
    if site_state is not None and isinstance(explanation.outcome, Route):
        state = answer["site_state"] = site_state(explanation.outcome)
        text = with_site_state(text, state)
    answer["text"] = text
    return answer
