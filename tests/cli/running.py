"""
A control socket that answers, with a spool's worth of made-up messages behind it: the command line's other end.

The transport is the real one (socket, HTTP, JSON on both sides); only what is asked is answered from a table.
"""

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from pymta.admin.control import (
    Action,
    ActionResult,
    Decided,
    ListenerStatus,
    MessageDetail,
    QueueQuery,
    QueueRow,
    RecipientStatus,
    ReloadResult,
    Selection,
    Status,
    SuspendRequest,
)
from pymta.admin.control_server import ControlServer

ID = "01j8zq2x9v000"

ROW = QueueRow(
    spool_id=ID,
    state="deferred",
    domain="example.org",
    due_ms=1_000,
    spooled_at_ms=1_000,
    attempts=3,
    size_octets=4096,
    reverse_path="",
    forward_path="evil\x1b[2J@example.org",
    recipients=2,
)

DETAIL = MessageDetail(
    spool_id=ID,
    state="deferred",
    reverse_path="a@example.net",
    recipients=(RecipientStatus("b@example.org", "deferred", "451 4.7.1 [bold]greylisted[/bold]"),),
    size_octets=4096,
    spooled_at_ms=1_000,
    due_ms=1_000,
    attempts=3,
    body="8BITMIME",
    smtputf8=False,
    envid="",
    header_section="Subject: x\x1b]0;owned\x07\r\nFrom: a@example.net\r\n",
    decisions=(Decided(2_000, "route", "smtp", "MX of example.org"),),
)


class Asked:
    """`Control` that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.reload_problem = ""
        self.suspended_domains: dict[str, int] = {}
        self.header_section = DETAIL.header_section

    async def status(self) -> Status:
        listeners = (ListenerStatus("relay", "relay", "127.0.0.1:2525"),)
        return Status(
            version="1.2.3",
            pid=42,
            started_at_ms=0,
            stopping=False,
            listeners=listeners,
            connections_open=7,
            spool={"deferred": 5, "disk_octets": 1 << 20, "segments": 1},
            suspended={"mx.example.org": 60},
            suspended_domains=self.suspended_domains,
        )

    async def list_messages(self, query: QueueQuery) -> list[QueueRow]:
        self.asked.append(query)
        return [ROW] if query.domain in (None, "example.org") else []

    async def show(self, spool_id: str) -> MessageDetail | None:
        shown = msgspec.structs.replace(DETAIL, header_section=self.header_section)
        return shown if spool_id == ID else None

    async def act(self, action: Action, selection: Selection) -> ActionResult:
        self.asked.append((action, selection))
        unknown = tuple(spool_id for spool_id in selection.spool_ids if spool_id != ID)
        return ActionResult(
            done=max(len(selection.spool_ids), 1) - len(unknown), refused=unknown, refused_count=len(unknown)
        )

    async def suspend(self, request: SuspendRequest) -> None:
        self.asked.append(request)

    async def reload(self) -> ReloadResult:
        return ReloadResult(ok=not self.reload_problem, problem=self.reload_problem)

    async def explain(self, address: str) -> dict[str, Any]:
        if address == "crash":
            raise RuntimeError("a bug of ours")
        if "@" not in address:
            raise ValueError("expected an address")
        return {"text": f"{address} goes to mx.example.org"}


class RunningControl:
    """The server in a thread with a loop of its own, so that blocking clients can be used. A context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.control = Asked()
        self.trouble: list[tuple[str, str]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> "RunningControl":
        self._thread.start()
        self._server = self._on_loop(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._on_loop(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        with suppress(RuntimeError):
            self._loop.close()

    async def _start(self) -> ControlServer:
        server = ControlServer(
            self.folder, self.control, lambda what, error: self.trouble.append((what, error))
        )
        await server.start()
        return server

    def _on_loop(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)
