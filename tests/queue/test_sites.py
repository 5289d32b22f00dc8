"""
All sites together: how many connections they have, when they are forgotten.
"""

import asyncio
from random import Random

from pymta._core import QueuedMessage
from pymta.config.settings.delivery import DeliverySettings
from pymta.deliver.tls_policy import ClientContexts
from pymta.mail.route import Hop, Route, TlsMode
from pymta.queue.round import Delivery, Round
from pymta.queue.sites import SiteTable
from pymta.runtime.loop import loop_factory
from tests.partners.waiting import wait_until_async
from tests.queue.moody_peer import Moods, MoodyPeer
from tests.queue.test_site_histories import Owner


class OwnerOfAll(Owner):
    """As the manager: whether there is room is the table's to say."""

    def __init__(self, sites: SiteTable) -> None:
        super().__init__()
        self._sites = sites

    def may_open_more(self) -> bool:
        return self._sites.has_room


def test_all_sites_together_have_no_more_connections_than_they_may(messages: list[QueuedMessage]) -> None:
    """
    Also when all of them want some at the same moment; it was looked at once a second.
    """

    async def deliver() -> int:
        peer = MoodyPeer(Random(1), Moods(slow=1.0))
        await peer.start()
        settings = DeliverySettings(connections_max=12, connections_per_site_start=20)
        sites = SiteTable(settings, hello_name="client.example.test", contexts=ClientContexts())
        owner = OwnerOfAll(sites)
        sites.belong_to(owner)
        hops = (Hop("moody.example.test", "127.0.0.1", peer.port),)
        for name in ("one", "two", "three"):
            route = Route("smtp", name, hops, TlsMode.NONE, None, 0, "a test")
            for _ in range(30):
                round_ = Round(messages[0])
                round_.outstanding = 1
                sites.for_route(route).put(Delivery(round_, route, [0]))
        await wait_until_async(lambda: owner.concluded.total() == 90, "all is concluded")
        await sites.close()
        await wait_until_async(lambda: not peer.connections, "the connections are closed")
        await peer.close()
        return peer.connections_max

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        assert 12 == runner.run(deliver())
