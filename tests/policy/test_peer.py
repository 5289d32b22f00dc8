"""A scripted peer says what its transcript says, and notices when the other side does not."""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from pymta.testing import DialogueMismatch, ScriptedPeer

SERVER = r"""
    # a greeting, a multi-line reply, a message
    S: 220 mx.example.net
    C: EHLO (\S+)
    S: 250-mx.example.net
    S: 250 PIPELINING
    C: data
    S: 354 go on
    C: <content>
    S: 250 2.0.0 ok
    C: QUIT
    S: <close>
"""
CLIENT = r"""
    S: 220
    C: EHLO client.example.net
    S: 250.*PIPELINING
    C: DATA
    S: 354
    C: Subject: x\r\n\r\n..dot\r\n\xe9\r\n.\r\n
    S: 250 2.0.0
    C: QUIT
    S: <end>
"""


async def test_two_scripts_that_fit_play_to_the_end() -> None:
    async with ScriptedPeer.listening(SERVER, SERVER) as server:
        for _ in range(2):
            client = await ScriptedPeer.connect(server.address, server.port, CLIENT)

    assert 2 == server.connections
    assert [b"Subject: x\r\n\r\n.dot\r\n\xe9\r\n"] * 2 == server.contents
    assert ["EHLO client.example.net", "DATA", "QUIT"] * 2 == server.heard
    assert "250-mx.example.net\n250 PIPELINING" == client.heard[1]


@pytest.mark.parametrize(
    ("transcript", "problem"),
    [
        ("S: 220\nC: HELO x\nS: 250", "line 3: IncompleteReadError"),
        ("S: 554", "line 1: expected '554', heard '220 mx.example.net'"),
        ("S: 220\nS: 220", "line 2: TimeoutError"),
        ("S: 220\nC: EHLO x\nS: 250\nS: <end>\n", "line 4: TimeoutError"),
    ],
)
async def test_a_client_notices_a_server_that_says_something_else(transcript: str, problem: str) -> None:
    with pytest.raises(DialogueMismatch):  # noqa: PT012 - both sides fail, and both are looked at
        async with ScriptedPeer.listening(SERVER, wait_s_max=0.5) as server:
            with pytest.raises(DialogueMismatch) as caught:
                await ScriptedPeer.connect(server.address, server.port, transcript, wait_s_max=0.2)
            assert str(caught.value).startswith(problem)


async def test_a_transcript_that_nobody_plays_is_a_failure() -> None:
    with pytest.raises(DialogueMismatch, match="1 transcripts were not played"):
        async with ScriptedPeer.listening(SERVER):
            pass


async def test_one_connection_more_than_transcripts_is_closed() -> None:
    async with ScriptedPeer.listening() as server:
        reader, writer = await asyncio.open_connection(server.address, server.port)
        assert b"" == await reader.read()
        writer.close()
        await writer.wait_closed()

    assert 1 == server.connections


async def test_octets_are_sent_exactly_as_written() -> None:
    async with ScriptedPeer.listening(r"S: 220 a\r\n\0\t\\\x7f\n" + "\nS: <close>") as server:
        reader, writer = await asyncio.open_connection(server.address, server.port)
        assert b"220 a\r\n\0\t\\\x7f\n" == await reader.read()
        writer.close()
        await writer.wait_closed()


async def test_tls_begins_where_the_transcript_says(tmp_path: Path) -> None:
    ca = trustme.CA()
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(inside)
    outside = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(outside)
    both = "S: 220 go\nC: STARTTLS\nS: 220 now\nS: <tls>\nC: NOOP\nS: 250 ok\n"
    async with ScriptedPeer.listening(both + "C: <end>", tls=inside) as server:
        client = await ScriptedPeer.connect(server.address, server.port, both + "C: <close>", tls=outside)

    assert ["STARTTLS", "NOOP"] == server.heard
    assert "250 ok" == client.heard[-1]


@pytest.mark.parametrize("transcript", ["X: what", "hello"])
async def test_a_transcript_with_a_mistake_is_refused(transcript: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        async with ScriptedPeer.listening(transcript):
            pass
