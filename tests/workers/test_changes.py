"""
Another number of workers at the next start: nothing is lost, and what no longer has a worker is drained.
"""

from pathlib import Path

import pytest

from pymta._core import Spool
from pymta.cli.spool_format import segment_files
from pymta.spool import shards
from pymta.spool.shards import Place
from tests.partners.ports import free_port
from tests.partners.pymta import Pymta, next_hop
from tests.partners.smtp_tools import Sink
from tests.partners.waiting import wait_until
from tests.workers.test_workers import send

MESSAGES = 30
SLOW = {"retry_s_min": 1, "retry_s_max": 1}


def with_messages(folder: Path, workers: int) -> Pymta:
    """A stopped server in whose shards messages wait for a next hop that is not there."""
    server = Pymta(
        folder,
        routes=[next_hop(free_port())],
        server={"workers": workers},
        queue=SLOW,
        delivery={"suspend_after_failures": 1000},
    )
    send(server, MESSAGES)
    wait_until(
        lambda: MESSAGES == len(server.queue(state="deferred")) or None, "all are deferred", limit_s=60
    )
    assert 0 == server.stop()
    return server


def folders(server: Pymta) -> list[int]:
    return shards.existing(server.data)


@pytest.mark.timeout(180)
def test_from_three_workers_to_one_everything_arrives_and_the_other_shards_go(
    tmp_path: Path, sink: Sink
) -> None:
    server = with_messages(tmp_path / "pymta", 3)
    assert [1, 2, 3] == folders(server)
    left = [list(segment_files(shards.folder_of(server.data, shard))) for shard in (2, 3)]
    assert all(left)

    server.configure(routes=[next_hop(sink.port)], server={"workers": 1})
    server.start()
    with server:
        assert MESSAGES >= len(server.queue())
        wait_until(lambda: MESSAGES == sink.count() or None, "all arrive", limit_s=60)
        wait_until(lambda: [1] == folders(server) or None, "the shards are removed", limit_s=60)
        assert MESSAGES == len(
            {line["spool_id"] for line in server.wait_events(MESSAGES, "done", limit_s=60)}
        )
        assert [2, 3] == sorted(
            int(line["detail"][-1]) for line in server.wait_events(2, "admin", action="shard drained")
        )
        assert [] == server.events("trouble")
        send(server, 1)
        wait_until(lambda: MESSAGES + 1 == sink.count() or None, "new mail arrives", limit_s=60)


def test_an_operator_sees_what_is_in_a_shard_without_a_worker(tmp_path: Path) -> None:
    server = with_messages(tmp_path / "pymta", 2)
    whole = {row.spool_id for row in server_rows(server)}

    assert MESSAGES == len(whole)


def server_rows(server: Pymta) -> list[object]:
    server.configure(server={"workers": 1})
    server.start()
    with server:
        rows = server.queue()
        assert all(server.control.show(row.spool_id).spool_id == row.spool_id for row in rows)
        return list(rows)


@pytest.mark.timeout(180)
def test_from_one_to_three_and_back_to_two_nothing_is_lost(tmp_path: Path, sink: Sink) -> None:
    server = with_messages(tmp_path / "pymta", 1)
    server.configure(server={"workers": 3})
    server.start()
    sent = send(server, MESSAGES)
    assert 0 == server.stop()
    server.configure(server={"workers": 2}, routes=[next_hop(sink.port)])
    server.start()
    with server:
        wait_until(lambda: 2 * MESSAGES == sink.count() or None, "all arrive", limit_s=60)
        wait_until(lambda: [1, 2] == folders(server) or None, "the third shard is removed", limit_s=60)
        assert sent <= {line["spool_id"] for line in server.wait_events(2 * MESSAGES, "done", limit_s=60)}


def test_a_shard_that_somebody_has_open_is_not_opened_by_another(tmp_path: Path) -> None:
    server = with_messages(tmp_path / "pymta", 2)
    server.configure(server={"workers": 1})
    spool = Spool(str(shards.folder_of(server.data, 2)), now_ms=1)
    try:
        with pytest.raises(AssertionError, match="in use"):
            server.start()
    finally:
        spool.close()
        del spool  # the lock goes with it
    server.start()
    with server:
        assert MESSAGES == len(server.queue())


def test_each_shard_without_a_worker_is_one_workers() -> None:
    there = list(range(1, 12))
    for count in range(1, 12):
        mine = [Place(number, count).left_over(there) for number in range(1, count + 1)]
        assert list(range(count + 1, 12)) == sorted(shard for some in mine for shard in some)
        assert max(map(len, mine)) - min(map(len, mine)) <= 1


def test_a_removal_that_a_crash_interrupted_is_finished(tmp_path: Path) -> None:
    half = tmp_path / "spool-3.removed"
    (half / "segments").mkdir(parents=True)
    (half / "segments" / "00000001.seg").touch()

    assert [] == shards.existing(tmp_path)
    shards.finish_removals(tmp_path)
    assert not half.exists()


def test_a_shard_that_keeps_damaged_parts_is_not_removed(tmp_path: Path) -> None:
    kept = tmp_path / "spool-2"
    (kept / "corrupt").mkdir(parents=True)
    (kept / "corrupt" / "x").touch()

    assert not shards.remove(kept)
    assert (kept / "corrupt" / "x").exists()
