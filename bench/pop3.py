"""
POP3 beside Debian's Dovecot: what bench/imap.py measures of the same stores, by the other door.
"""

import socket
import time

from bench.imap_rows import CLIENT_S_MAX, Figure, Row, Scale
from bench.imap_stores import ACCOUNT, PASSWORD, Store

__all__ = ["ROWS"]

RETRIEVED = 1000


class Client:
    """The least of one, logged in."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=CLIENT_S_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines = self.socket.makefile("rb")
        self._line()
        self.ask(f"USER {ACCOUNT}")
        self.ask(f"PASS {PASSWORD}")

    def ask(self, line: str) -> None:
        """One line; SystemExit where the answer is not +OK."""
        self.socket.sendall(line.encode() + b"\r\n")
        self._line()

    def quit(self) -> None:
        """Gives the inbox back, which has one reader at a time."""
        self.ask("QUIT")
        self.lines.close()
        self.socket.close()

    def retrieve(self, number: int) -> int:
        """Octets of a message."""
        self.ask(f"RETR {number}")
        octets = 0
        while (line := self.lines.readline()) != b".\r\n":
            octets += len(line)
        return octets

    def _line(self) -> None:
        answer = self.lines.readline()
        if not answer.startswith(b"+OK"):
            raise SystemExit(f"POP3: {answer!r}")


def _port(store: Store) -> int:
    assert store.pop3_port is not None  # bench/imap.py leaves the others out
    return store.pop3_port


def first_login(store: Store, _: Scale) -> Figure:
    """As a client does that leaves its mail there: login, STAT."""
    began_s = time.perf_counter()
    client = Client(_port(store))
    client.ask("STAT")
    took_s = time.perf_counter() - began_s
    client.quit()
    return Figure(took_s * 1000, " ms")


def retrieve(store: Store, scale: Scale) -> Figure:
    """Some of its messages, one after the other."""
    client = Client(_port(store))
    began_s, count = time.perf_counter(), 0
    while count < min(RETRIEVED, scale.messages) and time.perf_counter() < began_s + scale.rate_s:
        client.retrieve(count + 1)
        count += 1
    took_s = time.perf_counter() - began_s
    client.quit()
    return Figure(count / took_s, "/s", f"{count:,} messages")


def logins(store: Store, scale: Scale) -> Figure:
    """Each with STAT and QUIT, one after the other: an inbox has one reader at a time."""
    began_s, count = time.monotonic(), 0
    while time.monotonic() < began_s + scale.rate_s:
        client = Client(_port(store))
        client.ask("STAT")
        client.quit()
        count += 1
    return Figure(count / (time.monotonic() - began_s), "/s")


ROWS = (
    Row("POP3 login with STAT, the first time", first_login, once=True),
    Row("POP3 RETR, the first time", retrieve, once=True),
    Row("POP3 RETR", retrieve),
    Row("POP3 logins with STAT", logins),
)
