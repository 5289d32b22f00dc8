"""
Where mail goes, decided by a real DNS server: MX in their order, fail-over, and what has no way at all.

The router's own cases are tests/route; here a message follows its answer.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.our_sink import OurSink
from tests.partners.dns import Knot
from tests.partners.ports import free_port
from tests.partners.pymta import Pymta, next_hop

HELLO = "Subject: hello\r\n\r\nhello\r\n"

ZONE = """\
ordered MX 20 second
ordered MX 10 first
broken MX 10 nobody
broken MX 20 second
implicit A 127.0.0.2
null MX 0 .
loop MX 10 mail.example.test.
loop MX 20 second
alias CNAME ordered
nowhere TXT "no address, no MX"
first A 127.0.0.2
second A 127.0.0.3
nobody A 127.0.0.4
"""


@pytest.fixture
def knot(tmp_path: Path) -> Any:
    (tmp_path / "knot").mkdir()
    with Knot(tmp_path / "knot", {"example.test": ZONE}, broken=("servfail.test",)) as running:
        yield running


def start_with(
    knot: Knot, start_pymta: Callable[..., Pymta], mx_port: int, authors: OurSink, **sections: Any
) -> Pymta:
    return start_pymta(
        routes=[next_hop(authors.port, "example.net")],
        dns={"resolvers": [f"127.0.0.1:{knot.port}"]},
        routing={"mx_port": mx_port},
        delivery={"tls": "none"},
        **sections,
    )


def send(server: Pymta, *forward_paths: str) -> None:
    with server.client() as client:
        client.sendmail("author@example.net", list(forward_paths), HELLO)


def test_mail_follows_the_mx_records(
    knot: Knot, start_pymta: Callable[..., Pymta], start_sink: Callable[..., OurSink]
) -> None:
    """
    The best preference first, the next where nobody listens; an address where there is no MX; an alias to its name.
    """
    first = start_sink(host="127.0.0.2")
    second = start_sink(host="127.0.0.3", port=first.port)
    server = start_with(knot, start_pymta, first.port, second)

    send(server, "a@ordered.example.test")
    assert ["a@ordered.example.test"] == first.wait(1)[0].forward_paths
    send(server, "b@broken.example.test")
    assert ["b@broken.example.test"] == second.wait(1)[0].forward_paths
    send(server, "c@implicit.example.test", "d@alias.example.test")
    first.wait_for(1, "c@implicit.example.test")
    first.wait_for(1, "d@alias.example.test")

    server.wait_queue_empty()
    attempt = server.wait_event("attempt", forward_path="b@broken.example.test")
    assert f"second.example.test[127.0.0.3]:{first.port}" == attempt["next_hop"].replace("test.[", "test[")
    assert 3 == len(second.messages) + len(first.messages) - 1
    assert first.connection_count + second.connection_count <= 4


def test_what_the_dns_rules_out_fails_and_what_it_cannot_tell_waits(
    knot: Knot, start_pymta: Callable[..., Pymta], our_sink: OurSink
) -> None:
    """
    Null MX, no such domain, a domain without addresses, and ourselves as the best MX: one report each, SERVFAIL none.
    """
    server = start_with(knot, start_pymta, free_port(), our_sink)
    refused = {
        "a@null.example.test": "556 5.1.10",
        "b@missing.example.test": "550 5.1.2",
        "c@nowhere.example.test": "550 5.4.4",
        "d@loop.example.test": "554 5.4.6",
    }

    send(server, *refused, "e@x.servfail.test")

    reports = our_sink.wait(1)
    told = b"".join(report.content for report in reports).decode()
    for forward_path, reply in refused.items():
        attempt = server.wait_event("attempt", forward_path=forward_path)
        assert ("failed", reply) == (attempt["outcome"], attempt["reply"][: len(reply)])
        assert f"Final-Recipient: rfc822; {forward_path}\r\n" in told
    waiting = server.wait_event("attempt", forward_path="e@x.servfail.test")
    assert ("deferred", "451 4.4.3") == (waiting["outcome"], waiting["reply"][:9])
    assert (
        "servfail" not in told.replace("e@x.servfail.test", "") or "Final-Recipient: rfc822; e@" not in told
    )
    assert ["e@x.servfail.test"] == [row.forward_path for row in server.queue()]


def test_verified_tls_checks_the_name_of_the_mx(
    knot: Knot, start_pymta: Callable[..., Pymta], start_sink: Callable[..., OurSink], authority: Any
) -> None:
    """
    The MX host's certificate is for another of the hosts: passed over for the next one, whose is its own.
    """
    issued = authority.issue("second.example.test")
    first = start_sink(host="127.0.0.2", certificate=issued)
    second = start_sink(host="127.0.0.3", port=first.port, certificate=issued)
    server = start_with(knot, start_pymta, first.port, second)
    server.configure(delivery={"tls": "verified", "ca_file": str(authority.ca_file)})
    server.restart()

    send(server, "a@ordered.example.test")

    second.wait(1)
    assert [] == first.messages


def test_a_smarthost_that_is_down_is_passed_over_and_used_again(
    start_pymta: Callable[..., Pymta], start_sink: Callable[..., OurSink]
) -> None:
    """
    All mail without a route goes to the first smarthost that answers.
    """
    dead = free_port()
    second = start_sink()
    server = start_pymta(
        routing={"smarthosts": [f"127.0.0.1:{dead}", f"127.0.0.1:{second.port}"]},
        delivery={"tls": "none", "idle_s_max": 1},
    )
    send(server, "a@one.example", "b@two.example")
    second.wait_for(1, "a@one.example")
    second.wait_for(1, "b@two.example")
    server.wait_queue_empty()

    first = start_sink(port=dead)
    # The open connection is kept while there is work, and is let go of after a second of idleness.
    server.wait_event("admin", action="ready")
    second.wait_no_connection()
    send(server, "c@three.example")

    assert ["c@three.example"] == first.wait(1)[0].forward_paths
