"""
POP3 beside Debian's Dovecot: what bench/imap.py measures of the same stores, by the other door.
"""

import socket
import time

from bench.imap_stores import ACCOUNT, PASSWORD, Store

__all__ = ["ROWS"]

RETRIEVED = 1000
LOGINS_S = 3


class Client:
    """The least of one, logged in."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=300)
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


def fetch_all(store: Store, messages: int) -> str:
    """As a client does that leaves its mail there: login, STAT, and the newest."""
    if store.pop3_port is None:
        return "–"
    began_s = time.perf_counter()
    client = Client(store.pop3_port)
    client.ask("STAT")
    opened_s = time.perf_counter() - began_s
    octets = sum(client.retrieve(number + 1) for number in range(min(RETRIEVED, messages)))
    took_s = time.perf_counter() - began_s - opened_s
    client.quit()
    return f"{opened_s:.2f} s, then {RETRIEVED / took_s:.0f}/s, {octets / took_s / 1e6:.0f} MB/s"


def logins(store: Store, _: int) -> str:
    """Each with STAT and QUIT, one after the other: an inbox has one reader at a time."""
    if store.pop3_port is None:
        return "–"
    end_s, count = time.monotonic() + LOGINS_S, 0
    while time.monotonic() < end_s:
        client = Client(store.pop3_port)
        client.ask("STAT")
        client.quit()
        count += 1
    return f"{count / LOGINS_S:.1f}/s"


ROWS = {
    f"POP3: login and STAT, RETR of {RETRIEVED}": fetch_all,
    "the same again": fetch_all,
    "POP3: logins with STAT": logins,
}
