"""
The sink, tried by clients that are not ours: smtplib, swaks, smtp-source and Postfix. What it says it took is what they sent.
"""

import asyncio
import re
import smtplib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pymta._core import Envelope
from pymta.sink.behaviour import Behaviour, Behaviours
from pymta.sink.certificate import self_made_context
from pymta.sink.folder import SinkFolder
from pymta.sink.server import Sink, SinkOptions
from tests.partners.postfix import Postfix
from tests.partners.smtp_tools import smtp_source, swaks
from tests.partners.waiting import wait_until_async


@asynccontextmanager
async def running(*, tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[tuple[Sink, int]]:
    """A sink in this loop; clients block in threads."""
    sink = Sink(SinkOptions(**options), tls=tls)
    port = await sink.start()
    try:
        yield sink, port
    finally:
        await sink.stop()
        await wait_until_async(lambda: not sink.connections, "the sink's connections are gone")


def kept(folder: Path) -> list[tuple[bytes, bytes]]:
    """Each message as (the envelope's lines, content)."""
    found = []
    for path in sorted(folder.glob("*.eml")):
        lines = re.match(rb"(X-Envelope-[^\r]*\r\n)*", path.read_bytes())
        assert lines is not None
        found.append((lines[0], path.read_bytes()[lines.end() :]))
    return found


AWKWARD = {
    "dots": b"Subject: a\r\n\r\n.\r\n..\r\n...\r\n.x\r\n",
    "no header section": b"\r\nbody\r\n",
    "empty": b"\r\n",
    "eight bits": b"Subject: \xc3\xa4\r\n\r\n\xff\xfe\x80\r\n",
    "a long line": b"Subject: a\r\n\r\n" + b"x" * 50_000 + b"\r\n",
    "blank lines at the end": b"Subject: a\r\n\r\nb\r\n\r\n\r\n\r\n",
    "trailing blanks": b"Subject: a \r\n\r\n b \t\r\n",
    "looks like commands": b"Subject: a\r\n\r\nQUIT\r\nDATA\r\nRSET\r\n",
    "large": b"Subject: a\r\n\r\n" + b"0123456789" * 7 + b"\r\n" * 200_000,
}


@pytest.mark.parametrize("name", AWKWARD)
async def test_awkward_content_is_kept_octet_for_octet(tmp_path: Path, name: str) -> None:
    """As smtplib sent it, under the envelope."""
    content = AWKWARD[name]

    def send(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.sendmail("a@example.test", ["b@example.test", "c@example.test"], content)

    async with running(folder=tmp_path) as (sink, port):
        await asyncio.to_thread(send, port)

        assert (1, 2, len(content)) == (sink.counts.messages, sink.counts.recipients, sink.counts.octets)
    envelope = b"X-Envelope-From: <a@example.test>\r\nX-Envelope-To: <b@example.test>\r\nX-Envelope-To: <c@example.test>\r\n"
    assert [(envelope, content)] == kept(tmp_path)


async def test_bdat_arrives_octet_for_octet(tmp_path: Path) -> None:
    """In chunks that cut anywhere, between CR and LF as well."""
    content = b"Subject: a\r\n\r\n.\r\nbody\r\n"

    def send(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.ehlo()
            client.docmd("MAIL", "FROM:<>")
            client.docmd("RCPT", "TO:<b@example.test>")
            for at, chunk in enumerate((content[:11], content[11:12], content[12:])):
                last = " LAST" if at == 2 else ""
                client.send(f"BDAT {len(chunk)}{last}\r\n".encode() + chunk)
                assert 250 == client.getreply()[0]

    async with running(folder=tmp_path) as (_, port):
        await asyncio.to_thread(send, port)

    assert [(b"X-Envelope-From: <>\r\nX-Envelope-To: <b@example.test>\r\n", content)] == kept(tmp_path)


async def test_a_bare_line_feed_is_refused_and_nothing_kept(tmp_path: Path) -> None:
    """Whoever sends it has a fault that a sink is to show."""

    def send(port: int) -> int:
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.ehlo()
            client.docmd("MAIL", "FROM:<>")
            client.docmd("RCPT", "TO:<b@example.test>")
            client.docmd("DATA")
            client.send(b"Subject: a\r\n\r\nb\nc\r\n.\r\n")
            return client.getreply()[0]

    async with running(folder=tmp_path) as (sink, port):
        assert 5 == await asyncio.to_thread(send, port) // 100
        assert 0 == sink.counts.messages
        assert sink.counts.violations
    assert [] == kept(tmp_path)


@pytest.mark.parametrize("keeps", [True, False])
async def test_smtp_source_and_the_sink_count_the_same(tmp_path: Path, keeps: bool) -> None:
    """On connections that are kept, and on new ones."""
    async with running(folder=tmp_path if keeps else None) as (sink, port):
        await asyncio.to_thread(smtp_source, port, 300, "-d", "-r", "3")
        await asyncio.to_thread(smtp_source, port, 50)

        assert (350, 3 * 300 + 50) == (sink.counts.messages, sink.counts.recipients)
    assert (350 if keeps else 0) == len(kept(tmp_path))


async def test_lmtp_has_a_reply_for_each_recipient(tmp_path: Path) -> None:
    """As swaks expects it."""
    async with running(lmtp=True, folder=tmp_path) as (sink, port):
        done = await asyncio.to_thread(
            swaks,
            port,
            "--protocol",
            "LMTP",
            "--to",
            "b@example.test,c@example.test",
            "--from",
            "a@example.test",
        )

        assert 0 == done.exit_status, done.transcript
        assert 2 == done.transcript.count("taken by the sink")
        assert (1, 2) == (sink.counts.messages, sink.counts.recipients)


async def test_postfix_delivers_to_it(tmp_path: Path, start_postfix: Callable[..., Postfix]) -> None:
    """With the greylisting of a deferring sink: Postfix comes again until all is taken."""
    async with running(folder=tmp_path, behaviours=Behaviours(deferred_share=0.5, seed=1)) as (sink, port):
        relay = await asyncio.to_thread(start_postfix, Postfix.relay, port)
        await asyncio.to_thread(smtp_source, relay.port, 10)
        await wait_until_async(lambda: sink.counts.messages >= 10, "all messages arrived", limit_s=40)

        assert sink.counts.deferred > 0


# ---- being difficult -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "share", "status"),
    # What swaks ends with where the greeting, MAIL, RCPT or the content is refused (swaks(1)).
    [
        ("connect", "refused_share", 21),
        ("connect", "deferred_share", 21),
        ("mail", "refused_share", 23),
        ("rcpt", "deferred_share", 24),
        ("content", "refused_share", 26),
        ("content", "deferred_share", 26),
    ],
)
async def test_a_share_of_one_refuses_all_at_the_stage(stage: str, share: str, status: int) -> None:
    """And counts it as the reply that it was."""
    async with running(behaviours=Behaviours(stage=stage, **{share: 1.0})) as (sink, port):  # type: ignore[arg-type]  # a dict of keywords
        done = await asyncio.to_thread(swaks, port, "--to", "b@example.test", "--from", "a@example.test")

        assert status == done.exit_status, done.transcript
        counted = (sink.counts.deferred, sink.counts.refused, sink.counts.messages)
        assert ((1, 0, 0) if share == "deferred_share" else (0, 1, 0)) == counted


def test_shares_are_shares_of_all_that_is_asked() -> None:
    """Of 10,000, about so many; the same ones with the same seed."""
    settings = Behaviours(deferred_share=0.2, refused_share=0.1, slow_share=0.3, slow_s=2.0, seed=7)
    once, again = (
        [reply.code if (reply := behaviour.refusal("rcpt")) else 250 for _ in range(10_000)]
        for behaviour in (Behaviour(settings), Behaviour(settings))
    )

    assert once == again
    assert 1900 < once.count(451) < 2100
    assert 900 < once.count(550) < 1100
    slow = Behaviour(settings)
    assert 2900 < sum(slow.delay_s() == 2.0 for _ in range(10_000)) < 3100
    assert slow.refusal("mail") is None


@pytest.mark.parametrize(
    "settings",
    [
        {"deferred_share": 0.6, "refused_share": 0.6},
        {"slow_share": 1.5},
        {"slow_s": -1.0},
        {"refused_share": -0.1},
    ],
)
def test_shares_that_cannot_be_are_refused(settings: dict[str, float]) -> None:
    """With what was expected."""
    with pytest.raises(ValueError, match=r"share|delay"):
        Behaviours(**settings)  # type: ignore[arg-type]  # a dict of keywords


async def test_a_slow_reply_is_slow_and_others_are_not_kept_waiting() -> None:
    """One client waits for its reply while another comes and goes."""
    async with running(behaviours=Behaviours(slow_share=1.0, slow_s=60.0)) as (sink, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n")
        await reader.readuntil(b"354")
        writer.write(b"a\r\n.\r\n")
        await wait_until_async(lambda: 1 == sink.counts.slow, "its reply waits")
        other, other_writer = await asyncio.open_connection("127.0.0.1", port)
        assert b"220" == (await other.readline())[:3]
        # Who hangs up meanwhile is not counted: the message will be sent again.
        writer.close()
        other_writer.close()
        await wait_until_async(lambda: not sink.connections, "both are gone")
        assert 0 == sink.counts.messages


async def test_who_sends_on_without_waiting_is_not_read_without_end() -> None:
    """While a slow reply waits, what a client sends stays in its own memory and the system's."""
    async with running(behaviours=Behaviours(slow_share=1.0, slow_s=60.0)) as (sink, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n")
        await reader.readuntil(b"354")
        writer.write(b"a\r\n.\r\n")
        await wait_until_async(lambda: 1 == sink.counts.slow, "its reply waits")
        connection = next(iter(sink.connections))
        sent = 64 * 1024 * 1024
        writer.write(b"NOOP\r\n" * (sent // 6))
        await wait_until_async(lambda: not connection._is_reading, "reading is paused")
        assert connection._session.buffered_octets < 1024 * 1024
        writer.transport.abort()
        # A transport that is not read from does not see that its client is gone.
        connection._transport.abort()


async def test_connections_beyond_the_limit_are_sent_away() -> None:
    """With 421, while those that are there go on."""
    async with running(connections_max=1) as (_, port):
        first, first_writer = await asyncio.open_connection("127.0.0.1", port)
        assert b"220" == (await first.readline())[:3]
        second, second_writer = await asyncio.open_connection("127.0.0.1", port)
        assert b"421" == (await second.read())[:3]
        first_writer.write(b"NOOP\r\n")
        assert (await first.readline())[:1] in (b"2", b"5")
        for writer in (first_writer, second_writer):
            writer.close()


async def test_a_silent_connection_is_ended() -> None:
    """With 421 (RFC 5321 §4.5.3.2.7)."""
    async with running(idle_s_max=0.05) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert re.match(rb"220 .*\r\n421 4\.4\.2 ", await reader.read())
        writer.close()


async def test_a_message_too_large_is_refused() -> None:
    """At MAIL where it is told, and in the clear count."""
    async with running(message_octets_max=1000) as (sink, port):
        done = await asyncio.to_thread(swaks, port, "--to", "b@example.test", "--body", "x" * 2000)

        assert done.exit_status != 0
        assert "552" in done.transcript
        assert 0 == sink.counts.messages


# ---- what is kept --------------------------------------------------------------------------------------------------


def test_the_oldest_message_goes_first_also_of_an_earlier_run(tmp_path: Path) -> None:
    """And numbers go on, so that no file is ever written over."""
    envelope = Envelope("a@example.test", ["b@example.test"])
    for run in range(2):
        folder = SinkFolder(tmp_path, 3)
        for number in range(2):
            folder.keep(envelope, bytearray(f"{run}{number}".encode()))

    assert ["00000002.eml", "00000003.eml", "00000004.eml"] == sorted(
        path.name for path in tmp_path.iterdir()
    )


async def test_a_message_that_cannot_be_kept_is_deferred_and_not_counted(tmp_path: Path) -> None:
    """The folder went away under the sink."""
    folder = tmp_path / "folder"
    async with running(folder=folder) as (sink, port):
        folder.rmdir()
        done = await asyncio.to_thread(swaks, port, "--to", "b@example.test", "--from", "a@example.test")

        assert 26 == done.exit_status, done.transcript
        assert "452 4.3.1" in done.transcript
        assert 0 == sink.counts.messages


# ---- TLS -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("implicit", [False, True])
async def test_smtplib_speaks_tls_with_a_self_made_certificate(implicit: bool) -> None:
    """By STARTTLS and from the start."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    def send(port: int) -> None:
        with (
            smtplib.SMTP_SSL("127.0.0.1", port, context=context)
            if implicit
            else smtplib.SMTP("127.0.0.1", port) as client
        ):
            if not implicit:
                client.starttls(context=context)
            client.sendmail("a@example.test", ["b@example.test"], AWKWARD["dots"])

    async with running(tls=self_made_context("sink.example.test"), implicit_tls=implicit) as (sink, port):
        await asyncio.to_thread(send, port)

        assert (1, 1) == (sink.counts.messages, sink.counts.connections)


async def test_a_client_that_breaks_off_the_handshake_is_forgotten() -> None:
    """It does not stay counted as open for ever."""

    def rubbish(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.recv(1000)
            connection.sendall(b"EHLO x\r\nSTARTTLS\r\n")
            while b"220 2.0.0" not in connection.recv(1000):
                pass
            connection.sendall(b"this is no ClientHello\r\n")
            connection.recv(1000)

    async with running(tls=self_made_context("sink.example.test")) as (sink, port):
        for _ in range(3):
            await asyncio.to_thread(rubbish, port)
        await wait_until_async(lambda: not sink.connections, "they are gone")
        assert (0, 3) == (sink.counts.connections_open, sink.counts.connections)


def test_a_certificate_is_made_without_the_python_package_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the program openssl, where `cryptography` is not installed."""
    import sys

    monkeypatch.setitem(sys.modules, "cryptography", None)

    assert self_made_context("sink.example.test").cert_store_stats()["x509"] == 0  # nobody is trusted


@pytest.mark.parametrize("turns", range(5))
async def test_who_connects_while_it_stops_is_hung_up_on(turns: int) -> None:
    """Also where the connection was accepted and its protocol is not made yet: nothing is left open."""

    def heard(client: socket.socket) -> bytes:
        octets = b""
        try:
            while more := client.recv(1000):
                octets += more
        except ConnectionResetError:
            pass  # not accepted any more
        return octets

    sink = Sink(SinkOptions())
    port = await sink.start()
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        for _ in range(turns):
            await asyncio.sleep(0)
        await sink.stop()
        await asyncio.to_thread(heard, client)
    await wait_until_async(lambda: not sink.connections, "the sink's connections are gone")
