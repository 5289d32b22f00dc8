"""
The date is set forward and back under a running server: nothing expires, nothing waits for the date to come again,
nothing spins, and all that was accepted arrives.

libfaketime sets the date of one process only. The clock that counts on is left alone, as it is by whoever sets a date.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.our_sink import OurSink
from tests.partners.program import find_program
from tests.partners.pymta import Pymta, next_hop

pytestmark = pytest.mark.timeout(240)

LIFETIME_S = 4 * 3600
RETRY_S = 1
DAYS = ("+10d", "+0", "-10d", "+400d")


@pytest.fixture
def sink() -> Iterator[OurSink]:
    with OurSink() as running:
        yield running


class Date:
    """The date of one process, as days to or from the real one."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "date"
        self.set("+0")
        find_program("faketime")
        library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, date: str) -> None:
        """`+10d`: from now on it is ten days later than it is."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{date}\n", encoding="ascii")
        fresh.replace(self._file)


def attempts(server: Pymta) -> int:
    return len(server.events("attempt", outcome="deferred"))


def deferring(folder: Path, sink: OurSink, date: Date) -> Pymta:
    """A server whose next hop defers everything."""
    sink.behave(deferred_share=1.0)
    return Pymta(
        folder / "pymta",
        routes=[next_hop(sink.port)],
        environment=date.environment,
        queue={
            "retry_s_min": RETRY_S,
            "retry_s_max": RETRY_S,
            "lifetime_s": LIFETIME_S,
            "delay_warning_s": 0,
        },
        delivery={"suspend_s_min": 1, "suspend_s_max": 1},
    )


def send(server: Pymta, number: int) -> None:
    with server.client() as client:
        client.sendmail(
            "author@example.net", [f"{number}@example.org"], f"Subject: {number}\r\n\r\nhello\r\n"
        )


def check_arrived(server: Pymta, sink: OurSink, count: int) -> None:
    arrived = sorted(path for message in sink.messages for path in message.forward_paths)
    assert [f"{number}@example.org" for number in range(count)] == arrived
    assert count == len(server.events("done", delivered=1)) == len(server.events("done"))
    assert [] == server.events("report")


def test_whatever_the_date_is_set_to_mail_is_tried_again_and_does_not_expire(
    tmp_path: Path, sink: OurSink
) -> None:
    """
    The lifetime of a message is four hours here, and the date is set by days.
    """
    date = Date(tmp_path)
    with deferring(tmp_path, sink, date) as server:
        began_s, processor_s = time.monotonic(), server.processor_s()
        for sent, day in enumerate(DAYS, start=1):
            send(server, sent - 1)
            server.wait_events(attempts(server) + sent, "attempt", outcome="deferred")
            date.set(day)
            server.wait_events(sent, "trouble", what="the clock was set")
            # Each of them at the new date, not only those that were in hand.
            server.wait_events(attempts(server) + 2 * sent, "attempt", outcome="deferred")
        share = (server.processor_s() - processor_s) / (time.monotonic() - began_s)
        assert share < 0.5, f"it spins: {share:.0%} of a processor"
        assert [] == server.events("done")
        sink.behave()
        server.wait_queue_empty()
    check_arrived(server, sink, len(DAYS))
    assert len(DAYS) == len(server.events("trouble"))


def test_what_was_put_off_to_a_date_that_was_wrong_is_tried_after_a_start(
    tmp_path: Path, sink: OurSink
) -> None:
    """
    The date was ten days ahead when the next attempt was decided; it is put right while the server is down.
    """
    date = Date(tmp_path)
    date.set("+10d")
    with deferring(tmp_path, sink, date) as server:
        send(server, 0)
        server.wait_events(2, "attempt", outcome="deferred")
        server.kill()
        date.set("+0")
        server.start()
        server.wait_events(attempts(server) + 2, "attempt", outcome="deferred")
        sink.behave()
        server.wait_queue_empty()
    check_arrived(server, sink, 1)
