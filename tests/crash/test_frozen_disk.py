"""
A file system on which even open and write stand still, with all of the server's files on it, the log among them.
"""

import smtplib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.filesystem import FileSystem, file_system
from tests.crash.hop import Hop
from tests.crash.loaded import start
from tests.partners.pymta import Pymta
from tests.partners.waiting import wait_until

CONTENT = "Subject: hello\r\n\r\nhello\r\n"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FileSystem]:
    with file_system(tmp_path) as made:
        yield made


def send(server: Pymta, number: int) -> None:
    with server.client() as client:
        client.sendmail("author@example.net", [f"{number}@example.org"], CONTENT)


def comes_back(server: Pymta) -> bool:
    """What a client does that heard 451; whether it was taken now."""
    try:
        send(server, 2)
    except smtplib.SMTPResponseException:
        return False
    return True


@pytest.mark.timeout(120)
def test_a_frozen_disk_costs_a_451_in_time_and_holds_up_nobody_else(
    tmp_path: Path, disk: FileSystem, hop: Hop
) -> None:
    server = start(disk.folder / "pymta", hop, limits={"commit_s_max": 1})
    try:
        send(server, 0)
        with disk.frozen():
            began_s = time.monotonic()
            with pytest.raises(smtplib.SMTPDataError, match=r"451.*could not be stored"):
                send(server, 1)
            assert time.monotonic() - began_s < 15
            with server.client(timeout_s=5) as other:
                assert 250 == other.ehlo()[0]
                assert (451, b"4.3.0 storage is busy, try again later") == other.docmd("MAIL FROM:<>")
        wait_until(lambda: comes_back(server), "new mail is taken again", limit_s=30)
        server.wait_event("done", delivered=1)
        server.wait_queue_empty()
        assert 0 == server.stop()
    except BaseException:
        server.kill()
        raise
    taken = {event["forward_path"] for event in server.events("accept")}
    assert {"0@example.org", "2@example.org"} == taken
