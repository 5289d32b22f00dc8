"""
Whole runs, against our sink in the same loop and against Postfix's smtp-sink: what was sent arrived, and what went wrong is
counted as what it was.
"""

import asyncio
import datetime
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pymta.load.generator import CONNECTING_MAX, Generator
from pymta.load.pattern import AddressPattern
from pymta.load.plan import Plan
from pymta.load.report import Report, report_of
from pymta.load.sizes import Sizes
from pymta.sink.behaviour import Behaviours
from pymta.sink.server import Sink, SinkOptions
from pymta.tls.client import verifying_context, whoever_context
from pymta.tls.server import CertificateFiles, ServerTls
from tests.partners.ca import CertificateAuthority
from tests.partners.ports import free_port
from tests.partners.smtp_tools import Sink as SmtpSink
from tests.partners.waiting import wait_until_async


@asynccontextmanager
async def running_sink(
    *, tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[tuple[Sink, int]]:
    """Our sink, in this loop."""
    sink = Sink(SinkOptions(**options), tls=tls)
    port = await sink.start()
    try:
        yield sink, port
    finally:
        await sink.stop()
        await wait_until_async(lambda: not sink.connections, "the sink's connections are gone")


async def run(port: int, *, context: ssl.SSLContext | None = None, **changes: Any) -> Report:
    """A run to its end."""
    generator = Generator(
        Plan(**{"host": "127.0.0.1", "port": port, "messages_max": 50, **changes}), context=context
    )
    async with asyncio.timeout(30):
        await generator.run()
    return report_of(generator, target=f"127.0.0.1:{port}", now=datetime.datetime.now(datetime.UTC))


def kept_in(folder: Path) -> list[bytes]:
    """What a sink kept there, in order."""
    return [path.read_bytes() for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("recipients", [1, 5])
@pytest.mark.parametrize("messages_per_connection", [None, 1, 7])
@pytest.mark.parametrize("rate_per_s", [None, 500.0])
async def test_all_that_is_sent_arrives(
    rate_per_s: float | None, messages_per_connection: int | None, recipients: int
) -> None:
    """Open and closed loop, connections kept or not: the sink counted what the report says."""
    async with running_sink() as (sink, port):
        report = await run(
            port,
            connections=4,
            rate_per_s=rate_per_s,
            messages_per_connection=messages_per_connection,
            recipients=recipients,
        )

        assert report.ok
        assert {
            "begun": 50,
            "accepted": 50,
            "deferred": 0,
            "refused": 0,
            "lost": 0,
            "not_sent": 0,
        } == report.messages
        assert (50, 50 * recipients, 50 * 4096) == (
            sink.counts.messages,
            sink.counts.recipients,
            sink.counts.octets,
        )
        assert (report.octets, report.connections) == (sink.counts.octets, sink.counts.connections)
        assert 0 == sink.counts.violations
        assert [50] * 3 == [
            report.latency_ms[name].count for name in ("mail_to_354", "end_to_reply", "whole")
        ]


@pytest.mark.parametrize(("messages_per_connection", "connections"), [(None, 4), (1, 50), (10, 5)])
async def test_connections_are_kept_or_made_as_asked(
    messages_per_connection: int | None, connections: int
) -> None:
    """As many as needed for the messages, and none that sends nothing."""
    async with running_sink() as (sink, port):
        await run(port, connections=4, messages_per_connection=messages_per_connection)

        made = sink.counts.connections
        # With ten each, the last four may share the rest in any way.
        assert connections == made or (messages_per_connection == 10 and 5 <= made <= 8)


async def test_more_connections_are_made_than_are_being_made_at_once() -> None:
    """All that were asked for, though only so many shake hands at the same time."""
    count = 3 * CONNECTING_MAX
    async with running_sink() as (sink, port):
        report = await run(port, connections=count, messages_max=count)

        assert report.ok
        assert count == sink.counts.connections == report.connections


async def test_content_arrives_octet_for_octet(tmp_path: Path) -> None:
    """Whole messages of every size, with their dot-lines, under the envelope that was asked for."""
    async with running_sink(folder=tmp_path) as (_, port):
        report = await run(
            port,
            messages_max=40,
            sizes=Sizes("300-9k"),
            recipients=2,
            reverse_path=AddressPattern("bounce+{n}@list.example.test"),
            forward_path=AddressPattern("u{r}@d{1-9}.example.test"),
        )

    kept = kept_in(tmp_path)
    contents = [re.sub(rb"\A(X-Envelope-[^\r]*\r\n)*", b"", message) for message in kept]
    assert report.octets == sum(map(len, contents))
    assert 40 == len({re.search(rb"^Message-ID: (.*)\r$", content, re.MULTILINE)[1] for content in contents})  # type: ignore[index]  # every one has it
    assert {f"X-Envelope-From: <bounce+{n}@list.example.test>".encode() for n in range(1, 41)} == {
        message.split(b"\r\n")[0] for message in kept
    }
    domains = {re.search(rb"X-Envelope-To: <u1@(.*)>", message)[1] for message in kept}  # type: ignore[index]  # every one has it
    assert len(domains) > 3


@pytest.mark.parametrize(
    "flag", [(), ("-p",), ("-e",), ("-L",)], ids=["all", "no-pipelining", "helo-only", "lmtp"]
)
async def test_smtp_sink_gets_all_of_it(tmp_path: Path, flag: tuple[str, ...]) -> None:
    """A server that is not ours, with and without extensions, counts the same."""
    with SmtpSink(tmp_path, *flag) as sink:
        report = await run(sink.port, connections=3, messages_max=60, lmtp=flag == ("-L",))

        assert report.ok
        assert 60 == sink.wait_count(60)


@pytest.mark.parametrize(
    ("stage", "shares", "fate"),
    [
        ("mail", {"deferred_share": 1.0}, "deferred"),
        ("rcpt", {"refused_share": 1.0}, "refused"),
        ("rcpt", {"deferred_share": 1.0}, "deferred"),
        ("content", {"refused_share": 1.0}, "refused"),
    ],
)
async def test_what_was_not_accepted_is_counted_as_what_it_was(
    stage: str, shares: dict[str, float], fate: str
) -> None:
    """And the run goes on to its end."""
    async with running_sink(behaviours=Behaviours(stage=stage, **shares)) as (sink, port):  # type: ignore[arg-type]  # a dict of keywords
        report = await run(port)

        assert not report.ok
        assert (50, 0, 0) == (report.messages[fate], report.messages["accepted"], sink.counts.messages)
        assert [(451 if fate == "deferred" else 550, 50)] == [(row.code, row.count) for row in report.replies]


async def test_one_refused_recipient_makes_a_message_not_accepted() -> None:
    """The others' replies are counted as they were."""
    async with running_sink(behaviours=Behaviours(refused_share=0.1)) as (sink, port):
        report = await run(port, recipients=10)

        assert 50 == report.messages["accepted"] + report.messages["refused"]
        assert 0 < report.messages["refused"] < 50
        assert sink.counts.recipients == report.recipients_accepted
        assert {250: sink.counts.recipients, 550: sink.counts.refused} == {
            row.code: row.count for row in report.replies
        }


@pytest.mark.parametrize("share", ["deferred_share", "refused_share"])
async def test_a_server_that_refuses_every_connection_ends_the_run(share: str) -> None:
    """Not accepted, not sent, and why."""
    async with running_sink(behaviours=Behaviours(stage="connect", **{share: 1.0})) as (_, port):  # type: ignore[arg-type]  # a dict of keywords
        report = await run(port, connections=2)

    assert not report.ok
    assert report.gave_up is not None
    assert 50 == report.messages["not_sent"]
    assert re.match(r"greeting: (421|554) ", report.errors[0].what)


async def test_nobody_there_ends_the_run() -> None:
    """A refused connection is tried a few times, not for ever."""
    report = await run(free_port(), connections=2)

    assert not report.ok
    assert report.gave_up == "20 connections in a row failed"
    assert [("connection refused", 20)] == [(row.what, row.count) for row in report.errors]


async def test_a_server_that_hangs_up_loses_what_was_in_hand(tmp_path: Path) -> None:
    """smtp-sink says 421 after the content and hangs up: deferred each time, on a new connection each time."""
    with SmtpSink(tmp_path, "-Q", ".") as sink:
        report = await run(sink.port, connections=2, messages_max=10)

    assert not report.ok
    assert 0 == report.messages["accepted"]
    assert 10 == report.messages["deferred"] + report.messages["lost"]


async def test_a_server_that_falls_silent_is_not_waited_for_longer_than_asked() -> None:
    """Each message costs at most the limit, and is lost."""
    with socket.create_server(
        ("127.0.0.1", 0), backlog=200
    ) as listening:  # the system answers, nobody accepts
        report = await run(listening.getsockname()[1], connections=30, messages_max=30, wait_s_max=0.1)

    assert report.gave_up is not None
    assert re.match(r"no reply within 0\.1 s while waiting for greeting", report.errors[0].what)


async def test_a_stall_shows_in_the_latency_of_what_fell_due_meanwhile() -> None:
    """
    Open loop against a server that needs 50 ms for each message on one connection: 20 messages are due within 100 ms, the
    last one waits for nearly all the others. A generator that began to count when it sent would say 50 ms for each.
    """
    async with running_sink(behaviours=Behaviours(slow_share=1.0, slow_s=0.05)) as (_, port):
        report = await run(port, connections=1, messages_max=20, rate_per_s=200.0)

    assert report.ok
    assert report.latency_ms["end_to_reply"].p50 < 200
    assert report.latency_ms["whole"].max > 20 * 50 - 100
    assert 350 < report.latency_ms["whole"].p50


async def test_open_loop_is_as_fast_as_asked_and_no_faster() -> None:
    """Twenty messages at 100 a second take the time of nineteen intervals."""
    async with running_sink() as (_, port):
        report = await run(port, messages_max=20, rate_per_s=100.0)

    assert report.ok
    assert 0.19 <= report.took_s < 2


async def test_a_duration_ends_a_closed_loop() -> None:
    """What there was no time for was not asked for, so all is well."""
    async with running_sink() as (sink, port):
        report = await run(port, messages_max=None, duration_s=0.3)

        assert report.ok
        assert 0.25 < report.took_s < 3
        assert sink.counts.messages == report.messages["accepted"] == report.messages["begun"]


async def test_a_run_can_be_stopped() -> None:
    """What is in hand is lost, what was not begun is not sent, and the report says so."""
    async with running_sink(behaviours=Behaviours(slow_share=1.0, slow_s=60)) as (sink, port):
        generator = Generator(Plan(host="127.0.0.1", port=port, connections=3, messages_max=10))
        running = asyncio.create_task(generator.run())
        await wait_until_async(lambda: 3 == sink.counts.slow, "three messages wait for their replies")
        generator.stop("enough")
        async with asyncio.timeout(10):
            await running
        report = report_of(generator, target="", now=datetime.datetime.now(datetime.UTC))

    assert ("enough", 3, 7) == (report.gave_up, report.messages["lost"], report.messages["not_sent"])
    assert not report.ok


# ---- TLS -----------------------------------------------------------------------------------------------------------

Served = Callable[..., Awaitable[Report]]


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path)


@pytest.fixture
def certificate(authority: CertificateAuthority) -> ssl.SSLContext:
    issued = authority.issue("127.0.0.1")
    return ServerTls((CertificateFiles(issued.certificate_file, issued.key_file),)).context


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("verified", [True, False])
async def test_tls_is_used_as_asked(
    authority: CertificateAuthority, certificate: ssl.SSLContext, tls: str, verified: bool
) -> None:
    """Both ways, with a certificate that is proved or not looked at."""
    context = verifying_context(authority.ca_file) if verified else whoever_context()
    async with running_sink(tls=certificate, implicit_tls=tls == "implicit") as (sink, port):
        report = await run(port, tls=tls, context=context, messages_per_connection=10)

        assert report.ok
        assert 50 == sink.counts.messages


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_certificate_that_nobody_vouches_for_is_refused_where_it_is_looked_at(
    certificate: ssl.SSLContext, tls: str
) -> None:
    """No message goes to whoever shows it."""
    async with running_sink(tls=certificate, implicit_tls=tls == "implicit") as (sink, port):
        report = await run(port, tls=tls, context=verifying_context(), connections=1)

        assert 0 == sink.counts.messages
    assert not report.ok
    assert "certificate" in report.errors[0].what


async def test_starttls_that_is_not_offered_ends_the_run() -> None:
    """It was asked for, so nothing goes in the clear."""
    async with running_sink() as (sink, port):
        report = await run(port, tls="starttls", context=whoever_context(), connections=1)

        assert 0 == sink.counts.messages
    assert not report.ok
    assert report.gave_up is not None


async def test_a_report_can_be_encoded() -> None:
    """What `--json` prints is all of it."""
    async with running_sink() as (_, port):
        report = await run(port, messages_max=3)

    decoded = msgspec.json.decode(msgspec.json.encode(report))
    assert {"connect", "mail_to_354", "end_to_reply", "whole"} == set(decoded["latency_ms"])
    assert 3 == decoded["messages"]["accepted"]
