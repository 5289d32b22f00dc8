"""
Limits of several workers: clients' connections are counted together, what queues use is divided.
"""

import multiprocessing
import os
import signal
import smtplib
from pathlib import Path

import msgspec
import pytest

from pymta.app.share import share_of
from pymta.config.load import load_text
from pymta.mail.errors import ConfigError
from pymta.runtime.board import Board
from pymta.spool.shards import Place
from tests.partners.pymta import Pymta
from tests.partners.waiting import wait_until
from tests.workers.test_deaths import wait_running, workers_of

CONFIGURATION = """
[server]
hostname = "mail.example.test"
workers = {workers}
[delivery]
{delivery}
"""


def connected(server: Pymta) -> smtplib.SMTP:
    """A client that is let in, when there is room: who was refused counts until it is gone."""

    def try_once() -> smtplib.SMTP | None:
        try:
            return server.client()
        except smtplib.SMTPConnectError:
            return None

    return wait_until(try_once, "a client is let in")


def test_clients_connections_are_counted_over_all_workers(tmp_path: Path) -> None:
    limits = {"connections_max": 7}
    with Pymta(tmp_path / "pymta", server={"workers": 2}, limits=limits) as server:
        clients = [server.client() for _ in range(7)]
        for _ in range(6):
            with pytest.raises(OSError, match="too many connections"):  # smtplib's errors are
                server.client()
        clients.pop().quit()
        wait_until(lambda: 6 == server.control.status().connections_open or None, "one is gone")
        clients.append(connected(server))

        os.kill(workers_of(server)[0], signal.SIGKILL)
        wait_running(server)
        left = server.control.status().connections_open
        clients += [connected(server) for _ in range(7 - left)]
        with pytest.raises(OSError, match="too many connections"):
            server.client()
        for client in clients:
            client.close()


def test_connections_of_one_address_are_counted_over_all_workers(tmp_path: Path) -> None:
    with Pymta(
        tmp_path / "pymta",
        server={"workers": 2},
        listener={"trusted_networks": []},
        limits={"connections_per_address_max": 4},
    ) as server:
        clients = [server.client() for _ in range(4)]
        with pytest.raises(OSError, match="too many connections from your address"):
            server.client()
        for client in clients:
            client.close()


def count(fd: int, row: int, times: int) -> None:
    board = Board(fd, rows=3, row=row)
    for number in range(times):
        board.add(f"192.0.2.{number % 10}", 1)


def test_no_count_is_lost_when_processes_count_at_once() -> None:
    fd = Board.make(3)
    os.set_inheritable(fd, True)
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=count, args=(fd, row, 20_000)) for row in (1, 2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)

    board = Board(fd, rows=3, row=0)
    assert (40_001, 4_001) == board.add("192.0.2.3", 1)
    board.clear(2)
    assert (20_000, 2_000) == board.add("192.0.2.3", -1)
    os.close(fd)


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_shares_add_up_to_what_is_allowed(workers: int) -> None:
    text = CONFIGURATION.format(workers=workers, delivery="messages_per_site_per_min_max = 100")
    settings = load_text(text, base=Path("/")).settings
    shares = [share_of(settings, Place(number, workers)) for number in range(1, workers + 1)]

    for section, name in (
        ("delivery", "connections_max"),
        ("delivery", "connections_per_site_max"),
        ("delivery", "messages_per_site_per_min_max"),
        ("queue", "active_max"),
    ):
        allowed = getattr(getattr(settings, section), name)
        parts = [getattr(getattr(share, section), name) for share in shares]
        assert allowed == sum(parts)
        assert max(parts) - min(parts) <= 1
    for share in shares:
        assert share.delivery.connections_per_site_start <= share.delivery.connections_per_site_max
        assert share.queue.active_per_group_max <= share.queue.active_max
        assert share.spool.spill_octets <= share.spool.memory_octets_max
        assert share.limits == settings.limits
        assert share.server == msgspec.structs.replace(settings.server)


@pytest.mark.parametrize(
    "option", ["connections_max", "connections_per_site_max", "messages_per_site_per_min_max"]
)
def test_a_limit_that_has_not_one_for_each_worker_is_refused(option: str) -> None:
    text = CONFIGURATION.format(workers=4, delivery=f"connections_per_site_start = 1\n{option} = 3")

    with pytest.raises(ConfigError, match=rf"delivery\.{option}.*server\.workers, which is 4"):
        load_text(text, base=Path("/"))
