"""
What the reverse-path hears: a DSN where one is due, once, with the fields of RFC 3464, and none where none is wanted.

How a DSN is composed is tests/report; here it arrives where a next hop's doing sent it.
"""

from collections.abc import Callable

import pytest

from tests.e2e import dsn
from tests.e2e.our_sink import Kept, OurSink
from tests.e2e.wire import Wire
from tests.partners.ports import free_port
from tests.partners.postfix import Postfix
from tests.partners.pymta import Pymta, next_hop

CONTENT = b"Subject: hello\r\nMessage-ID: <one@example.net>\r\n\r\nthe body\r\n"
SHORT = {"retry_s_min": 1, "retry_s_max": 1}


def refusing(start_postfix: Callable[..., Postfix]) -> Postfix:
    return start_postfix(
        Postfix.next_hop, "example.test", refused={"gone@example.test": "550 5.1.1 no such user here"}
    )


def send(
    server: Pymta,
    *forward_paths: str,
    reverse_path: str = "author@example.net",
    parameters: str = "",
    recipient_parameters: str = "",
) -> None:
    with Wire(server.port) as client:
        client.envelope(
            *forward_paths,
            reverse_path=reverse_path,
            parameters=parameters,
            recipient_parameters=recipient_parameters,
        )
        assert 250 == client.data(CONTENT)[0]


def test_a_refusal_of_postfix_comes_back_as_a_dsn(
    start_pymta: Callable[..., Pymta], start_postfix: Callable[..., Postfix], our_sink: OurSink
) -> None:
    """
    Every field of RFC 3464 that we have something to say in, from Postfix's own words; ENVID and ORCPT as they were given.
    """
    postfix = refusing(start_postfix)
    server = start_pymta(routes=[next_hop(our_sink.port, "example.net"), next_hop(postfix.port)])

    send(
        server,
        "gone@example.test",
        parameters="RET=HDRS ENVID=QQ+2B314159",
        recipient_parameters="NOTIFY=FAILURE,DELAY ORCPT=rfc822;Old+2BName@example.org",
    )

    (kept,) = our_sink.wait(1)
    report = dsn.parse(kept)
    (recipient,) = report.of_recipients
    spool_id = server.wait_event("done", failed=1)["spool_id"]
    assert ["author@example.net"] == kept.forward_paths
    assert "NEVER" == kept.envelope.recipient(0).notify
    assert "QQ+314159" == report.of_message["Original-Envelope-Id"]
    assert "dns; mail.example.test" == report.of_message["Reporting-MTA"]
    assert "Arrival-Date" in report.of_message
    assert "rfc822; Old+Name@example.org" == recipient["Original-Recipient"]
    assert "rfc822; gone@example.test" == recipient["Final-Recipient"]
    assert ("failed", "5.1.1") == (recipient["Action"], recipient["Status"])
    assert "dns; 127.0.0.1" == recipient["Remote-MTA"]
    assert recipient["Diagnostic-Code"].startswith(
        "smtp; 550 5.1.1 <gone@example.test>: Recipient address rejected"
    )
    assert spool_id == recipient["Final-Log-ID"]
    assert "text/rfc822-headers" == report.returned_type
    assert b"Subject: hello\n" in report.returned
    assert b"the body" not in report.returned
    assert "no such user here" in report.text
    assert "auto-replied" == report.header_fields["Auto-Submitted"]
    assert "<one@example.net>" == report.header_fields["In-Reply-To"]
    logged = server.wait_event("report")
    assert (spool_id, "failed", "author@example.net") == (
        logged["about"],
        logged["action"],
        logged["forward_path"],
    )


@pytest.mark.parametrize("ret", ["RET=FULL", ""])
def test_the_whole_message_comes_back_where_it_is_asked_for_or_nothing_is_said(
    start_pymta: Callable[..., Pymta], start_postfix: Callable[..., Postfix], our_sink: OurSink, ret: str
) -> None:
    postfix = refusing(start_postfix)
    server = start_pymta(routes=[next_hop(our_sink.port, "example.net"), next_hop(postfix.port)])

    send(server, "gone@example.test", parameters=ret)

    (kept,) = our_sink.wait(1)
    report = dsn.parse(kept)
    assert "message/rfc822" == report.returned_type
    assert report.returned.startswith(b"Received: from client.example.net ")
    assert report.returned.endswith(b" +0000\n" + CONTENT.replace(b"\r\n", b"\n"))


def test_who_wants_no_report_gets_none(
    start_pymta: Callable[..., Pymta], start_postfix: Callable[..., Postfix], our_sink: OurSink
) -> None:
    """
    NOTIFY=NEVER, NOTIFY=SUCCESS, and a null reverse-path: refused by the next hop, logged, and that is all.
    """
    postfix = refusing(start_postfix)
    server = start_pymta(routes=[next_hop(our_sink.port, "example.net"), next_hop(postfix.port)])

    send(server, "gone@example.test", recipient_parameters="NOTIFY=NEVER")
    send(server, "gone@example.test", recipient_parameters="NOTIFY=SUCCESS,DELAY")
    send(server, "gone@example.test", reverse_path="")
    server.wait_events(3, "done", failed=1)
    send(server, "end@example.net")  # what comes after has overtaken nothing

    our_sink.wait_for(1, "end@example.net")
    server.wait_queue_empty()
    assert 1 == len(our_sink.messages)
    server.stop()
    assert [] == server.events("report")


def test_a_report_that_cannot_be_delivered_is_the_end(
    start_pymta: Callable[..., Pymta],
    start_postfix: Callable[..., Postfix],
    start_sink: Callable[..., OurSink],
) -> None:
    """
    The author's host refuses the DSN: it failed, and causes no mail.
    """
    postfix = refusing(start_postfix)
    authors = start_sink()
    authors.behave(refused_share=1.0)
    server = start_pymta(routes=[next_hop(authors.port, "example.net"), next_hop(postfix.port)])

    send(server, "gone@example.test")

    server.wait_events(2, "done", failed=1)
    server.wait_queue_empty()
    server.stop()
    assert 1 == len(server.events("report"))
    assert 2 == len(server.events("accept"))


def test_success_is_reported_by_the_last_host_that_can(
    start_pymta: Callable[..., Pymta], start_postfix: Callable[..., Postfix], our_sink: OurSink
) -> None:
    """
    NOTIFY=SUCCESS is passed on to Postfix, which knows DSN and reports "delivered" through us; we report nothing.
    """
    server = start_pymta(start=False)
    postfix = start_postfix(Postfix.next_hop, "example.test", relayhost=f"[127.0.0.1]:{server.port}")
    server.configure(routes=[next_hop(our_sink.port, "example.net"), next_hop(postfix.port)])
    server.start()

    send(
        server,
        "reader@example.test",
        parameters="ENVID=abc",
        recipient_parameters="NOTIFY=SUCCESS ORCPT=rfc822;reader@example.test",
    )

    (kept,) = our_sink.wait(1)
    report = dsn.parse(kept)
    assert ("delivered", "2.0.0") == (report.of_recipients[0]["Action"], report.of_recipients[0]["Status"])
    assert "dns; postfix.test" == report.of_message["Reporting-MTA"]
    assert "abc" == report.of_message["Original-Envelope-Id"]
    server.wait_queue_empty()
    server.stop()
    assert [] == server.events("report")


def test_success_beyond_a_host_without_dsn_is_reported_as_relayed(
    start_pymta: Callable[..., Pymta], start_postfix: Callable[..., Postfix], our_sink: OurSink
) -> None:
    """
    Postfix is told not to know DSN: our own report, "relayed", for who asked and for nobody else.
    """
    postfix = start_postfix(Postfix.next_hop, "example.test", smtpd_discard_ehlo_keywords="dsn")
    server = start_pymta(routes=[next_hop(our_sink.port, "example.net"), next_hop(postfix.port)])

    send(server, "asked@example.test", recipient_parameters="NOTIFY=SUCCESS,FAILURE")
    send(server, "silent@example.test")

    (kept,) = our_sink.wait(1)
    (recipient,) = dsn.parse(kept).of_recipients
    assert ("relayed", "rfc822; asked@example.test") == (recipient["Action"], recipient["Final-Recipient"])
    assert recipient["Status"].startswith("2.")
    postfix.wait_messages(2)
    server.wait_queue_empty()
    assert 1 == len(our_sink.messages)


def test_a_stranger_gets_no_report_of_success(
    start_pymta: Callable[..., Pymta], our_sink: OurSink, start_sink: Callable[..., OurSink]
) -> None:
    """
    Row 32: whoever forges a reverse-path could else have us send mail to it for each message that we take.

    The next hop is not asked for one either; what else NOTIFY says, and what our own clients say, stays.
    """
    inside = start_sink()
    server = start_pymta(
        listener={"trusted_networks": []},
        listeners=[{"name": "trusted", "trusted_networks": ["127.0.0.0/8"]}],
        domains={"relay_domains": ["example.test"]},
        routes=[next_hop(our_sink.port, "example.net"), next_hop(inside.port)],
    )

    send(server, "both@example.test", recipient_parameters="NOTIFY=SUCCESS,FAILURE")
    send(server, "only@example.test", recipient_parameters="NOTIFY=SUCCESS")
    server.wait_events(2, "done", delivered=1)
    with Wire(server.ports["trusted"]) as client:
        client.envelope("ours@example.test", recipient_parameters="NOTIFY=SUCCESS,FAILURE")
        assert 250 == client.data(CONTENT)[0]

    notify = {kept.forward_paths[0]: kept.envelope.recipient(0).notify for kept in inside.wait(3)}
    assert "FAILURE" == notify["both@example.test"]
    assert "NEVER" == notify["only@example.test"]
    assert "SUCCESS,FAILURE" == notify["ours@example.test"]
    server.wait_queue_empty()
    server.stop()
    assert [] == server.events("report")


def test_expiry_is_a_failure_that_is_reported(
    start_pymta: Callable[..., Pymta], start_sink: Callable[..., OurSink], our_sink: OurSink
) -> None:
    """
    Deferred until its lifetime is over: one DSN with the last trouble, tried at least once more just before.
    """
    sink = start_sink()
    sink.behave(deferred_share=1.0)
    server = start_pymta(
        routes=[next_hop(our_sink.port, "example.net"), next_hop(sink.port)],
        queue={**SHORT, "lifetime_s": 2, "delay_warning_s": 0},
    )

    send(server, "reader@example.test", "other@example.test")

    (kept,) = our_sink.wait(1)
    report = dsn.parse(kept)
    assert {"rfc822; reader@example.test", "rfc822; other@example.test"} == {
        recipient["Final-Recipient"] for recipient in report.of_recipients
    }
    for recipient in report.of_recipients:
        assert ("failed", "4.7.1") == (recipient["Action"], recipient["Status"])
        assert "smtp; 451 4.7.1 sink: try again later" == recipient["Diagnostic-Code"]
    done = server.wait_event("done", expired=2)
    assert 2 <= done["age_s"] < 6
    server.wait_queue_empty()
    assert 1 == len(our_sink.messages)
    assert [] == sink.messages


def test_a_null_reverse_path_expires_in_silence(
    start_pymta: Callable[..., Pymta], start_sink: Callable[..., OurSink], our_sink: OurSink
) -> None:
    sink = start_sink()
    sink.behave(deferred_share=1.0)
    server = start_pymta(
        routes=[next_hop(our_sink.port, "example.net"), next_hop(sink.port)],
        queue={**SHORT, "report_lifetime_s": 1, "delay_warning_s": 1},
    )

    send(server, "reader@example.test", reverse_path="")

    server.wait_event("done", expired=1)
    server.wait_queue_empty()
    server.stop()
    assert [] == server.events("report")
    assert [] == our_sink.messages


def test_a_null_reverse_path_expires_in_its_own_time_while_its_site_is_suspended(
    start_pymta: Callable[..., Pymta],
) -> None:
    """
    Nothing is tried of a suspended site, and the shorter life of a report ends all the same.
    """
    server = start_pymta(
        routes=[next_hop(free_port())],
        queue={"retry_s_min": 2, "report_lifetime_s": 1},
        delivery={"suspend_after_failures": 1, "suspend_s_min": 600},
    )

    send(server, "reader@example.test", reverse_path="")

    server.wait_event("done", expired=1)


def delayed(reports: list[Kept]) -> list[dict[str, str]]:
    return [recipient for kept in reports for recipient in dsn.parse(kept).of_recipients]


def test_a_delay_is_told_once_even_over_a_restart(
    start_pymta: Callable[..., Pymta], start_sink: Callable[..., OurSink], our_sink: OurSink
) -> None:
    """
    To who wants it: not with NOTIFY=FAILURE, not again after a restart or a kill, and the message is delivered in the end.
    """
    sink = start_sink()
    sink.behave(deferred_share=1.0)
    server = start_pymta(
        routes=[next_hop(our_sink.port, "example.net"), next_hop(sink.port)],
        queue={**SHORT, "delay_warning_s": 1},
    )

    send(server, "reader@example.test", recipient_parameters="NOTIFY=DELAY")
    send(server, "other@example.test", recipient_parameters="NOTIFY=FAILURE")
    send(server, "usual@example.test")
    our_sink.wait(2)
    server.wait_queue_count(3)
    server.restart()
    attempts = len(server.events("attempt", outcome="deferred"))
    server.wait_events(attempts + 3, "attempt", outcome="deferred")
    server.kill()
    server.start()
    attempts = len(server.events("attempt", outcome="deferred"))
    server.wait_events(attempts + 3, "attempt", outcome="deferred")
    sink.behave()

    sink.wait(3)
    server.wait_queue_empty()
    told = delayed(our_sink.messages)
    assert {"rfc822; reader@example.test", "rfc822; usual@example.test"} == {
        recipient["Final-Recipient"] for recipient in told
    }
    assert 2 == len(told)
    for recipient in told:
        assert ("delayed", "4.7.1") == (recipient["Action"], recipient["Status"])
        assert "Will-Retry-Until" in recipient
