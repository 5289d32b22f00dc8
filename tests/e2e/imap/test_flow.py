"""
What a client that is slow, silent or wordy costs, and how sessions end when the server does.
"""

import socket
import zlib
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.e2e.imap.conftest import ALICE, HOST, PASSWORD, Reading, message, ok
from tests.e2e.imap.test_idle import Line, idling
from tests.partners.waiting import wait_until

Start = Callable[..., Reading]

OCTETS = 8 << 20
CLIENTS = 12
GROWTH_OCTETS_MAX = 32 << 20


def test_who_does_not_read_costs_little_memory(start_reading: Start) -> None:
    """Twelve times 8 MiB are asked for ten times each, and nothing of it is read."""
    reading = start_reading()
    reading.put("1.a", message(1, octets=OCTETS))
    with reading.client() as imap:
        ok(imap.select())
        ok(imap.fetch("1", "(BODY.PEEK[])"))
    clients = []
    for _ in range(CLIENTS):
        client = Line(reading)
        client.say(f'a LOGIN {ALICE} "{PASSWORD}"', "b SELECT INBOX")
        assert client.until("b ")[-1].startswith("b OK")
        clients.append(client)
    before = reading.server.memory_octets()
    for client in clients:
        client.say(*(f"c{number} FETCH 1 BODY.PEEK[]" for number in range(10)))
    with reading.client() as imap:
        for _ in range(20):
            ok(imap.select())
            ok(imap.fetch("1", "(ENVELOPE)"))
    assert reading.server.memory_octets() - before < GROWTH_OCTETS_MAX
    for client in clients:
        client.close()


def test_the_server_says_good_bye_to_those_who_wait(start_reading: Start) -> None:
    reading = start_reading()
    with idling(reading) as client:
        reading.server.terminate()
        assert client.until("* BYE")[-1].startswith("* BYE")
    reading.server.wait_ended()


def test_commands_in_one_packet_are_answered_in_their_order(start_reading: Start) -> None:
    reading = start_reading()
    for number in range(3):
        reading.put(f"{number}.a", message(number))
    with closing(Line(reading)) as client:
        client.say(
            f'a LOGIN {ALICE} "{PASSWORD}"',
            "b SELECT INBOX",
            "c STORE 1 +FLAGS (\\Deleted)",
            "d EXPUNGE",
            "e FETCH 1:* (UID)",
            "f LOGOUT",
        )
        lines = client.until("f ")
    assert ["a", "b", "c", "d", "e", "f"] == [line[0] for line in lines if line[0] in "abcdef"]
    assert "* 2 FETCH (UID 3)" in lines


class Deflated:
    """A client that compresses, after COMPRESS was granted."""

    def __init__(self, plain: socket.socket) -> None:
        self._socket = plain
        self._out = zlib.compressobj(wbits=-15)
        self._in = zlib.decompressobj(wbits=-15)
        self._read = b""

    def say(self, line: str) -> None:
        """Flushed."""
        octets = self._out.compress(line.encode() + b"\r\n") + self._out.flush(zlib.Z_SYNC_FLUSH)
        self._socket.sendall(octets)

    def until(self, start: bytes) -> bytes:
        """All that was said up to the line that begins so, with that."""
        while (at := (b"\r\n" + self._read).find(b"\r\n" + start)) < 0 or b"\r\n" not in self._read[at:]:
            chunk = self._socket.recv(65536)
            assert chunk, self._read
            self._read += self._in.decompress(chunk)
        end = self._read.index(b"\r\n", at) + 2
        said, self._read = self._read[:end], self._read[end:]
        return said


@pytest.mark.parametrize("idles", [False, True])
def test_all_is_compressed_that_is_said_after_compress(start_reading: Start, idles: bool) -> None:
    reading = start_reading(imap={"compress": True})
    reading.put("1.a", message(1, octets=300_000))
    plain = socket.create_connection((HOST, reading.port()), timeout=20)
    with (
        reading.context().wrap_socket(plain, server_hostname=HOST) as secured,
        secured.makefile("rb") as file,
    ):
        secured.sendall(f'a LOGIN {ALICE} "{PASSWORD}"\r\nb COMPRESS DEFLATE\r\n'.encode())
        while not (line := file.readline()).startswith(b"b "):
            assert line
        assert line.startswith(b"b OK")
        client = Deflated(secured)
        client.say("c SELECT INBOX")
        assert b"* 1 EXISTS" in client.until(b"c ")
        client.say("d FETCH 1 BODY.PEEK[]")
        assert message(1, octets=300_000).replace(b"\n", b"\r\n") in client.until(b"d ")
        if idles:
            client.say("e IDLE")
            client.until(b"+")
            reading.put("2.a", message(2))
            client.until(b"* 2 EXISTS")
            client.say("DONE")
            client.until(b"e OK")
        client.say("f LOGOUT")
        client.until(b"f OK")
    reading.server.wait_event("connect", listener="imaps", end="quit")


def test_compress_is_not_offered_where_it_is_not_wanted(start_reading: Start) -> None:
    reading = start_reading()
    with reading.client() as imap:
        assert b"COMPRESS" not in ok(imap.capability())[0]


def test_an_append_that_came_to_nothing_is_not_counted(start_reading: Start) -> None:
    reading = start_reading(trouble_expected=True)
    with reading.client() as other, closing(Line(reading)) as client:
        ok(other.create("box"))
        client.say(f'a LOGIN {ALICE} "{PASSWORD}"')
        client.until("a OK")
        client.say("b APPEND box {200003}")
        client.until("+")
        client.send(b"x" * 200_000)
        uploads = reading.accounts.mailbox(ALICE, "box") / "tmp"
        wait_until(lambda: list(uploads.iterdir()) or None, "the beginning is written")
        ok(other.delete("box"))
        client.say("\r\nx")
        assert client.until("b ")[-1].startswith("b NO")
        client.say("c APPEND INBOX {3+}", "x\r\n", "d LOGOUT")
        assert client.until("c ")[-1].startswith("c OK")
        client.until("d OK")
    assert {0, 1} == {
        event.get("appended", 0) for event in reading.server.wait_events(2, "connect", listener="imaps")
    }


def test_what_may_be_appended_is_what_is_announced_after_a_reload(start_reading: Start) -> None:
    reading = start_reading(limits={"message_octets_max": 100_000})
    reading.server.configure(limits={"message_octets_max": 300_000})
    reading.server.reload()
    with reading.client() as imap:
        assert b"APPENDLIMIT=300000" in ok(imap.capability())[0].split()
        assert b"APPENDLIMIT 300000" in ok(imap.status("INBOX", "(APPENDLIMIT)"))[0]
        ok(imap.append("INBOX", None, None, message(1, octets=200_000)))
