"""
Several workers as one server: who looks from outside sees one queue, one log, one set of numbers.

Deaths are test_deaths.py, other numbers of workers at the next start are test_changes.py.
"""

import json
import os
import re
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pymta.admin.control import Selection, SuspendRequest
from pymta.cli import command_line
from tests.partners.ports import free_port
from tests.partners.pymta import Pymta, next_hop
from tests.partners.smtp_tools import Sink
from tests.partners.waiting import wait_until

MESSAGES = 24


@pytest.fixture
def running(tmp_path: Path, sink: Sink) -> Iterator[Pymta]:
    with Pymta(tmp_path / "pymta", routes=[next_hop(sink.port)], http=True, server={"workers": 2}) as running:
        yield running


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Pymta]:
    """Two workers with messages that wait: nobody is at their next hop."""
    routes = [next_hop(free_port())]
    with Pymta(
        tmp_path / "pymta",
        routes=routes,
        server={"workers": 2},
        delivery={"suspend_after_failures": 1000},
    ) as running:
        send(running)
        wait_until(
            lambda: MESSAGES == len(running.queue(state="deferred")) or None, "all are deferred", limit_s=60
        )
        yield running


def send(server: Pymta, count: int = MESSAGES, *, domain: str = "example.org") -> set[str]:
    """Send messages, each by a connection of its own, so that every worker gets some; their spool ids."""
    spool_ids = set()
    for number in range(count):
        with server.client() as client:
            client.ehlo()
            client.mail("a@example.test")
            client.rcpt(f"b{number}@{domain}")
            code, text = client.data(b"Subject: x\r\n\r\nx\r\n")
            assert 250 == code, text
            spool_ids.add(text.split()[-1].decode())
    return spool_ids


def metric(server: Pymta, name: str) -> float:
    """One number of /metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/metrics", timeout=10) as answer:
        found = re.search(rf"^{re.escape(name)} (\S+)$", answer.read().decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_both_workers_relay_and_no_two_messages_have_one_id(running: Pymta, sink: Sink) -> None:
    spool_ids = send(running)

    running.wait_queue_empty()
    lines = running.wait_events(MESSAGES, "done")
    assert MESSAGES == len(spool_ids)
    assert {line["spool_id"] for line in lines} == spool_ids
    assert {1, 2} == {line["worker"] for line in lines}


def test_their_numbers_are_told_as_one(running: Pymta) -> None:
    send(running)

    wait_until(
        lambda: MESSAGES == metric(running, "pymta_messages_accepted_total") or None, "all are counted"
    )
    wait_until(
        lambda: MESSAGES == metric(running, "pymta_messages_done_total") or None,
        "all are counted",
        limit_s=60,
    )
    assert 2 == metric(running, 'pymta_workers{state="running"}')
    assert MESSAGES == metric(running, 'pymta_accept_s_bucket{le="+Inf"}')
    ready = urllib.request.urlopen(f"http://127.0.0.1:{running.http_port}/ready", timeout=10)
    assert b"ready\n" == ready.read()


def test_the_status_is_that_of_all(waiting: Pymta) -> None:
    status = waiting.control.status()

    assert waiting.pid == status.pid
    assert [(1, "running", 0), (2, "running", 0)] == [
        (worker.number, worker.state, worker.restarts) for worker in status.workers
    ]
    assert MESSAGES == status.spool["deferred"]
    assert 1 == len(status.listeners)
    text = CliRunner().invoke(command_line, ["status", "--data", str(waiting.data)]).output
    assert "worker 2    running" in text


def test_a_list_has_the_messages_of_all_in_order_page_by_page(waiting: Pymta) -> None:
    whole = [row.spool_id for row in waiting.queue()]

    pages, after = [], None
    while page := [row.spool_id for row in waiting.queue(count_max=7, after=after)]:
        pages.append(page)
        after = page[-1]
    assert MESSAGES == len(whole) == len(set(whole))
    assert whole == sorted(whole)
    assert whole == [spool_id for page in pages for spool_id in page]
    assert [7, 7, 7, 3] == [len(page) for page in pages]


def test_an_operator_acts_on_messages_wherever_they_are(waiting: Pymta) -> None:
    control = waiting.control
    ids = tuple(row.spool_id for row in waiting.queue())

    assert {"example.org"} == {
        row.domain for row in waiting.queue() if control.show(row.spool_id).state == "deferred"
    }
    assert MESSAGES == control.act("hold", Selection(all=True)).done
    assert MESSAGES == len(waiting.queue(state="hold"))
    result = control.act("release", Selection(spool_ids=(*ids[:10], "0000000000000")))
    assert (10, ("0000000000000",), 1) == (result.done, result.refused, result.refused_count)
    control.suspend(SuspendRequest(domain="example.org", duration_s=600))
    assert 590 < control.status().suspended_domains["example.org"] <= 600
    wait_until(lambda: 10 == len(waiting.queue(state="deferred")) or None, "what was released waits again")
    assert MESSAGES == control.act("drop", Selection(reverse_path="a@example.test")).done
    assert [] == waiting.queue()
    lines = [
        (line["action"], line.get("count", 0)) for line in waiting.wait_events(1, "admin", action="drop")
    ]
    assert [("drop", MESSAGES)] == lines, "one line for all workers"


def test_an_address_is_explained_once_for_all(waiting: Pymta) -> None:
    answer = waiting.control.explain("b@example.org")

    assert 1 == answer["text"].count("site now:")
    assert {"connections", "connections_max", "messages_ready", "suspended_s"} == answer["site_state"].keys()


def test_each_line_of_the_log_is_whole_and_names_its_worker(running: Pymta) -> None:
    send(running)
    running.wait_queue_empty()
    assert 0 == running.stop()

    lines = running.log()  # each is checked to be JSON
    ours = {"ready", "stopping", "stop"}
    assert ours == {line["action"] for line in lines if "worker" not in line}
    assert {1, 2} == {line["worker"] for line in lines if "worker" in line}


def test_a_log_that_was_moved_away_is_begun_anew_for_all(running: Pymta) -> None:
    send(running, 4)
    running.wait_events(4, "done")
    moved = running.log_file.with_name("log.1")
    running.log_file.rename(moved)
    os.kill(running.pid, signal.SIGHUP)
    wait_until(lambda: running.log_file.exists() or None, "the log is there again")

    spool_ids = send(running)
    running.wait_queue_empty()
    assert 0 == running.stop()
    lines = [json.loads(line) for line in running.log_file.read_text().splitlines()]
    assert {1, 2} == {line["worker"] for line in lines if line["verb"] == "done"}
    assert spool_ids == {line["spool_id"] for line in lines if line["verb"] == "done"}


def test_what_a_script_prints_is_a_line_of_the_log_like_any_other(tmp_path: Path) -> None:
    script = """
import sys
print('said {"time":', file=sys.stderr)
print("more", flush=True)
"""
    with Pymta(tmp_path / "pymta", policy=script, server={"workers": 2}) as server:
        lines = server.wait_events(4, "trouble", what="a worker printed")
        assert {('said {"time":', "worker 1"), ("more", "worker 2")} <= {
            (line["error"], line["where"]) for line in lines
        }


def test_a_reload_that_one_worker_refuses_is_refused_by_all(running: Pymta, tmp_path: Path) -> None:
    culprit = tmp_path / "culprit"
    culprit.write_text("0")
    script = """
import os
from pathlib import Path
from pymta.policy import refuse
if Path({culprit!r}).read_text() == str(os.getpid()):
    raise RuntimeError("not this one")
def mail(session, reverse_path, parameters):
    return refuse({text!r})
"""
    running.write_policy(script.format(culprit=str(culprit), text="first"))
    running.write_config()
    running.reload()
    assert {"first"} == refusals(running)

    culprit.write_text(str(running.control.status().workers[1].pid))
    running.write_policy(script.format(culprit=str(culprit), text="second"))
    result = running.control.reload()
    assert not result.ok
    assert "worker 2" in result.problem
    assert "not this one" in result.problem
    assert {"first"} == refusals(running)

    culprit.write_text("0")
    os.kill(running.pid, signal.SIGHUP)
    wait_until(lambda: {"second"} == refusals(running) or None, "both have the new policy")


def refusals(server: Pymta) -> set[str]:
    """What clients hear at MAIL, from every worker."""
    heard = set()
    for _ in range(12):
        with server.client() as client:
            client.ehlo()
            _, text = client.mail("a@example.test")
            heard.add(text.decode().split()[-1])
    return heard


def test_a_configuration_that_cannot_be_used_is_refused_before_any_worker_is_asked(running: Pymta) -> None:
    running.configure(queue={"retry_s_min": 100, "retry_s_max": 1})

    result = running.control.reload()
    assert not result.ok
    assert "retry_s_min" in result.problem


def test_a_second_server_at_the_same_address_or_data_is_told_so(running: Pymta, tmp_path: Path) -> None:
    second = Pymta(tmp_path / "second", server={"workers": 2}, start=False)
    second.ports["relay"] = running.port
    second.write_config()
    with pytest.raises(AssertionError, match="in use"):
        second.start()

    third = Pymta(tmp_path / "third", server={"workers": 3, "data_folder": str(running.data)}, start=False)
    with pytest.raises(AssertionError, match="in use"):
        third.start()
    assert {1, 2} == {worker.number for worker in running.control.status().workers}


def test_one_worker_is_one_process(tmp_path: Path, sink: Sink) -> None:
    with Pymta(tmp_path / "pymta", routes=[next_hop(sink.port)], server={"workers": 1}) as running:
        send(running, 2)

        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text()
        assert "" == children
        assert () == running.control.status().workers
        assert not any("worker" in line for line in running.log())
