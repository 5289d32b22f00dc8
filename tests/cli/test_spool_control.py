"""
What an operator means by a domain: whoever of a message's recipients is still to be tried there.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pymta._core import Envelope, IncomingMessage, Spool
from pymta.admin.control import QueueQuery, Selection
from pymta.admin.spool_control import SpoolControl
from pymta.observe.trace import Trace
from tests.partners.waiting import wait_until

NOW_MS = 1_795_000_000_000
ONE, TWO = "a@one.test", "b@Two.test"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(str(tmp_path / "spool"), now_ms=NOW_MS)
    yield spool
    spool.close()


@pytest.fixture
def ids(spool: Spool) -> list[str]:
    """Three messages: for one domain, for both, for the other."""
    for recipients in ([ONE], [ONE, TWO], [TWO]):
        incoming = IncomingMessage.from_content(spool, Envelope("author@example.test", recipients), b"\r\n")
        incoming.commit(NOW_MS, due_ms=NOW_MS)
    wait_until(lambda: spool.stats()["commits"] == 3, "all are committed")
    return [row[0] for row in spool.list()]


@pytest.fixture
def control(spool: Spool) -> SpoolControl:
    return SpoolControl(spool, trace=Trace(), now_ms=lambda: NOW_MS, wake=lambda: None)


@pytest.mark.parametrize(
    ("domain", "expected"), [("one.test", [0, 1]), ("TWO.test", [1, 2]), ("no.test", [])]
)
async def test_a_list_for_a_domain_has_all_that_wait_for_it(
    control: SpoolControl, ids: list[str], domain: str, expected: list[int]
) -> None:
    rows = await control.list_messages(QueueQuery(domain=domain))

    assert [ids[number] for number in expected] == [row.spool_id for row in rows]
    page = await control.list_messages(QueueQuery(domain=domain, after=ids[0], count_max=1))
    assert [ids[number] for number in expected if number > 0][:1] == [row.spool_id for row in page]


async def test_a_recipient_that_has_ended_counts_no_more(
    control: SpoolControl, spool: Spool, ids: list[str]
) -> None:
    taken = spool.take_due(NOW_MS, 10, 10)
    wait_until(lambda: taken.extend(spool.loaded()) or len(taken) == 3, "all are in hand")
    for message in taken:
        delivered = [(0, "delivered", "250 ok")] if message.id == ids[1] else []
        spool.settle(message.id, delivered, NOW_MS)  # type: ignore[arg-type]  # it is the literal

    assert [ids[0]] == [row.spool_id for row in await control.list_messages(QueueQuery(domain="one.test"))]


async def test_hold_and_release_go_for_all_that_wait_for_a_domain(
    control: SpoolControl, spool: Spool, ids: list[str]
) -> None:
    result = await control.act("hold", Selection(domain="two.test"))

    assert (2, ()) == (result.done, result.refused)
    assert ["incoming", "hold", "hold"] == [row[1] for row in spool.list()]
    assert 2 == (await control.act("release", Selection(domain="two.test"))).done


async def test_drop_spares_what_waits_for_another_domain_as_well(
    control: SpoolControl, spool: Spool, ids: list[str]
) -> None:
    """
    A message is dropped as a whole: for a domain only where nobody else would lose it. Named by its id, it goes.
    """
    result = await control.act("drop", Selection(domain="two.test"))

    assert (1, (ids[1],)) == (result.done, result.refused)
    assert ids[:2] == [row[0] for row in spool.list()]
    assert 1 == (await control.act("drop", Selection(spool_ids=(ids[1],)))).done
