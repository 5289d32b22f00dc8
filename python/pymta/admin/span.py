"""
One answer from several: what shards and workers said, put together as if one had said it.

Pure functions; who is asked, and how, is the caller's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from pymta.admin.control import ActionResult, QueueRow, Selection, Status

__all__ = [
    "merged_explanation",
    "merged_result",
    "merged_rows",
    "merged_status",
    "named",
    "with_site_state",
]

_NAMED_MAX: Final = 100


def merged_rows(pages: Iterable[Sequence[QueueRow]], count_max: int) -> list[QueueRow]:
    """The first *count_max* in order of spool id; each page has the first so many of one part."""
    return sorted((row for page in pages for row in page), key=lambda row: row.spool_id)[:count_max]


def merged_result(results: Sequence[ActionResult], selection: Selection) -> ActionResult:
    """What was done in all; a message that was named and is in one part is refused by the others, which counts for nothing."""
    done = sum(result.done for result in results)
    if selection.spool_ids:
        refusals = Counter(spool_id for result in results for spool_id in set(result.refused))
        refused = tuple(
            spool_id for spool_id in dict.fromkeys(selection.spool_ids) if refusals[spool_id] == len(results)
        )
    else:
        refused = tuple(spool_id for result in results for spool_id in result.refused)
    return ActionResult(done=done, refused=refused, refused_count=len(refused))


def named(result: ActionResult) -> ActionResult:
    """*result* as a person is told: not every one of a million ids."""
    return msgspec.structs.replace(result, refused=result.refused[:_NAMED_MAX])


def merged_status(parts: Sequence[Status]) -> Status:
    """Sums and unions; what is one process's (pid, start) is the first's."""
    first = parts[0]
    spool: Counter[str] = Counter()
    suspended: dict[str, int] = {}
    suspended_domains: dict[str, int] = {}
    for part in parts:
        spool.update(part.spool)
        for into, more in ((suspended, part.suspended), (suspended_domains, part.suspended_domains)):
            for name, left_s in more.items():
                into[name] = max(into.get(name, 0), left_s)
    return msgspec.structs.replace(
        first,
        connections_open=sum(part.connections_open for part in parts),
        spool=dict(spool),
        suspended=suspended,
        suspended_domains=suspended_domains,
    )


def merged_explanation(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The route is the same for all; what is in use at the site adds up, a suspension is the longest."""
    answer = dict(parts[0])
    states = [part["site_state"] for part in parts if "connections" in part.get("site_state", {})]
    if not states:
        return answer
    state = {
        name: max(one[name] for one in states) if name == "suspended_s" else sum(one[name] for one in states)
        for name in states[0]
    }
    answer["site_state"] = state
    answer["text"] = with_site_state(answer["text"].partition(_SITE_NOW)[0], state)
    return answer


_SITE_NOW: Final = "\n\nsite now:\n"


def with_site_state(text: str, state: dict[str, Any]) -> str:
    """An explanation in words, and how it stands with the site."""
    return text + _SITE_NOW + "\n".join(f"  {name:<22}{value}" for name, value in state.items())
