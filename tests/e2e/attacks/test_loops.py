"""
Mail that makes mail (attacks.md, row 32), and names that make queries (row 29).
"""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.attacks.hop import RecordingHop
from tests.e2e.attacks.wire import codes, in_data, ready
from tests.partners.dns import Knot
from tests.partners.pymta import Pymta, next_hop
from tests.partners.waiting import wait_until

# ---- row 32 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hops", "expected"), [(50, "250 2.0.0"), (51, "554 5.4.6"), (500, "554 5.4.6")])
@pytest.mark.parametrize("name", ["Received", "RECEIVED", "received"])
def test_a_message_that_came_through_too_many_hosts_is_refused(
    attacked: Pymta, name: str, hops: int, expected: str
) -> None:
    """
    Row 32: by the number of its trace fields, however they are written.
    """
    with in_data(attacked.port) as wire:
        replies = wire.all_replies(f"{name}: from a by b; now\r\n" * hops, "\r\nx\r\n.\r\n")

    assert [expected, "221 2.0.0"] == codes(replies)


def test_two_servers_that_send_to_each_other_stop(tmp_path: Path) -> None:
    """
    Row 32: a message between them ends as a failure after a few hops, and so does the report about it.
    """
    limits = {"received_hops_max": 5}
    with (
        Pymta(tmp_path / "one", limits=limits) as one,
        Pymta(tmp_path / "other", limits=limits, routes=[next_hop(one.port)]) as other,
    ):
        one.configure(routes=[next_hop(other.port)])
        one.reload()
        with one.client() as client:
            client.sendmail("a@loop.test", ["b@loop.test"], "Subject: x\r\n\r\nx\r\n")
        failed = other.wait_event("attempt", outcome="failed", forward_path="b@loop.test")
        report = other.wait_event("report", action="failed")
        for server in (one, other):
            server.wait_queue_empty()
        accepted = len(one.events("accept")) + len(other.events("accept"))
        reports = len(one.events("report")) + len(other.events("report"))

    assert "5.4.6" in failed["reply"]
    assert "a@loop.test" == report["forward_path"]
    assert 1 == reports
    assert accepted <= 2 * (5 + 2)


def test_mail_with_a_null_reverse_path_causes_none(attacked: Pymta, hop: RecordingHop) -> None:
    """
    Row 32: refused for good by the next hop, and nobody is told; with a reverse-path one report comes, with a null one.
    """
    for reverse_path, name in (("", "nobody"), ("told@us.test", "somebody")):
        with in_data(attacked.port, reverse_path=reverse_path, forward_path=f"fail-{name}@us.test") as wire:
            wire.all_replies(
                "Return-Path: <x@us.test>\r\nErrors-To: <y@us.test>\r\nReply-To: z@us.test\r\n\r\nx\r\n.\r\n"
            )
        attacked.wait_event("done", spool_id=spool_id_of(attacked, f"fail-{name}@us.test"))
    (report,) = hop.wait_taken("RCPT TO:<told@us.test>")

    assert report.mail_line.startswith("MAIL FROM:<>")
    about = spool_id_of(attacked, "fail-nobody@us.test")
    assert [] == attacked.events("report", about=about)
    for address in ("x@us.test", "y@us.test", "z@us.test"):
        assert [] == hop.find(f"RCPT TO:<{address}>")


def test_a_report_that_cannot_be_delivered_ends_there(attacked: Pymta, hop: RecordingHop) -> None:
    """
    Row 32: the reverse-path is refused as well: one report is made, and none about it.
    """
    with in_data(attacked.port, reverse_path="fail-back@us.test", forward_path="fail-there@us.test") as wire:
        wire.all_replies("Subject: x\r\n\r\nx\r\n.\r\n")
    report = attacked.wait_event("report", forward_path="fail-back@us.test")
    done = attacked.wait_event("done", spool_id=report["spool_id"])

    assert 1 == done["failed"]
    assert 1 == len(attacked.events("report", forward_path="fail-back@us.test"))
    assert [] == attacked.events("report", about=report["spool_id"])


def test_one_report_for_many_recipients(attacked: Pymta, hop: RecordingHop) -> None:
    """
    Row 32: a hundred refused recipients of one message are one report, not a hundred.
    """
    with ready(attacked.port, reverse_path="many@us.test", forward_path="fail-0@us.test") as wire:
        recipients = "".join(f"RCPT TO:<fail-{n}@us.test>\r\n" for n in range(1, 100))
        wire.all_replies(recipients, "DATA\r\nSubject: x\r\n\r\nx\r\n.\r\n")
    (report,) = hop.wait_taken("RCPT TO:<many@us.test>")
    attacked.wait_event("done", spool_id=spool_id_of(attacked, "fail-0@us.test"))

    assert 100 == report.content.count(b"\r\nFinal-Recipient:")
    assert 1 == len(attacked.events("report", forward_path="many@us.test"))


def test_never_means_never(attacked: Pymta, hop: RecordingHop) -> None:
    """
    Row 32: NOTIFY=NEVER (RFC 3461 §4.1) is kept for failures.
    """
    with ready(attacked.port, reverse_path="never@us.test", forward_path="ok-never@us.test") as wire:
        assert wire.ask("RCPT TO:<fail-never@us.test> NOTIFY=NEVER").startswith("250 ")
        wire.all_replies("DATA\r\nSubject: x\r\n\r\nx\r\n.\r\n")
    attacked.wait_event("done", spool_id=spool_id_of(attacked, "ok-never@us.test"))

    assert [] == attacked.events("report", forward_path="never@us.test")


def spool_id_of(server: Pymta, forward_path: str) -> str:
    """The message whose first recipient that is."""
    return str(server.wait_event("accept", forward_path=forward_path)["spool_id"])


# ---- row 29 --------------------------------------------------------------------------------------------------------

MX_HOSTS, ADDRESSES = 500, 50


class Counted:
    """A port of 127.0.0.1 that counts who connects, and hangs up."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.count = 0
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()

    def _count(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.count += 1
            connection.close()

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def counted() -> Iterator[Counted]:
    running = Counted()
    yield running
    running.close()


def waiting_count(server: Pymta) -> int:
    """How many messages are not to be tried now: after a try, or since they came while their site was suspended."""
    now_ms = time.time() * 1000
    return sum(row.state in ("incoming", "deferred") and row.due_ms > now_ms for row in server.queue())


def test_a_domain_of_very_many_hosts_costs_few_queries_and_connections(
    folder: Path, tmp_path: Path, counted: Counted
) -> None:
    """
    Row 29: 500 MX hosts of 50 addresses each, in a real DNS server that counts; ten messages ask no more than one.
    """
    zone = "".join(f"@ MX {10 + host} h{host}\n" for host in range(MX_HOSTS))
    zone += "".join(
        f"h{host} A 127.1.{host % 250}.{1 + n}\n" for host in range(MX_HOSTS) for n in range(ADDRESSES)
    )
    zone += "".join(f"one MX {10 + host} o{host}\no{host} A 127.0.0.1\n" for host in range(MX_HOSTS))
    zone += "loop CNAME loop2\nloop2 CNAME loop\nc100 MX 1 h0\n"
    zone += "".join(f"c{n} CNAME c{n + 1}\n" for n in range(100))
    domains = ("many.test", "loop.many.test", "c0.many.test")
    (tmp_path / "knot").mkdir()
    with (
        Knot(tmp_path / "knot", {"many.test": zone}) as knot,
        Pymta(
            folder,
            dns={"resolvers": [f"{knot.address}:{knot.port}"]},
            routing={"mx_port": counted.port},
            delivery={"tls": "none", "connect_s_max": 2},
        ) as server,
    ):
        before = knot.query_count()
        with server.client() as client:
            for domain in domains:
                for n in range(10):
                    client.sendmail("a@example.net", [f"b{n}@{domain}"], "Subject: x\r\n\r\nx\r\n")
        # A site that cannot be reached is suspended soon: not each of its messages is tried.
        wait_until(lambda: waiting_count(server) == 30 or None, "all messages wait for another try")
        server.wait_event("attempt", forward_path="b9@c0.many.test")
        queries = knot.query_count() - before
        assert {"deferred"} == {attempt["outcome"] for attempt in server.events("attempt")}
        assert 0 == counted.count
        with server.client() as client:
            client.sendmail("a@example.net", ["b@one.many.test"], "Subject: x\r\n\r\nx\r\n")
        server.wait_event("attempt", forward_path="b@one.many.test", outcome="deferred")

    # One for MX, A and AAAA of twenty hosts; over TCP once more where UDP was too small; and the chains of aliases.
    assert queries <= 2 * (1 + 2 * 20) + 2 * 3 * 16, queries
    # Each of five hosts is tried once, and once more with HELO: it hung up on EHLO.
    assert 5 <= counted.count <= 2 * 5
