"""
What can be asked of a running server, as types: the questions, the answers and the protocol between them.

The server side is `control_server.py` over a `Control`, the command line's side is `client.py`. Both use these structs,
so that neither can know a field that the other does not.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import msgspec

from pymta.acme.outcome import Renewal
from pymta.mail.errors import PymtaError

__all__ = [
    "SOCKET_NAME",
    "Action",
    "ActionResult",
    "Control",
    "Decided",
    "ListenerStatus",
    "MessageDetail",
    "NotNow",
    "QueueQuery",
    "QueueRow",
    "RecipientStatus",
    "ReloadResult",
    "RenewRequest",
    "Selection",
    "Status",
    "SuspendRequest",
    "WorkerStatus",
]

SOCKET_NAME = "control.sock"
"""In the data folder, which belongs to the server's user alone."""

Action = Literal["retry", "hold", "release", "drop"]
MessageState = Literal["incoming", "active", "deferred", "hold", "corrupt"]


class ListenerStatus(msgspec.Struct, frozen=True):
    """A door that is open."""

    name: str
    role: str
    address: str


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One of several processes that share the work."""

    number: int
    pid: int
    """0 while there is none."""
    state: str
    """starting, running, waiting (to be started again), given up."""
    restarts: int


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How the server is."""

    version: str
    pid: int
    started_at_ms: int
    stopping: bool
    listeners: tuple[ListenerStatus, ...]
    connections_open: int
    spool: dict[str, int]
    """`Spool.stats`."""
    suspended: dict[str, int]
    """Sites that the queue leaves alone after failures, and for how many more seconds."""
    suspended_domains: dict[str, int] = {}
    """Domains that an operator suspended, and for how many more seconds."""
    workers: tuple[WorkerStatus, ...] = ()
    """Empty where one process does all."""


class QueueQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which messages to list, in order of spool id."""

    state: MessageState | None = None
    domain: str | None = None
    """Of a recipient that is still to be tried."""
    after: str | None = None
    """Only those after this spool id: the next page."""
    count_max: int = 100


class QueueRow(msgspec.Struct, frozen=True, kw_only=True):
    """One message in a list."""

    spool_id: str
    state: str
    domain: str
    due_ms: int
    """When it is tried next, the suspension of its domain included; 0 where nothing is planned."""
    spooled_at_ms: int
    attempts: int
    size_octets: int
    reverse_path: str = ""
    forward_path: str = ""
    """The first recipient that is still to be tried."""
    recipients: int = 0
    """How many are still to be tried."""


class RecipientStatus(msgspec.Struct, frozen=True):
    """How it stands with one recipient."""

    forward_path: str
    state: str
    reply: str


class Decided(msgspec.Struct, frozen=True):
    """One decision about a message, from the server's memory of late."""

    at_ms: int
    who: str
    what: str
    why: str


class MessageDetail(msgspec.Struct, frozen=True, kw_only=True):
    """All about one message but its content."""

    spool_id: str
    state: str
    reverse_path: str
    recipients: tuple[RecipientStatus, ...]
    size_octets: int
    spooled_at_ms: int
    due_ms: int
    attempts: int
    body: str
    smtputf8: bool
    envid: str
    header_section: str
    decisions: tuple[Decided, ...]


class Selection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which messages to act on: exactly one of these."""

    spool_ids: tuple[str, ...] = ()
    domain: str | None = None
    reverse_path: str | None = None
    """"" is the null one."""
    all: bool = False

    @property
    def problem(self) -> str | None:
        """Why it cannot be used, or None."""
        chosen = [bool(self.spool_ids), self.domain is not None, self.reverse_path is not None, self.all]
        return None if sum(chosen) == 1 else "expected exactly one of spool ids, domain, reverse-path or all"

    @property
    def in_words(self) -> str:
        """For a line of the log, which has a key of its own for the id of one message."""
        if self.all:
            return "all"
        if self.domain is not None:
            return f"domain {self.domain}"
        if self.reverse_path is not None:
            return f"reverse-path <{self.reverse_path}>"
        return "" if len(self.spool_ids) == 1 else f"{len(self.spool_ids)} ids"


class ActionResult(msgspec.Struct, frozen=True, kw_only=True):
    """What an action did."""

    done: int
    """Messages that it was done to."""
    refused: tuple[str, ...] = ()
    """Spool ids that do not exist, or are in hand just now; at most 100 of them are named."""
    refused_count: int = 0


class SuspendRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Try nothing for a domain for a while."""

    domain: str
    duration_s: int
    """0 ends a suspension."""


class ReloadResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a reload."""

    ok: bool
    problem: str = ""
    """Why everything stayed as it was; one line, with file and line where it has one."""
    waiting_for_restart: tuple[str, ...] = ()
    """Options that were changed and are read only at a start."""

    @property
    def in_words(self) -> str:
        """What is still to be done; empty where it is nothing."""
        options = ", ".join(self.waiting_for_restart)
        return f"changed, but not before a restart: {options}" if options else ""


class RenewRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask the authority (ACME) for certificates now."""

    names: tuple[str, ...] = ()
    """Empty: for all that the configuration names."""


class NotNow(PymtaError):
    """A part of the server cannot be asked at the moment; the text says which and why."""


class Control(Protocol):
    """What the server offers its operator. Called on the loop's thread; any of it may raise `NotNow`."""

    async def status(self) -> Status:
        """How it is."""
        ...

    async def list_messages(self, query: QueueQuery) -> list[QueueRow]:
        """At most `query.count_max` messages."""
        ...

    async def show(self, spool_id: str) -> MessageDetail | None:
        """One message; None where there is none of that id."""
        ...

    async def act(self, action: Action, selection: Selection) -> ActionResult:
        """Do something to messages; lets the loop run in between when there are many."""
        ...

    async def suspend(self, request: SuspendRequest) -> None:
        """Suspend a domain, or go on with it."""
        ...

    async def reload(self) -> ReloadResult:
        """Read configuration and policy script again. What is refused changes nothing."""
        ...

    async def renew(self, request: RenewRequest) -> list[Renewal]:
        """
        Ask for certificates now, one after the other.

        Raises:
            ValueError: A name is none that the configuration has.
        """
        ...

    async def explain(self, address: str) -> dict[str, Any]:
        """
        Where mail for an address (or a domain) would go now, and why.

        Raises:
            ValueError: It is no address.
        """
        ...
