"""
All sites, by (egress source, site name): made when first needed, swept once a second, forgotten when unused.
"""

import asyncio
from collections.abc import Callable, Iterator

from pymta.config.settings.delivery import DeliverySettings
from pymta.deliver.pool import ConnectionPool, OpenCount
from pymta.deliver.tls_policy import ClientContexts
from pymta.mail.route import Route
from pymta.queue.local import LocalSite
from pymta.queue.site import Site, SiteOwner
from pymta.queue.tasks import TaskSite

__all__ = ["SiteTable"]

SWEEP_S = 1.0

# A site without mail is remembered as long as its suspension may matter, then forgotten.
UNUSED_S_MAX = 600.0


class SiteTable:
    """The sites of this process."""

    def __init__(self, settings: DeliverySettings, *, hello_name: str, contexts: ClientContexts) -> None:
        self._settings = settings
        self._hello_name = hello_name
        self._contexts = contexts
        self._sites: dict[tuple[str | None, str, str], Site] = {}
        self._owner: SiteOwner | None = None
        self._local: LocalSite | None = None
        self._task_sites: dict[str, TaskSite] = {}
        self._make_tasks: Callable[[SiteOwner, Route], TaskSite] | None = None
        self._loop = asyncio.get_running_loop()
        self._open = OpenCount()
        self._timer = self._loop.call_later(SWEEP_S, self._sweep)

    def belong_to(self, owner: SiteOwner) -> None:
        """Who hears of attempts; said once, before the first route."""
        self._owner = owner
        if self._local is not None:
            self._local.belong_to(owner)

    def use_local(self, local: LocalSite) -> None:
        """What takes the mail for our own domains; said once, before `belong_to`."""
        self._local = local

    def use_tasks(self, make: Callable[[SiteOwner, Route], TaskSite]) -> None:
        """What makes a site for a route that needs no connection."""
        self._make_tasks = make

    def for_route(self, route: Route) -> Site | LocalSite | TaskSite:
        """The site that *route* leads to."""
        if route.transport == "local":
            assert self._local is not None, "use_local comes first"
            return self._local
        if route.transport in ("pipe", "mbox"):
            return self._tasks_for(route)
        key = (route.source, route.transport, route.site)
        site = self._sites.get(key)
        if site is None:
            assert self._owner is not None, "belong_to comes first"
            site = self._sites[key] = Site(self._owner, route, self._settings, self._make_pool)
        else:
            site.use_route(route)
        return site

    def _tasks_for(self, route: Route) -> TaskSite:
        site = self._task_sites.get(route.site)
        if site is None:
            assert self._owner is not None, "belong_to comes first"
            assert self._make_tasks is not None, "use_tasks comes first"
            # Kept for ever: there is one for each table of the configuration.
            site = self._task_sites[route.site] = self._make_tasks(self._owner, route)
        return site

    def __iter__(self) -> Iterator[Site]:
        return iter(tuple(self._sites.values()))

    @property
    def has_room(self) -> bool:
        """Whether all sites together have fewer connections than they may."""
        return self._open.total < self._settings.connections_max

    def find(self, name: str) -> list[Site]:
        """The sites of that name, over all sources and transports."""
        return [site for site in self if site.route.site == name]

    async def close(self) -> None:
        """Close all connections; deliveries in flight end with 4yz."""
        self._timer.cancel()
        await asyncio.gather(*(site.close() for site in (*self, *self._task_sites.values())))
        if self._local is not None:
            await self._local.close()

    def _make_pool(self, site: Site, route: Route) -> ConnectionPool:
        return ConnectionPool(
            site,
            route,
            self._settings,
            hello_name=self._hello_name,
            contexts=self._contexts,
            count=self._open,
        )

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(SWEEP_S, self._sweep)
        now_s = self._loop.time()
        for key, site in tuple(self._sites.items()):
            site.sweep(now_s)
            if site.is_unused and not site.suspended_for_s() and now_s - site.used_at_s > UNUSED_S_MAX:
                del self._sites[key]
