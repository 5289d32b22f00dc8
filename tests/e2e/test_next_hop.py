"""
What a next hop may do to us: take, defer, refuse, greylist, go away. Postfix does it; the queue goes on from there.

What the reverse-path hears of it is test_reports.py's affair.
"""

from collections.abc import Callable

import pytest

from pymta.admin.control import Selection
from tests.e2e.our_sink import OurSink
from tests.e2e.wire import Wire
from tests.partners.policy_service import Greylist
from tests.partners.ports import free_port
from tests.partners.postfix import Postfix
from tests.partners.pymta import Pymta, next_hop

HELLO = "Subject: hello\r\n\r\nhello\r\n"
SHORT = {"retry_s_min": 1, "retry_s_max": 1}


def send(server: Pymta, *forward_paths: str, reverse_path: str = "author@example.net") -> None:
    with server.client() as client:
        client.sendmail(reverse_path, list(forward_paths), HELLO)


def test_postfix_defers_and_gets_the_message_when_it_takes_it(
    start_pymta: Callable[..., Pymta], start_postfix: Callable[..., Postfix], greylist: Greylist
) -> None:
    """
    Two deferrals at least, each with its words in the log, then one delivery; the queue shows the wait in between.
    """
    greylist.tries_deferred = 1_000_000
    postfix = start_postfix(Postfix.next_hop, "example.test", policy_port=greylist.port)
    server = start_pymta(routes=[next_hop(postfix.port)], queue=SHORT)

    send(server, "reader@example.test")
    first, second = server.wait_events(2, "attempt", outcome="deferred")[:2]
    (row,) = server.queue()
    greylist.tries_deferred = 0

    postfix.wait_messages(1)
    server.wait_event("done", delivered=1)
    assert "greylisted, come back" in first["reply"]
    assert "450 4.2.0" == first["reply"][:9]
    assert [1, 2] == [first["attempt"], second["attempt"]]
    assert second["age_s"] - first["age_s"] >= 0.9
    assert (1, "reader@example.test") == (row.recipients, row.forward_path)
    assert 1 == len(postfix.messages())


def test_greylisting_costs_one_retry(
    start_pymta: Callable[..., Pymta], start_postfix: Callable[..., Postfix], greylist: Greylist
) -> None:
    """
    Each recipient is deferred once by the greylist and delivered once at the second try.
    """
    postfix = start_postfix(Postfix.next_hop, "example.test", policy_port=greylist.port)
    server = start_pymta(routes=[next_hop(postfix.port)], queue=SHORT)

    send(server, "one@example.test", "two@example.test", "three@example.test")

    postfix.wait_messages(3)
    server.wait_event("done", delivered=3)
    assert {2} == set(greylist.seen.values())
    assert 3 == len(server.events("attempt", outcome="deferred"))
    assert 3 == len(postfix.messages())


def test_postfix_refuses_some_recipients_and_takes_the_others(
    start_pymta: Callable[..., Pymta], start_postfix: Callable[..., Postfix], our_sink: OurSink
) -> None:
    """
    Taken, deferred and refused in one transaction: each goes its own way, and only the deferred one stays.
    """
    postfix = start_postfix(
        Postfix.next_hop,
        "example.test",
        deferred={"later@example.test": "450 4.2.0 mailbox busy"},
        refused={"gone@example.test": "550 5.1.1 no such user"},
    )
    server = start_pymta(
        routes=[next_hop(our_sink.port, "example.net"), next_hop(postfix.port)], queue={"retry_s_min": 600}
    )

    send(server, "here@example.test", "later@example.test", "gone@example.test")

    our_sink.wait(1)
    postfix.wait_messages(1)
    attempts = server.wait_events(4, "attempt")
    outcomes = {event["forward_path"]: event["outcome"] for event in attempts}
    (row,) = server.queue()
    assert "delivered" == outcomes["here@example.test"]
    assert "deferred" == outcomes["later@example.test"]
    assert "failed" == outcomes["gone@example.test"]
    assert ("deferred", "later@example.test", 1) == (row.state, row.forward_path, row.recipients)
    shown = server.control.show(row.spool_id)
    assert {
        "here@example.test": "delivered",
        "later@example.test": "deferred",
        "gone@example.test": "failed",
    } == {recipient.forward_path: recipient.state for recipient in shown.recipients}
    log = postfix.log()
    assert 1 == log.count("client=localhost") or 1 == log.count(": client="), log


def test_a_next_hop_that_is_down_gets_its_mail_when_it_is_back(
    start_pymta: Callable[..., Pymta], start_sink: Callable[..., OurSink]
) -> None:
    """
    Nobody listens; the site is suspended in the end, and an operator's retry does not wait for that.
    """
    port = free_port()
    server = start_pymta(routes=[next_hop(port)], queue=SHORT)
    for number in range(4):
        send(server, f"reader{number}@example.test")
    server.wait_event("admin", action="suspend")
    assert {f"127.0.0.1:{port}/none"} == set(server.control.status().suspended)

    sink = start_sink(port=port)
    result = server.control.act("retry", Selection(all=True))

    assert 4 >= result.done > 0
    sink.wait(4)
    server.wait_queue_empty()
    assert 4 == len(sink.messages)
    assert {} == server.control.status().suspended


@pytest.mark.parametrize("stage", ["connect", "mail", "rcpt", "content"])
def test_a_deferral_at_any_stage_is_no_more_than_that(
    start_pymta: Callable[..., Pymta], start_sink: Callable[..., OurSink], stage: str
) -> None:
    sink = start_sink()
    sink.behave(deferred_share=1.0, stage=stage)
    server = start_pymta(routes=[next_hop(sink.port)], queue=SHORT, delivery={"suspend_s_min": 1})

    send(server, "reader@example.test", "other@example.test")
    server.wait_events(2, "attempt", outcome="deferred")
    sink.behave()

    (kept,) = sink.wait(1, limit_s=40)
    assert {"reader@example.test", "other@example.test"} == set(kept.forward_paths)
    server.wait_queue_empty()
    server.stop()
    assert [] == server.events("report")


@pytest.mark.parametrize("stage", ["mail", "rcpt", "content"])
def test_a_refusal_at_any_stage_of_a_transaction_is_final(
    start_pymta: Callable[..., Pymta], start_sink: Callable[..., OurSink], our_sink: OurSink, stage: str
) -> None:
    """
    5yz to the transaction: one try, one report. At the greeting it says nothing about the message (see below).
    """
    sink = start_sink()
    sink.behave(refused_share=1.0, stage=stage)
    server = start_pymta(routes=[next_hop(our_sink.port, "example.net"), next_hop(sink.port)], queue=SHORT)

    send(server, "reader@example.test", "other@example.test")

    our_sink.wait(1)
    done = server.wait_event("done", failed=2)
    assert [1, 1] == [
        event["attempt"] for event in server.events("attempt", spool_id=done["spool_id"], outcome="failed")
    ]
    server.wait_queue_empty()
    assert 1 == len(our_sink.messages)


def test_a_refused_greeting_defers(
    start_pymta: Callable[..., Pymta], start_sink: Callable[..., OurSink]
) -> None:
    """
    554 instead of 220 is about the host; the message is tried again.
    """
    sink = start_sink()
    sink.behave(refused_share=1.0, stage="connect")
    server = start_pymta(routes=[next_hop(sink.port)], queue=SHORT, delivery={"suspend_s_min": 1})

    send(server, "reader@example.test")
    server.wait_event("attempt", outcome="deferred")
    sink.behave()

    sink.wait(1, limit_s=40)


def test_a_loop_of_two_servers_ends_in_one_report(
    start_pymta: Callable[..., Pymta], our_sink: OurSink
) -> None:
    """
    Each thinks the other is the way: after received_hops_max turns it is refused, and the author hears of it once.
    """
    one = start_pymta(start=False, server={"hostname": "one.example.test"}, limits={"received_hops_max": 8})
    two = start_pymta(
        server={"hostname": "two.example.test"},
        routes=[next_hop(our_sink.port, "example.net"), next_hop(one.port)],
        limits={"received_hops_max": 8},
    )
    one.configure(routes=[next_hop(our_sink.port, "example.net"), next_hop(two.port)])
    one.start()

    send(one, "reader@example.test")

    (report,) = our_sink.wait(1)
    assert b"5.4.6" in report.content
    one.wait_queue_empty()
    two.wait_queue_empty()
    taken = {"forward_path": "reader@example.test"}
    one.wait_events(5, "accept", **taken)
    two.wait_events(4, "accept", **taken)
    assert (5, 4) == (len(one.events("accept", **taken)), len(two.events("accept", **taken)))
    assert 1 == len(our_sink.messages)


def test_a_server_that_is_its_own_next_hop_does_not_go_round(start_pymta: Callable[..., Pymta]) -> None:
    """
    An operator's mistake, so the mail waits until it is put right instead of being returned.
    """
    server = start_pymta(start=False)
    server.configure(routes=[next_hop(server.port)])
    server.start()

    send(server, "reader@example.test")

    attempt = server.wait_event("attempt", outcome="deferred")
    assert "is this server" in attempt["reply"]
    assert 1 == len(server.events("accept"))


def test_a_message_that_has_come_round_is_refused_at_the_door(
    start_pymta: Callable[..., Pymta], our_sink: OurSink
) -> None:
    """
    As many Received fields as allowed pass; one more is a loop.
    """
    server = start_pymta(routes=[next_hop(our_sink.port)])
    field = b"Received: from a by b; Mon, 23 Nov 2026 00:00:00 +0000\r\n"

    with Wire(server.port) as client:
        client.envelope("reader@example.test")
        assert 250 == client.data(field * 50 + b"\r\nhello\r\n")[0]
        client.envelope("reader@example.test")
        code, text = client.data(field * 51 + b"\r\nhello\r\n")

    assert (554, "5.4.6") == (code, text[:5])
    our_sink.wait(1)
