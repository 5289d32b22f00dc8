"""
What the operator's doors can ask of a running server: `Control` over the objects of `Server`.
"""

import os
from collections.abc import Callable
from typing import Any

from pymta.admin.control import (
    Action,
    ActionResult,
    ListenerStatus,
    MessageDetail,
    QueueQuery,
    QueueRow,
    ReloadResult,
    Selection,
    Status,
    SuspendRequest,
)
from pymta.admin.explain import explain_address
from pymta.admin.spool_control import SpoolControl
from pymta.app.server import Server
from pymta.config.settings import Settings
from pymta.mail.errors import PymtaError
from pymta.mail.route import Route
from pymta.observe.events import Admin, Trouble

__all__ = ["ServerControl"]


class ServerControl:
    """Implements `pymta.admin.control.Control`. Made before the server is started, asked after."""

    def __init__(self, server: Server, *, load_again: Callable[[], Settings], version: str) -> None:
        self._server = server
        self._load_again = load_again
        self._version = version
        self._messages: SpoolControl | None = None

    def status(self) -> Status:
        """How it is."""
        server = self._server
        suspended = {site.route.site: round(site.suspended_for_s()) for site in server.sites}
        return Status(
            version=self._version,
            pid=os.getpid(),
            started_at_ms=server.started_at_ms,
            stopping=server.stopping,
            listeners=tuple(
                ListenerStatus(listener.settings.name, listener.settings.role, listener.where)
                for listener in server.listeners
            ),
            connections_open=server.metrics.connections_open,
            spool=server.spool.stats(),
            suspended={name: left_s for name, left_s in suspended.items() if left_s},
            suspended_domains=self._spool_control.suspended_domains(),
        )

    def list_messages(self, query: QueueQuery) -> list[QueueRow]:
        """A page of messages."""
        return self._spool_control.list_messages(query)

    def show(self, spool_id: str) -> MessageDetail | None:
        """One message."""
        return self._spool_control.show(spool_id)

    async def act(self, action: Action, selection: Selection) -> ActionResult:
        """Do something to messages; an operator who says "retry" also ends the suspensions of sites."""
        if action == "retry":
            for site in self._server.sites:
                site.lift_suspension()
        return await self._spool_control.act(action, selection)

    def suspend(self, request: SuspendRequest) -> None:
        """Suspend a domain, or go on with it."""
        self._spool_control.suspend(request)

    async def reload(self) -> ReloadResult:
        """Read configuration and policy script again."""
        return self.reload_now(by="control")

    def reload_now(self, *, by: str) -> ReloadResult:
        """The same, at once; what is refused changes nothing and is one line in the log, which is opened anew first."""
        server = self._server
        server.log.reopen()  # whatever comes of the rest: logrotate has moved the file away, and counts on it
        try:
            server.reload(self._load_again())
        except (PymtaError, OSError) as error:
            server.metrics.policy_reloads.add("refused")
            server.log.emit(Trouble(what="reload refused", error=str(error), where=by))
            return ReloadResult(ok=False, problem=str(error))
        server.metrics.policy_reloads.add("ok")
        server.log.emit(Admin(action="reload", by=by))
        return ReloadResult(ok=True)

    async def explain(self, address: str) -> dict[str, Any]:
        """Where mail for *address* would go now; ValueError where it is none."""
        return await explain_address(self._server.routing.router, address, self._site_state)

    def _site_state(self, route: Route) -> dict[str, Any]:
        sites = [site for site in self._server.sites.find(route.site) if site.route.source == route.source]
        if not sites:
            return {"state": "not in use"}
        site = sites[0]
        return {
            "connections": site.connection_count,
            "connections_max": site.connections_max,
            "messages_ready": site.ready_count,
            "suspended_s": round(site.suspended_for_s()),
        }

    @property
    def _spool_control(self) -> SpoolControl:
        if self._messages is None:
            server = self._server
            self._messages = SpoolControl(
                server.spool,
                trace=server.trace,
                log=server.log,
                now_ms=server.clock.now_ms,
                wake=server.manager.wake,
            )
        return self._messages
