"""
The control socket: both of its sides over the real transport, and what rubbish does to it.
"""

import os
import random
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pymta.admin import unix_socket
from pymta.admin.client import ControlClient, ControlError, NotRunning
from pymta.admin.control import SOCKET_NAME, QueueQuery, Selection, SuspendRequest
from tests.cli.running import DETAIL, ID, ROW, RunningControl


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningControl]:
    with RunningControl(tmp_path) as running:
        yield running


def test_every_question_and_its_answer_round_trip(running: RunningControl) -> None:
    client = ControlClient(running.folder)
    query = QueueQuery(state="deferred", domain="example.org", after=ID, count_max=5)
    selection = Selection(reverse_path="")

    assert "1.2.3" == client.status().version
    assert [ROW] == client.list_messages(query)
    assert DETAIL == client.show(ID)
    assert 1 == client.act("hold", selection).done
    client.suspend(SuspendRequest(domain="example.org", duration_s=60))
    assert client.reload().ok
    assert "a@b.example goes to mx.example.org" == client.explain("a@b.example")["text"]
    assert [
        query,
        ("hold", selection),
        SuspendRequest(domain="example.org", duration_s=60),
    ] == running.control.asked


def test_no_is_an_answer_with_a_reason(running: RunningControl) -> None:
    client = ControlClient(running.folder)

    with pytest.raises(ControlError, match="no such message"):
        client.show("../../etc/passwd")
    with pytest.raises(ControlError, match="exactly one"):
        client.act("drop", Selection())
    with pytest.raises(ControlError, match="exactly one"):
        client.act("drop", Selection(all=True, domain="example.org"))
    with pytest.raises(ControlError, match="expected an address"):
        client.explain("nonsense")
    assert [] == running.control.asked


def test_where_nobody_listens_that_is_what_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match=str(tmp_path)):
        ControlClient(tmp_path).status()
    with pytest.raises(NotRunning):
        ControlClient(tmp_path / "none").status()
    (tmp_path / SOCKET_NAME).touch()
    with pytest.raises(NotRunning):
        ControlClient(tmp_path).status()


def test_only_its_owner_may_open_the_socket(running: RunningControl) -> None:
    mode = (running.folder / SOCKET_NAME).stat().st_mode

    assert stat.S_ISSOCK(mode)
    assert 0o600 == stat.S_IMODE(mode)


def test_the_socket_goes_with_the_server(tmp_path: Path) -> None:
    with RunningControl(tmp_path):
        pass

    assert not (tmp_path / SOCKET_NAME).exists()


def test_a_socket_that_a_crash_left_behind_is_replaced(tmp_path: Path) -> None:
    left = unix_socket.listen(tmp_path / SOCKET_NAME)
    left.close()

    with RunningControl(tmp_path) as running:
        assert 42 == ControlClient(running.folder).status().pid


def test_a_path_longer_than_the_system_takes_works(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 100) / ("b" * 100)
    folder.mkdir(parents=True)

    with RunningControl(folder):
        assert 42 == ControlClient(folder).status().pid


RUBBISH = [
    b"",
    b"\x00" * 10_000,
    b"EHLO evil\r\nMAIL FROM:<>\r\n",
    b"GET /queue?count_max=x HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /queue?colour=red HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n",
    b"POST /queue/do/drop HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{\xff\xfe}",
    b"POST /queue/do/explode HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /queue/do/drop HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{",
    b"POST /queue/do/drop HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /suspend HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n[[[[[[[[[[[[[",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]


def test_random_octets_never_hurt_the_control_socket(running: RunningControl) -> None:
    """
    Attack: local socket garbage (OpenSMTPD CVE-2025-62875). The server still answers, and nothing was done.
    """
    chance = random.Random(7)
    for octets in [*RUBBISH, *(chance.randbytes(chance.randrange(1, 5000)) for _ in range(50))]:
        connection = unix_socket.connect(running.folder / SOCKET_NAME, 5)
        try:
            connection.sendall(octets)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        except OSError:  # closed in the middle, as it may be
            pass
        finally:
            connection.close()

    assert 42 == ControlClient(running.folder).status().pid
    assert [] == running.control.asked
    assert [] == running.trouble


def test_a_body_without_end_is_refused(running: RunningControl) -> None:
    with pytest.raises(ControlError):
        ControlClient(running.folder).act("hold", Selection(spool_ids=("x" * 13,) * 400_000))
    assert 42 == ControlClient(running.folder).status().pid


def test_many_silent_connections_do_not_shut_others_out_for_long(running: RunningControl) -> None:
    """
    Bounded: beyond the limit the answer is 503, and when they leave it answers again.
    """
    silent = [unix_socket.connect(running.folder / SOCKET_NAME, 5) for _ in range(60)]
    assert 42 == ControlClient(running.folder).status().pid
    for connection in silent:
        connection.close()


def test_a_bug_of_ours_is_told_to_the_log_and_ends_one_request(running: RunningControl) -> None:
    with pytest.raises(ControlError):
        ControlClient(running.folder).explain("crash")

    assert 42 == ControlClient(running.folder).status().pid
    ((what, traceback),) = running.trouble
    assert "http request failed" == what
    assert traceback.endswith("RuntimeError: a bug of ours\n")


def test_the_umask_is_as_before(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        unix_socket.listen(tmp_path / SOCKET_NAME).close()
        assert 0o022 == os.umask(0o022)
    finally:
        os.umask(before)
