"""
Workers and supervisors that are killed: nothing that got its 250 is lost, and who can go on does.
"""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path
from random import Random

import pytest

from pymta.runtime.restarts import FAILURES_MAX, STEADY_S, WAIT_S_MAX, Restarts
from pymta.selfcheck.swarm import Sent, Swarm
from tests.crash.hop import Hop
from tests.partners.pymta import Pymta, next_hop
from tests.partners.smtp_tools import Sink
from tests.partners.waiting import wait_until
from tests.workers.test_workers import metric, send

KILLS = 6


def workers_of(server: Pymta) -> list[int]:
    """Process ids, in order of number, when all are there."""
    wait_running(server)
    pids = [worker.pid for worker in server.control.status().workers]
    assert all(pids), "0 would be ourselves"
    return pids


def wait_running(server: Pymta) -> None:
    """Return when all workers are."""
    wait_until(
        lambda: all(worker.state == "running" for worker in server.control.status().workers) or None,
        "all workers are running",
        limit_s=60,  # who was killed several times in a row waits longer each time
    )


def is_gone(pid: int) -> bool:
    """Whether no such process runs; one that nobody has waited for is gone, too."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


async def load_and_kill(server: Pymta, sent: Sent, random: Random, kills: int) -> None:
    """Load without end, killing one worker after another."""
    for number in range(kills):
        swarm = Swarm(server.port, f"{number}", sent, random)
        running = asyncio.create_task(swarm.run())
        await asyncio.wait_for(swarm.first_accepted.wait(), 20)
        await asyncio.sleep(random.uniform(0.05, 0.5))
        victim = random.choice(await asyncio.to_thread(workers_of, server))
        os.kill(victim, signal.SIGKILL)
        await asyncio.to_thread(wait_running, server)
        swarm.stop()
        await asyncio.wait_for(running, 30)


def kill_under_load(folder: Path, hop: Hop, random: Random, kills: int) -> None:
    """Two workers, each as likely to be killed, and what has to hold then."""
    server = Pymta(
        folder,
        routes=[next_hop(hop.port)],
        queue={"retry_s_min": 1, "retry_s_max": 1},
        delivery={"connections_per_site_max": 8},
        spool={"segment_octets": 2 << 20, "spill_octets": 64 << 10},
        server={"workers": 2},
        http=True,
    )
    sent = Sent()
    try:
        asyncio.run(load_and_kill(server, sent, random, kills))
        server.wait_queue_empty(limit_s=60)
        restarts = [worker.restarts for worker in server.control.status().workers]
        counted = metric(server, "pymta_messages_accepted_total")
    finally:
        server.kill() if sys.exc_info()[0] else server.stop()

    arrivals = hop.arrivals.read()
    assert [] == arrivals.damaged
    assert set() == sent.accepted - arrivals.by_key.keys()
    assert arrivals.by_key.keys() <= sent.accepted | sent.unanswered
    assert kills == sum(restarts)
    assert kills * 5 < sent.messages_accepted, "hardly any load"
    # What a worker counted within its last second died with it; the rest is kept, so no counter ever goes back.
    assert 0 < counted <= sent.messages_accepted + len(sent.unanswered)
    server.log()  # each line is whole, also that of a worker that died while it wrote
    assert [] == server.events("trouble")


@pytest.mark.timeout(180)
def test_a_killed_worker_is_started_again_and_loses_nothing(tmp_path: Path, hop: Hop, random: Random) -> None:
    kill_under_load(tmp_path / "pymta", hop, random, KILLS)


@pytest.mark.soak
@pytest.mark.timeout(180)
@pytest.mark.parametrize("number", range(40))
def test_killed_workers_lose_nothing_again_and_again(
    tmp_path: Path, hop: Hop, random: Random, number: int
) -> None:
    kill_under_load(tmp_path / "pymta", hop, random, KILLS)


def test_numbers_of_a_worker_that_died_stay_in_the_sum(tmp_path: Path, sink: Sink) -> None:
    with Pymta(tmp_path / "pymta", routes=[next_hop(sink.port)], server={"workers": 2}, http=True) as server:
        send(server, 12)
        wait_until(lambda: 12 == metric(server, "pymta_messages_accepted_total") or None, "all are counted")
        for pid in workers_of(server):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: 2 == metric(server, "pymta_worker_restarts_total") or None, "both are noticed")
        assert 12 == metric(server, "pymta_messages_accepted_total")
        wait_running(server)
        assert 12 == metric(server, "pymta_messages_accepted_total")
        assert 0 == metric(server, "pymta_connections_open")


def test_clients_wait_for_a_worker_that_is_started_again(tmp_path: Path, sink: Sink) -> None:
    """
    The supervisor keeps its sockets: a connection that the kernel gives to the dead one is not refused.
    """
    with Pymta(tmp_path / "pymta", routes=[next_hop(sink.port)], server={"workers": 2}) as server:
        for pid in workers_of(server):
            os.kill(pid, signal.SIGKILL)
        send(server, 8)
        wait_until(lambda: 8 == sink.count() or None, "all arrive")


def test_a_reload_reaches_a_worker_that_is_started_after_it(tmp_path: Path, sink: Sink) -> None:
    """
    What has been read by all is what a new one gets, whatever is in the file by then.
    """
    with Pymta(tmp_path / "pymta", routes=[next_hop(sink.port)], server={"workers": 2}) as server:
        server.configure(limits={"message_octets_max": 1000})
        server.reload()
        server.config_file.write_text("not usable = ")
        for pid in workers_of(server):
            os.kill(pid, signal.SIGKILL)
        wait_running(server)
        for _ in range(6):
            with server.client() as client:
                client.ehlo()
                assert "1000" == client.esmtp_features["size"]


def test_when_the_supervisor_is_killed_its_workers_end_and_the_next_start_finds_all(
    tmp_path: Path, sink: Sink
) -> None:
    server = Pymta(tmp_path / "pymta", routes=[next_hop(sink.port)], server={"workers": 2})
    try:
        workers = workers_of(server)
        send(server, 10)
        server.kill()
        wait_until(lambda: all(map(is_gone, workers)) or None, "the workers have ended")
        server.start()
        server.wait_queue_empty()
        assert 10 <= sink.count()
    finally:
        server.stop()


def test_a_worker_that_is_told_to_stop_is_started_again(tmp_path: Path, sink: Sink) -> None:
    with Pymta(tmp_path / "pymta", routes=[next_hop(sink.port)], server={"workers": 2}) as server:
        before = workers_of(server)
        os.kill(before[0], signal.SIGTERM)
        line = server.wait_event("admin", action="worker ended")
        assert re.match(r"worker 1 ended with status 0 after .* started again in 0\.5 s", line["detail"])
        wait_running(server)
        assert before[1] == workers_of(server)[1]
        assert before[0] != workers_of(server)[0]


def test_a_worker_that_cannot_begin_ends_the_start_with_its_reason(tmp_path: Path) -> None:
    server = Pymta(tmp_path / "pymta", policy="import no_such_module", server={"workers": 2}, start=False)

    with pytest.raises(AssertionError, match="no_such_module"):
        server.start()
    assert 1 == server.wait_ended()


def test_who_dies_at_once_waits_longer_each_time_and_at_last_for_ever() -> None:
    restarts = Restarts()

    waits = [restarts.wait_s(0.1) for _ in range(FAILURES_MAX + 1)]
    assert [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, WAIT_S_MAX, WAIT_S_MAX, None] == waits
    assert FAILURES_MAX == restarts.count


def test_who_ran_long_enough_starts_with_a_clean_slate() -> None:
    restarts = Restarts()
    for _ in range(FAILURES_MAX):
        restarts.wait_s(0.1)

    assert 0.5 == restarts.wait_s(STEADY_S)
