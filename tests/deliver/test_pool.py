"""
Opening and closing connections: from which address, and what becomes of those that are only half there.
"""

from collections.abc import AsyncIterator
from random import Random
from typing import Any, cast

import pytest

from pymta._core import QueuedMessage, Reply
from pymta.config.settings.delivery import DeliverySettings
from pymta.config.values import SourceAddress
from pymta.deliver.pool import ConnectionPool, OpenCount
from pymta.deliver.smtp import SmtpConnection
from pymta.deliver.tls_policy import ClientContexts
from pymta.mail.route import Hop, Route, TlsMode
from tests.partners.waiting import wait_until_async
from tests.queue.moody_peer import Moods, MoodyPeer


class Owner:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.free: list[SmtpConnection] = []
        self.failures: list[Reply] = []
        self.ended: list[Reply | None] = []

    def connection_free(self, connection: SmtpConnection) -> None:
        self.free.append(connection)

    def delivery_over(
        self,
        connection: SmtpConnection,
        message: QueuedMessage,
        outcomes: list[tuple[int, Reply]],
        dsn_passed: bool,
    ) -> None:
        raise AssertionError("nothing is delivered here")

    def connect_failed(self, reply: Reply) -> None:
        self.failures.append(reply)

    def connection_ended(self, reply: Reply | None) -> None:
        self.ended.append(reply)


@pytest.fixture
async def peer() -> AsyncIterator[MoodyPeer]:
    peer = MoodyPeer(Random(1), Moods())
    await peer.start()
    yield peer
    await peer.close()


def pool_to(
    peer: MoodyPeer,
    owner: Owner,
    *,
    source: str | None = None,
    contexts: Any = None,
    tls: TlsMode = TlsMode.NONE,
    **settings: Any,
) -> tuple[ConnectionPool, OpenCount]:
    count = OpenCount()
    route = Route(
        "smtp", "moody", (Hop("moody.example.test", "127.0.0.1", peer.port),), tls, source, 0, "a test"
    )
    pool = ConnectionPool(
        owner,
        route,
        DeliverySettings(**settings),
        hello_name="client.example.test",
        contexts=cast(ClientContexts, contexts or ClientContexts()),
        count=count,
    )
    return pool, count


@pytest.mark.parametrize(
    ("configured", "chosen", "expected"),
    [
        ((), None, "127.0.0.1"),
        (("2001:db8::1", "127.0.0.3"), None, "127.0.0.3"),
        (("2001:db8::1",), None, "127.0.0.1"),
        (("127.0.0.3",), "127.0.0.4", "127.0.0.4"),
    ],
    ids=["the-systems-choice", "that-of-the-family", "none-of-the-family", "the-routes"],
)
async def test_a_connection_comes_from_its_egress_address(
    peer: MoodyPeer, configured: tuple[str, ...], chosen: str | None, expected: str
) -> None:
    owner = Owner()
    pool, _ = pool_to(
        peer, owner, source=chosen, source_addresses=tuple(map(SourceAddress.parse, configured))
    )

    pool.open()
    await wait_until_async(lambda: owner.free, "it is open")
    (connection,) = peer.connections
    assert expected == connection.transport.get_extra_info("peername")[0]
    await pool.close()


async def test_an_egress_address_that_is_not_ours_defers(peer: MoodyPeer) -> None:
    owner = Owner()
    pool, count = pool_to(peer, owner, source="192.0.2.1")

    pool.open()
    await wait_until_async(lambda: owner.failures, "it has failed")
    assert (421, "4.4.1") == (owner.failures[0].code, owner.failures[0].enhanced)
    assert 0 == count.total


async def test_a_connection_that_is_half_there_ends_with_the_pool(peer: MoodyPeer) -> None:
    """
    Its greeting never comes; nobody is told of it any more, and nothing of it is left.
    """
    owner = Owner()
    peer.moods = Moods(silent=1.0)
    pool, count = pool_to(peer, owner)

    pool.open()
    await wait_until_async(lambda: peer.connections, "it is there")
    assert 1 == count.total
    await pool.close()
    await wait_until_async(lambda: not peer.connections, "it is gone")
    assert (0, [], []) == (count.total, owner.failures, owner.ended)


async def test_contexts_that_cannot_be_made_defer(peer: MoodyPeer) -> None:
    """
    Such as a file of authorities that cannot be read any more: mail waits for the operator.
    """

    class Broken:
        def for_mode(self, mode: TlsMode) -> None:
            raise OSError(13, "Permission denied")

    owner = Owner()
    pool, count = pool_to(peer, owner, contexts=Broken(), tls=TlsMode.VERIFIED)

    pool.open()
    await wait_until_async(lambda: owner.failures, "it has failed")
    assert (451, "4.3.5") == (owner.failures[0].code, owner.failures[0].enhanced)
    assert 0 == count.total


async def test_an_idle_connection_takes_its_leave(peer: MoodyPeer) -> None:
    owner = Owner()
    pool, count = pool_to(peer, owner, idle_s_max=5)

    pool.open()
    await wait_until_async(lambda: owner.free, "it is open")
    heard_at_s = owner.free[0].heard_at_s
    pool.sweep(heard_at_s + 4.9)
    assert owner.free[0].is_usable
    pool.sweep(heard_at_s + 5.1)
    await wait_until_async(lambda: owner.ended, "it is gone")
    assert [None] == owner.ended
    assert 0 == count.total
