"""
A message goes all the way: from a real client through a real pymta to a real next hop.

What arrives is looked at where it arrived. Awkward messages are test_awkward_messages.py's affair.
"""

from collections.abc import Callable

from tests.e2e.our_sink import OurSink
from tests.e2e.wire import Wire
from tests.partners.postfix import Postfix
from tests.partners.pymta import Pymta, next_hop
from tests.partners.smtp_tools import Sink, smtp_source, swaks

HELLO = "Subject: hello\r\nFrom: author@example.net\r\n\r\nhello\r\n"


def test_swaks_through_pymta_to_postfix(
    start_pymta: Callable[..., Pymta], start_postfix: Callable[..., Postfix]
) -> None:
    """
    Postfix has the message with one Received field of ours above it, and swaks heard a 250 with the id that the log has.
    """
    postfix = start_postfix(Postfix.next_hop, "example.test")
    server = start_pymta(routes=[next_hop(postfix.port)])

    done = swaks(
        server.port,
        "--from",
        "author@example.net",
        "--to",
        "one@example.test,two@example.test",
        "--body",
        "hi",
    )

    assert 0 == done.exit_status, done.transcript
    spool_id = server.wait_event("done", delivered=2)["spool_id"]
    assert any(spool_id in reply for reply in done.replies)
    kept = postfix.wait_messages(2)
    for message in kept:
        received = message.lower().count(b"\nreceived: ")
        assert 2 == received, message  # Postfix's own and ours
        assert b"by mail.example.test" in message
        assert f"id {spool_id}".encode() in message
        assert b"\nhi\n" in message
    assert {b"one@example.test", b"two@example.test"} == {
        message.split(b"X-Original-To: ")[1].split(b"\n")[0] for message in kept
    }


def test_smtplib_through_pymta_to_smtp_sink(start_pymta: Callable[..., Pymta], sink: Sink) -> None:
    """
    Several messages on one connection in, one connection out, none lost.
    """
    server = start_pymta(routes=[next_hop(sink.port)])

    with server.client() as client:
        for number in range(20):
            client.sendmail("author@example.net", [f"reader{number}@example.org"], HELLO)

    server.wait_events(20, "done", delivered=1)
    assert 20 == sink.wait_count(20)
    assert 20 == server.wait_event("connect", accepted=20)["accepted"]
    server.wait_queue_empty()


def test_postfix_through_pymta_to_our_sink(
    start_pymta: Callable[..., Pymta], start_postfix: Callable[..., Postfix], our_sink: OurSink
) -> None:
    """
    Postfix as the sending host pipelines to us and passes on the DSN parameters; ours arrive as they were.
    """
    server = start_pymta(routes=[next_hop(our_sink.port)])
    postfix = start_postfix(Postfix.relay, server.port)

    with Wire(postfix.port) as client:
        client.envelope(
            "reader@example.org",
            parameters="RET=HDRS ENVID=QQ314159",
            recipient_parameters="NOTIFY=DELAY,FAILURE ORCPT=rfc822;Old@example.org",
        )
        assert 250 == client.data(b"Subject: hello\r\n\r\n..hello\r\n.\r\n")[0]

    (kept,) = our_sink.wait(1)
    recipient = kept.envelope.recipient(0)
    assert ("HDRS", "QQ314159") == (kept.envelope.ret, kept.envelope.envid)
    assert {"DELAY", "FAILURE"} == set((recipient.notify or "").split(","))
    assert "rfc822;Old@example.org" == recipient.original
    assert kept.content.endswith(b"\r\n\r\n..hello\r\n.\r\n")
    postfix.wait_log(r"status=sent \(250 2\.0\.0 queued as")


def test_a_thousand_messages_from_smtp_source_arrive_at_our_sink(
    start_pymta: Callable[..., Pymta], our_sink: OurSink
) -> None:
    server = start_pymta(routes=[next_hop(our_sink.port)])

    smtp_source(server.port, 1000, "-d", sessions=20, octets=2048)

    kept = our_sink.wait(1000)
    server.wait_queue_empty()
    assert 1000 == len(kept) == len(our_sink.messages)
    assert 1000 == len(
        {message.header_section for message in kept}
    )  # each has an id of its own in our trace field
    assert 1000 == len(server.wait_events(1000, "done", delivered=1))


def test_lmtp_delivers_with_a_reply_for_each_recipient(
    start_pymta: Callable[..., Pymta], start_sink: Callable[..., OurSink]
) -> None:
    """
    Our sink in LMTP mode refuses some recipients: each outcome is its own, the others are delivered once.
    """
    sink = start_sink(lmtp=True)
    sink.behave(refused_share=0.5, stage="rcpt", seed=7)
    authors = start_sink()
    server = start_pymta(
        routes=[next_hop(authors.port, "example.net"), next_hop(sink.port, transport="lmtp")],
    )

    with server.client() as client:
        client.sendmail("author@example.net", [f"reader{n}@example.org" for n in range(10)], HELLO)

    done = server.wait_event("done")
    attempts = [event for event in server.events("attempt") if event["transport"] == "lmtp"]
    outcomes = {event["forward_path"]: event["outcome"] for event in attempts}
    (kept,) = sink.messages
    assert 10 == len(attempts) == len(outcomes)
    assert {path for path, outcome in outcomes.items() if outcome == "delivered"} == set(kept.forward_paths)
    assert (len(kept.forward_paths), 10 - len(kept.forward_paths)) == (done["delivered"], done["failed"])
    (report,) = authors.wait(1)
    assert done["failed"] == report.content.count(b"\r\nAction: failed\r\n") > 0


def test_a_discard_route_takes_and_forgets(start_pymta: Callable[..., Pymta]) -> None:
    """
    250 for the client, one line in the log, nothing in the queue, no report.
    """
    server = start_pymta(routes=[{"domain": "example.org", "transport": "discard"}, next_hop(1)])

    with server.client() as client:
        client.sendmail("author@example.net", ["reader@example.org"], HELLO)

    attempt = server.wait_event("attempt", transport="discard")
    assert ("delivered", "reader@example.org") == (attempt["outcome"], attempt["forward_path"])
    server.wait_event("done", delivered=1)
    assert [] == server.queue()
    server.stop()
    assert [] == server.events("report")


def test_one_message_to_several_sites_is_one_message_in_the_queue(
    start_pymta: Callable[..., Pymta], start_sink: Callable[..., OurSink]
) -> None:
    """
    Each site gets its recipients; what one of them defers does not trouble the other, and leaves when it is taken.
    """
    good, bad = start_sink(), start_sink()
    bad.behave(deferred_share=1.0)
    server = start_pymta(
        routes=[next_hop(good.port, "good.example"), next_hop(bad.port, "bad.example")],
        queue={"retry_s_min": 1, "retry_s_max": 1},
    )

    with server.client() as client:
        client.sendmail("author@example.net", ["a@good.example", "b@bad.example", "c@good.example"], HELLO)

    (at_good,) = good.wait(1)
    assert ["a@good.example", "c@good.example"] == at_good.forward_paths
    server.wait_event("attempt", forward_path="b@bad.example", outcome="deferred")
    (row,) = server.queue()
    assert ("b@bad.example", 1) == (row.forward_path, row.recipients)
    bad.behave()
    (at_bad,) = bad.wait(1)
    assert ["b@bad.example"] == at_bad.forward_paths
    server.wait_queue_empty()
    assert 1 == len(good.messages)
