"""
COMPRESS=DEFLATE (RFC 4978) as a client has it: answers, messages and news come compressed, and every packet can be
inflated as it is.
"""

import socket
import ssl
import zlib
from collections.abc import Callable

from tests.e2e.imap.conftest import ALICE, HOST, PASSWORD, Reading, message

Start = Callable[..., Reading]


class Compressed:
    """A client that has asked for it."""

    def __init__(self, reading: Reading) -> None:
        plain = socket.create_connection((HOST, reading.port()), timeout=20)
        self._socket: ssl.SSLSocket = reading.context().wrap_socket(plain, server_hostname=HOST)
        self._inflate: zlib._Decompress | None = None
        self._deflate = zlib.compressobj(wbits=-15)
        self._seen = b""
        self.arrived_octets = 0
        self.until(b"ready\r\n")
        self._socket.sendall(
            b"a LOGIN %b {%d+}\r\n%b\r\n" % (ALICE.encode(), len(PASSWORD), PASSWORD.encode())
        )
        assert b" COMPRESS=DEFLATE" in self.until(b"logged in\r\n")
        self._socket.sendall(b"b COMPRESS DEFLATE\r\n")
        self.until(b"from here on\r\n")
        self._inflate = zlib.decompressobj(wbits=-15)

    def send(self, octets: bytes) -> None:
        """Compressed."""
        self._socket.sendall(self._deflate.compress(octets) + self._deflate.flush(zlib.Z_SYNC_FLUSH))

    def until(self, end: bytes) -> bytes:
        """What is said up to and with *end*."""
        while end not in self._seen:
            arrived = self._socket.recv(65536)
            assert arrived, self._seen
            self.arrived_octets += len(arrived)
            self._seen += self._inflate.decompress(arrived) if self._inflate else arrived
        said, _, self._seen = self._seen.partition(end)
        return said + end

    def close(self) -> None:
        """Without LOGOUT."""
        self._socket.close()


def test_everything_is_compressed_both_ways(start_reading: Start) -> None:
    reading = start_reading(imap={"compress": True})
    large = message(1, octets=2_000_000)
    reading.put("1.a", large)
    client = Compressed(reading)
    client.send(b"c SELECT INBOX\r\nd NOOP\r\n")
    client.until(b"d OK")
    client.send(b"e UID FETCH 1 BODY.PEEK[]\r\n")
    said = client.until(b"e OK")
    assert large.replace(b"\n", b"\r\n") in said
    assert client.arrived_octets < 200_000
    small = message(2).replace(b"\n", b"\r\n")
    client.send(b"f APPEND INBOX {%d+}\r\n%b\r\n" % (len(small), small))
    client.until(b"f OK")
    client.send(b"g IDLE\r\n")
    client.until(b"+ idling\r\n")
    reading.put("3.a", message(3))
    client.until(b"* 3 EXISTS\r\n")
    client.send(b"DONE\r\nh LOGOUT\r\n")  # in one packet, as telephones do
    assert b"g OK" in client.until(b"h OK")
    client.close()


def test_it_is_off_where_nothing_is_said(start_reading: Start) -> None:
    reading = start_reading()
    with reading.client() as imap:
        assert b"COMPRESS" not in imap.capability()[1][0]
