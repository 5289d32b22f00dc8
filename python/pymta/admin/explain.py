"""
The answer to "where would mail for this address go, and why?", for the command line, with and without a server.

The route is `route.explain`'s; added are what the directory has for an address of ours, and the sites' shaping state,
where a running server knows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pymta.admin.span import with_site_state
from pymta.directory import Directory, Resolution, settled
from pymta.mail import Address
from pymta.mail.route import Route
from pymta.route import Router, explain

__all__ = ["SiteState", "explain_address"]

SiteState = Callable[[Route], dict[str, Any]]
"""What a running server knows of the site that a route leads to: connections, limit, suspension."""


_NOBODY: Final = {
    "unknown": "no such address: mail for it is refused",
    "suspended": "disabled: mail for it is refused",
    "loop": "leads back to itself: mail for it is refused",
    "not_ours": "not in the directory",
}


async def explain_address(
    router: Router, directory: Directory, address: str, site_state: SiteState | None = None
) -> dict[str, Any]:
    """
    Args:
        router: The queue's own, or one like it.
        directory: The same.
        address: `user@example.org`, a domain, or an address literal in brackets.
        site_state: None where no server is running.

    Returns:
        What is printed for `--json`: the route or the reply, the steps, `directory` (for an address that is delivered
        here), `site_state`, and all of it in words as `text`.

    Raises:
        ValueError: It is neither an address nor a domain.
        TemporaryFailure: The directory cannot be asked.
    """
    forward_path = Address(address) if "@" in address else None
    domain = address.strip() if forward_path is None else forward_path.canonical_domain
    if not domain:
        raise ValueError(f'"{address}" has no domain')
    explanation = await explain(router, domain)
    answer = explanation.as_dict()
    text = explanation.as_text()
    outcome = explanation.outcome
    if forward_path is not None and isinstance(outcome, Route) and outcome.transport == "local":
        resolution = await settled(directory.resolve(forward_path))
        answer["directory"] = _as_dict(resolution)
        text = f"{text}\n\n{forward_path}:\n{_in_words(resolution)}"
    if site_state is not None and isinstance(outcome, Route):
        state = answer["site_state"] = site_state(outcome)
        text = with_site_state(text, state)
    answer["text"] = text
    return answer


def _as_dict(resolution: Resolution) -> dict[str, Any]:
    return {
        "status": resolution.status,
        "via": resolution.via,
        "accounts": [delivery.account.name for delivery in resolution.deliveries],
        "forwards": [str(address) for address in resolution.forwards],
    }


def _in_words(resolution: Resolution) -> str:
    lines = [("alias", address) for address in resolution.via]
    for delivery in resolution.deliveries:
        detail = f", detail {delivery.detail}" if delivery.detail else ""
        lines.append(("mailbox", f"{delivery.account.name}{detail}"))
    lines += [("sent on", str(address)) for address in resolution.forwards]
    if resolution.status != "found":
        lines.append(("nobody", _NOBODY[resolution.status]))
    return "\n".join(f"  {kind:<10}{what}" for kind, what in lines)
