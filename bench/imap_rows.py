"""
What is asked of a store by IMAP, each a row of bench/imap.py's table.

Not who is asked (imap_stores.py), nor by POP3 (pop3.py). Rule: what is a rate, or waits for something, ends after `rate_s`
however little was done by then, and says how much it was.
"""

import selectors
import socket
import statistics
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from bench.imap_stores import ACCOUNT, PASSWORD, Store, message
from bench.processes import memory_shared_octets

__all__ = ["IDLE_ROWS", "ROWS", "Figure", "Row", "Scale"]

TAG = b"zq7x"
MESSAGE_OCTETS = 4096
SEARCHED = 40_000
FETCHED = 10_000
APPENDS, APPENDERS = 500, 4
IDLERS = 1000
NOTICES = 100
NOTICE_MS_MAX = 20
CLIENT_S_MAX = 120
#: Between two deliveries. Each is to be told of alone: one that came while the last was still being told of would be told in
#: the same answer, or wait for its client to take that. Dovecot gathers changes for half a second.
BETWEEN_NOTICES_S = 0.05


class Figure(NamedTuple):
    """What one measurement gave."""

    value: float
    unit: str
    of: str = ""
    """How much was done for it, where time and not a count ended it."""

    def text(self) -> str:
        """For a table."""
        value = f"{self.value:,.{0 if self.value >= 100 else 1 if self.value >= 10 else 2}f}{self.unit}"
        return f"{value} ({self.of})" if self.of else value


class Scale(NamedTuple):
    """How much is asked."""

    messages: int
    rate_s: float


Measure = Callable[[Store, Scale], Figure]


class Row(NamedTuple):
    """One question."""

    what: str
    measure: Measure
    once: bool = False
    """What can be asked only once, because the second time finds what the first one kept."""
    most: float | None = None
    """The aim, in the figure's unit."""
    promise: str = ""


class Client:
    """The least of one: says a line, reads to its tagged line."""

    def __init__(self, port: int, *, logs_in: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=CLIENT_S_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._until(b"\r\n")
        if logs_in:
            self.ask(f"LOGIN {ACCOUNT} {PASSWORD}")

    def ask(self, line: str) -> int:
        """Octets of the answer; SystemExit where it is not OK."""
        self.socket.sendall(TAG + b" " + line.encode() + b"\r\n")
        return self.answer(line)

    def answer(self, line: str) -> int:
        """To what was asked before."""
        octets, tail = 0, b"\r\n"
        while True:
            chunk = self.socket.recv(1 << 18)
            if not chunk:
                raise SystemExit(f"{line!r}: closed")
            octets += len(chunk)
            tail = (tail + chunk)[-512:]
            if tail.endswith(b"\r\n") and (at := tail.rfind(b"\r\n" + TAG)) >= 0:
                if not tail[at + 2 :].startswith(TAG + b" OK"):
                    raise SystemExit(f"{line!r}: {tail[at:]!r}")
                return octets

    def append(self, content: bytes) -> None:
        self.socket.sendall(TAG + b" APPEND INBOX {%d}\r\n" % len(content))
        self._until(b"\r\n")
        self.socket.sendall(content + b"\r\n")
        self.answer("APPEND")

    def idle(self) -> None:
        self.ask("SELECT INBOX")
        self.socket.sendall(TAG + b" IDLE\r\n")
        self._until(b"\r\n")

    def _until(self, end: bytes) -> bytes:
        octets = b""
        while not octets.endswith(end):
            chunk = self.socket.recv(65536)
            if not chunk:
                raise SystemExit("closed")
            octets += chunk
        return octets


def took(call: Callable[[], object]) -> float:
    """Seconds."""
    began_s = time.perf_counter()
    call()
    return time.perf_counter() - began_s


def selected(store: Store) -> Client:
    """A client with INBOX selected."""
    client = Client(store.port)
    client.ask("SELECT INBOX")
    return client


def logins(store: Store, scale: Scale) -> Figure:
    began_s, count = time.monotonic(), 0
    while time.monotonic() < began_s + scale.rate_s:
        Client(store.port).socket.close()
        count += 1
    return Figure(count / (time.monotonic() - began_s), "/s")


def first_select(store: Store, _: Scale) -> Figure:
    client = Client(store.port)
    return Figure(took(lambda: client.ask("SELECT INBOX")) * 1000, " ms")


def select(store: Store, _: Scale) -> Figure:
    client = Client(store.port)
    return Figure(statistics.median(took(lambda: client.ask("SELECT INBOX")) for _ in range(5)) * 1000, " ms")


def asking(line: str, messages_max: int) -> Measure:
    """How long the answer to *line* takes, {} being the number of messages that it is about."""

    def measure(store: Store, scale: Scale) -> Figure:
        client = selected(store)
        return Figure(
            took(lambda: client.ask(line.replace("{}", str(min(messages_max, scale.messages))))) * 1000, " ms"
        )

    return measure


def fetch(items: str) -> Measure:
    return asking(f"FETCH 1:{{}} ({items})", FETCHED)


def search(key: str) -> Measure:
    return asking(f"SEARCH 1:{{}} {key}", SEARCHED)


def bodies(store: Store, scale: Scale) -> Figure:
    client = selected(store)
    began_s = time.perf_counter()
    octets = client.ask(f"FETCH 1:{min(FETCHED, scale.messages)} (UID BODY.PEEK[])")
    return Figure(octets / (time.perf_counter() - began_s) / 1e6, " MB/s")


def appends(store: Store, scale: Scale) -> Figure:
    """Four at once, until they have done all of them or their time is over."""
    content = message(1, MESSAGE_OCTETS).replace(b"\n", b"\r\n")
    done = [0] * APPENDERS
    ended = [False] * APPENDERS

    def run(place: int, end_s: float) -> None:
        client = Client(store.port)
        while done[place] < APPENDS and time.perf_counter() < end_s:
            client.append(content)
            done[place] += 1
        ended[place] = True

    began_s = time.perf_counter()
    threads = [
        threading.Thread(target=run, args=(place, began_s + scale.rate_s), daemon=True)
        for place in range(APPENDERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(CLIENT_S_MAX)
    if not all(ended):
        raise SystemExit("APPEND: a client was not answered")
    count = sum(done)
    return Figure(count / (time.perf_counter() - began_s), "/s", f"{count:,} messages")


def idle_memory(store: Store, scale: Scale) -> Figure:
    """Of each, where as many as there was time for are in IDLE."""
    before = memory_shared_octets(store.pid)
    clients: list[Client] = []
    end_s = time.monotonic() + 5 * scale.rate_s
    try:
        while len(clients) < IDLERS and time.monotonic() < end_s:
            client = Client(store.port)
            clients.append(client)
            client.idle()
        grown = memory_shared_octets(store.pid) - before
    finally:
        for client in clients:
            client.socket.close()
    return Figure(grown / len(clients) / 1024, " KiB", f"{len(clients):,} of them")


def noticing(share: float) -> Measure:
    """How long after its rename a message is told of; *share* of the waits are not longer."""

    def measure(store: Store, scale: Scale) -> Figure:
        waits = sorted(notices(store, scale.rate_s))
        at = min(int(len(waits) * share), len(waits) - 1)
        return Figure(waits[at] * 1000, " ms", f"{len(waits)} messages")

    return measure


def notices(store: Store, seconds: float) -> list[float]:
    """The waits, in seconds, of as many messages as there was time for."""
    client = Client(store.port)
    client.idle()
    client.socket.setblocking(False)
    waits: list[float] = []
    end_s = time.monotonic() + seconds
    with client.socket, selectors.DefaultSelector() as selector:
        selector.register(client.socket, selectors.EVENT_READ)
        while len(waits) < NOTICES and (not waits or time.monotonic() < end_s):
            while selector.select(BETWEEN_NOTICES_S):
                if not client.socket.recv(65536):  # what is still said of the last one
                    raise SystemExit("IDLE: closed")
            name = f"{time.time():.6f}.N{len(waits)}.bench"
            (store.maildir / "tmp" / name).write_bytes(message(len(waits), 1024))
            began_s = time.perf_counter()
            (store.maildir / "tmp" / name).rename(store.maildir / "new" / name)
            said = b""
            while b"EXISTS" not in said:
                if not selector.select(30):
                    raise SystemExit("IDLE: not told of a message")
                said += client.socket.recv(65536)
            waits.append(time.perf_counter() - began_s)
    return waits


ROWS = (
    Row("SELECT, the first time", first_select, once=True),
    Row("SELECT", select),
    Row("IMAP logins", logins),
    Row("FETCH of FLAGS", fetch("FLAGS")),
    Row("FETCH of ENVELOPE, the first time", fetch("ENVELOPE"), once=True),
    Row("FETCH of ENVELOPE", fetch("ENVELOPE")),
    Row("FETCH of BODYSTRUCTURE, the first time", fetch("BODYSTRUCTURE"), once=True),
    Row("FETCH of BODYSTRUCTURE", fetch("BODYSTRUCTURE")),
    Row("bodies", bodies),
    Row("SEARCH of SUBJECT, the first time", search('SUBJECT "subject 4711 "'), once=True),
    Row("SEARCH of SUBJECT", search('SUBJECT "subject 4711 "')),
    Row("SEARCH of BODY, the first time", search('BODY "word4711 "'), once=True),
    Row("SEARCH of BODY", search('BODY "word4711 "')),
)
#: After all that only read, because the mailbox grows by them.
IDLE_ROWS = (
    Row(f"APPEND by {APPENDERS} clients", appends, promise="synced"),
    Row("from rename to EXISTS in IDLE, median", noticing(0.5)),
    Row("from rename to EXISTS in IDLE, 99th percentile", noticing(0.99), most=NOTICE_MS_MAX),
    Row(f"memory of each of {IDLERS:,} that IDLE", idle_memory, once=True),
)
