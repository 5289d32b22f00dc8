"""
The part of `Control` that is about messages, over the spool itself.

It decides nothing: it finds the messages that a selection means and tells the spool. What a message costs while many
are looked at is bounded by looking at a page at a time and letting the loop run between pages.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from typing import Final

from pymta._core import QueuedMessage, Spool
from pymta.admin.control import (
    Action,
    ActionResult,
    Decided,
    MessageDetail,
    QueueQuery,
    QueueRow,
    RecipientStatus,
    Selection,
    SuspendRequest,
)
from pymta.observe.trace import Trace
from pymta.policy.annotations import decode

__all__ = ["SpoolControl"]

_PAGE: Final = 200
_ROWS_MAX: Final = 1000
_RECIPIENTS_SHOWN_MAX: Final = 1000
_HEADER_SHOWN_OCTETS_MAX: Final = 64 * 1024

_ID_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"

_Row = tuple[str, str, str, int, int, int, int]


class SpoolControl:
    """
    Lists, shows and acts on messages.

    Args:
        spool: Where they are.
        trace: What was decided about them of late.
        now_ms: The clock.
        wake: Called after something became due, so that the queue looks.
    """

    def __init__(
        self, spool: Spool, *, trace: Trace, now_ms: Callable[[], int], wake: Callable[[], None]
    ) -> None:
        self._spool = spool
        self._trace = trace
        self._now_ms = now_ms
        self._wake = wake

    async def list_messages(self, query: QueueQuery) -> list[QueueRow]:
        """At most `query.count_max` messages, with reverse-path and recipients read from the spool."""
        suspended = dict(self._spool.suspended(self._now_ms()))
        found: list[QueueRow] = []
        count_max = max(1, min(query.count_max, _ROWS_MAX))
        async for row in self._rows(query.domain, state=query.state, after=query.after):
            found.append(self._row(row, suspended))
            if len(found) == count_max:
                break
        return found

    def show(self, spool_id: str) -> MessageDetail | None:
        """All about one message but its content."""
        message = self._load(spool_id)
        if message is None:
            return None
        row = self._find(spool_id)
        envelope = message.envelope
        shown = range(min(envelope.recipient_count, _RECIPIENTS_SHOWN_MAX))
        return MessageDetail(
            spool_id=spool_id,
            state=row[1] if row else "active",
            reverse_path=str(envelope.reverse_path or ""),
            recipients=tuple(
                RecipientStatus(str(envelope.recipient(index).forward_path), *message.status(index))
                for index in shown
            ),
            size_octets=message.size_octets,
            spooled_at_ms=message.spooled_at_ms,
            due_ms=_next_ms(row, dict(self._spool.suspended(self._now_ms()))) if row else 0,
            attempts=message.attempts,
            body=envelope.body,
            smtputf8=envelope.smtputf8,
            envid=envelope.envid or "",
            header_section=message.header_section()[:_HEADER_SHOWN_OCTETS_MAX].decode("utf-8", "replace"),
            decisions=(*_kept_decisions(message), *(Decided(*d[1:]) for d in self._trace.about(spool_id))),
        )

    async def act(self, action: Action, selection: Selection) -> ActionResult:
        """Do *action* to all that *selection* means; every refused id is named."""
        done = 0
        refused: list[str] = []
        async for spool_id in self._selected(selection):
            if self._act_on(action, spool_id, selection.domain):
                done += 1
            else:
                refused.append(spool_id)
        if done:
            self._wake()
        return ActionResult(done=done, refused=tuple(refused), refused_count=len(refused))

    def suspend(self, request: SuspendRequest) -> None:
        """Try nothing for a domain for a while; 0 s goes on with it at once."""
        until_ms = self._now_ms() + request.duration_s * 1000 if request.duration_s > 0 else 0
        self._spool.suspend(request.domain.lower(), until_ms)
        if not until_ms:
            self._wake()

    def suspended_domains(self) -> dict[str, int]:
        """Domains that are suspended, and for how many more seconds."""
        now_ms = self._now_ms()
        return {
            domain: math.ceil((until_ms - now_ms) / 1000)
            for domain, until_ms in self._spool.suspended(now_ms)
        }

    # ---- finding -----------------------------------------------------------------------------------------------------

    async def _selected(self, selection: Selection) -> AsyncIterator[str]:
        if selection.spool_ids:
            for spool_id in selection.spool_ids:
                yield spool_id
            return
        async for row in self._rows(selection.domain):
            if selection.reverse_path is None or self._is_from(row[0], selection.reverse_path):
                yield row[0]

    async def _rows(
        self, domain: str | None, *, state: str | None = None, after: str | None = None
    ) -> AsyncIterator[_Row]:
        """All rows, or those with a pending recipient at *domain*, whichever of them it is."""
        domain = domain.lower() if domain is not None else None
        while rows := self._spool.list(state=state, domain=domain, after=after, count_max=_PAGE):
            after = rows[-1][0]
            for row in rows:
                if domain is None or row[2] == domain or domain in self._pending_domains(row[0]):
                    yield row
            await asyncio.sleep(0)

    def _pending_domains(self, spool_id: str) -> set[str]:
        message = self._load(spool_id)
        return {name.lower() for name, _ in message.by_domain()} if message is not None else set()

    def _is_from(self, spool_id: str, reverse_path: str) -> bool:
        message = self._load(spool_id)
        if message is None:
            return False
        mine = message.envelope.reverse_path
        return (mine.canonical if mine is not None else "") == _canonical(reverse_path)

    def _load(self, spool_id: str) -> QueuedMessage | None:
        try:
            return self._spool.load(spool_id)
        except ValueError:  # no spool id at all
            return None

    def _find(self, spool_id: str) -> _Row | None:
        """The row of one message: the list has no look-up, but begins after any id."""
        rows = self._spool.list(after=_before(spool_id), count_max=1)
        return rows[0] if rows and rows[0][0] == spool_id else None

    def _row(self, row: _Row, suspended: dict[str, int]) -> QueueRow:
        spool_id, state, group, _, spooled_at_ms, attempts, size_octets = row
        message = self._load(spool_id)
        reverse_path, forward_path, count = "", "", 0
        if message is not None:
            pending = message.pending
            reverse_path = str(message.envelope.reverse_path or "")
            count = len(pending)
            forward_path = str(message.envelope.recipient(pending[0]).forward_path) if pending else ""
        return QueueRow(
            spool_id=spool_id,
            state=state,
            domain=group,
            due_ms=_next_ms(row, suspended),
            spooled_at_ms=spooled_at_ms,
            attempts=attempts,
            size_octets=size_octets,
            reverse_path=reverse_path,
            forward_path=forward_path,
            recipients=count,
        )

    def _act_on(self, action: Action, spool_id: str, domain: str | None) -> bool:
        try:
            match action:
                case "retry":
                    return self._spool.retry(spool_id, self._now_ms())
                case "release":
                    return self._spool.release(spool_id, self._now_ms())
                case "hold":
                    return self._spool.hold(spool_id)
                case "drop" if domain is not None and self._pending_domains(spool_id) != {domain.lower()}:
                    return False  # it would go for those of other domains as well
                case "drop":
                    return self._spool.drop(spool_id)
        except ValueError:  # no spool id at all
            return False


def _next_ms(row: _Row, suspended: dict[str, int]) -> int:
    """When it is tried next: when it is due, and not before the suspension of its domain is over."""
    _, state, group, due_ms, *_ = row
    return max(due_ms, suspended.get(group, 0)) if state in ("incoming", "deferred") else due_ms


def _kept_decisions(message: QueuedMessage) -> list[Decided]:
    """What policy decided when the message came in, which the spool keeps with it."""
    try:
        kept = decode(message.annotations).decisions
    except ValueError:  # a later pymta wrote them; the rest is still worth showing
        return []
    return [
        Decided(
            message.spooled_at_ms,
            f"policy {decision.hook}",
            f"{decision.verdict} {decision.about}".rstrip(),
            " ".join(part for part in (decision.reason, decision.where) if part),
        )
        for decision in kept
    ]


def _canonical(address: str) -> str:
    local_part, at, domain = address.strip("<>").rpartition("@")
    return f"{local_part}{at}{domain.lower()}"


def _before(spool_id: str) -> str | None:
    """The id just before *spool_id* (rust/pymta-types/src/id.rs); None where there is none, or it is no id."""
    number = 0
    for character in spool_id:
        digit = _ID_ALPHABET.find(character)
        if digit < 0:
            return None
        number = number * 32 + digit
    if number == 0:
        return None
    number -= 1
    return "".join(_ID_ALPHABET[number >> shift & 31] for shift in range(5 * (len(spool_id) - 1), -1, -5))
