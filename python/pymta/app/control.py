"""
What the operator's doors can ask of a running server: `Control` over the objects of `Server`.
"""

import os
from collections.abc import Callable
from typing import Any

from pymta.acme.keeper import Keeper, make_ready
from pymta.acme.outcome import Renewal
from pymta.admin.control import (
    Action,
    ActionResult,
    ListenerStatus,
    MessageDetail,
    QueueQuery,
    QueueRow,
    ReloadResult,
    RenewRequest,
    Selection,
    Status,
    SuspendRequest,
)
from pymta.admin.explain import explain_address
from pymta.admin.span import merged_result, merged_rows, named
from pymta.admin.spool_control import SpoolControl
from pymta.app.server import Server
from pymta.config.restart import waiting_for_restart
from pymta.config.settings import Settings
from pymta.mail.errors import PymtaError
from pymta.mail.route import Route
from pymta.observe.events import Admin, Trouble

__all__ = ["ServerAnswers", "ServerControl", "acted", "suspended"]


class ServerAnswers:
    """What one process can tell and do, as a server or as a worker. Made before the server is started, asked after."""

    def __init__(self, server: Server, *, version: str) -> None:
        self._server = server
        self._version = version

    async def status(self) -> Status:
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
            spool=server.spool_stats(),
            suspended={name: left_s for name, left_s in suspended.items() if left_s},
            suspended_domains=self._shards[0].suspended_domains(),
        )

    async def list_messages(self, query: QueueQuery) -> list[QueueRow]:
        """A page of messages."""
        return merged_rows([await shard.list_messages(query) for shard in self._shards], query.count_max)

    async def show(self, spool_id: str) -> MessageDetail | None:
        """One message."""
        found = (shard.show(spool_id) for shard in self._shards)
        return next((detail for detail in found if detail is not None), None)

    async def act(self, action: Action, selection: Selection) -> ActionResult:
        """Do something to messages; one line in the log for all of it."""
        result = await self.act_quietly(action, selection)
        self._server.log.emit(acted(action, selection, result.done))
        return named(result)

    async def act_quietly(self, action: Action, selection: Selection) -> ActionResult:
        """`act` without the line; an operator who says "retry" also ends the suspensions of sites."""
        if action == "retry":
            for site in self._server.sites:
                site.lift_suspension()
        return merged_result([await shard.act(action, selection) for shard in self._shards], selection)

    async def suspend(self, request: SuspendRequest) -> None:
        """Suspend a domain, or go on with it."""
        await self.suspend_quietly(request)
        self._server.log.emit(suspended(request))

    async def suspend_quietly(self, request: SuspendRequest) -> None:
        """`suspend` without its line in the log."""
        for shard in self._shards:
            shard.suspend(request)

    async def explain(self, address: str) -> dict[str, Any]:
        """Where mail for *address* would go now; ValueError where it is none."""
        return await explain_address(
            self._server.routing.router, self._server.directory, address, self._site_state
        )

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
    def _shards(self) -> list[SpoolControl]:
        """Of the process's own shard first, then of those that it drains."""
        server = self._server
        parts = [(server.spool, server.manager), *((part.spool, part.manager) for part in server.left_over)]
        return [
            SpoolControl(spool, trace=server.trace, now_ms=server.clock.now_ms, wake=manager.wake)
            for spool, manager in parts
        ]


class ServerControl(ServerAnswers):
    """Implements `pymta.admin.control.Control` where one process is the whole server."""

    def __init__(
        self, server: Server, *, load_again: Callable[[], Settings], version: str, keeper: Keeper
    ) -> None:
        super().__init__(server, version=version)
        self._load_again = load_again
        self._keeper = keeper
        self._began_with = server.settings

    async def reload(self) -> ReloadResult:
        """Read configuration and policy script again."""
        return self.reload_now(by="control")

    def reload_now(self, *, by: str) -> ReloadResult:
        """The same, at once; what is refused changes nothing and is one line in the log, which is opened anew first."""
        server = self._server
        server.log.reopen()  # whatever comes of the rest: logrotate has moved the file away, and counts on it
        try:
            make_ready(settings := self._load_again())
            server.reload(settings)
        except (PymtaError, OSError) as error:
            server.metrics.policy_reloads.add("refused")
            server.log.emit(Trouble(what="reload refused", error=str(error), where=by))
            return ReloadResult(ok=False, problem=str(error))
        server.metrics.policy_reloads.add("ok")
        self._keeper.use(settings)
        result = ReloadResult(ok=True, waiting_for_restart=waiting_for_restart(self._began_with, settings))
        server.log.emit(Admin(action="reload", detail=result.in_words, by=by))
        return result

    async def renew(self, request: RenewRequest) -> list[Renewal]:
        """Ask the authority for certificates now."""
        return await self._keeper.renew(request.names)


def acted(action: Action, selection: Selection, count: int) -> Admin:
    """The line for what an operator did to messages."""
    only = selection.spool_ids[0] if len(selection.spool_ids) == 1 else ""
    return Admin(action=action, detail=selection.in_words, spool_id=only, count=count, by="control")


def suspended(request: SuspendRequest) -> Admin:
    """The line for a domain that an operator suspended or let go on."""
    detail = f"{request.domain} for {request.duration_s} s"
    return Admin(action="suspend" if request.duration_s > 0 else "resume", detail=detail, by="control")
