"""
IMAP and POP3 beside Debian's Dovecot, on copies of the same Maildir, on one machine in one run.

    python -m bench.imap [--only pymta] [--messages 100000] [--quick]

One client in this process, in the clear on loopback; what takes the client time to read costs both the same. A figure is of
one run each, one after the other.
"""

import selectors
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import click

from bench import pop3
from bench.imap_stores import ACCOUNT, PASSWORD, STORES, Store, fill, message
from bench.processes import cpu_s, family

TAG = b"zq7x"
MESSAGE_OCTETS = 4096
SEARCHED = 40_000
FETCHED = 10_000
APPENDS, APPENDERS = 500, 4
IDLERS = 1000
NOTICES = 100
#: Between two deliveries. Each is to be told of alone: one that came while the last was still being told of would be told in
#: the same answer, or wait for its client to take that. Dovecot gathers changes for half a second.
BETWEEN_NOTICES_S = 0.05


class Client:
    """The least of one: says a line, reads to its tagged line."""

    def __init__(self, port: int, *, logs_in: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=300)
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
            octets += self.socket.recv(65536)
        return octets


def took(call: Callable[[], object]) -> float:
    """Seconds."""
    began_s = time.perf_counter()
    call()
    return time.perf_counter() - began_s


def logins(store: Store, seconds: float) -> str:
    end_s, count = time.monotonic() + seconds, 0
    while time.monotonic() < end_s:
        Client(store.port).socket.close()
        count += 1
    return f"{count / seconds:.0f}/s"


def first_select(store: Store, _: int) -> str:
    client = Client(store.port)
    return f"{took(lambda: client.ask('SELECT INBOX')):.2f} s"


def select(store: Store, _: int) -> str:
    client = Client(store.port)
    return f"{statistics.median(took(lambda: client.ask('SELECT INBOX')) for _ in range(5)) * 1000:.1f} ms"


def fetch(items: str) -> Callable[[Store, int], str]:
    def measure(store: Store, messages: int) -> str:
        client = Client(store.port)
        client.ask("SELECT INBOX")
        count = min(FETCHED, messages)
        runs = [took(lambda: client.ask(f"FETCH 1:{count} ({items})")) for _ in range(2)]
        return f"{runs[0]:.2f} s, again {runs[1]:.2f} s"

    return measure


def bodies(store: Store, messages: int) -> str:
    client = Client(store.port)
    client.ask("SELECT INBOX")
    octets = 0

    def read() -> None:
        nonlocal octets
        octets = client.ask(f"FETCH 1:{min(FETCHED, messages)} (UID BODY.PEEK[])")

    seconds = took(read)
    return f"{octets / seconds / 1e6:.0f} MB/s"


def search(key: str) -> Callable[[Store, int], str]:
    def measure(store: Store, messages: int) -> str:
        client = Client(store.port)
        client.ask("SELECT INBOX")
        line = f"SEARCH 1:{min(SEARCHED, messages)} {key}"
        runs = [took(lambda: client.ask(line)) for _ in range(2)]
        return f"{runs[0]:.2f} s, again {runs[1]:.2f} s"

    return measure


def appends(store: Store, _: int) -> str:
    content = message(1, MESSAGE_OCTETS).replace(b"\n", b"\r\n")

    def run() -> None:
        client = Client(store.port)
        for _ in range(APPENDS):
            client.append(content)

    threads = [threading.Thread(target=run) for _ in range(APPENDERS)]

    def all_of_them() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return f"{APPENDS * APPENDERS / took(all_of_them):.0f}/s"


def idle_memory(store: Store, _: int) -> str:
    before = memory_octets(store.pid)
    clients = []
    for _ in range(IDLERS):
        client = Client(store.port)
        client.idle()
        clients.append(client)
    grown = memory_octets(store.pid) - before
    for client in clients:
        client.socket.close()
    return f"{grown / IDLERS / 1024:.0f} KiB each"


def memory_octets(pid: int) -> int:
    """Of a process and its children, what is not shared counted once (PSS)."""
    total = 0
    for member in family(pid):
        try:
            text = Path(f"/proc/{member}/smaps_rollup").read_text(encoding="ascii")
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total * 1024


def notices(store: Store, _: int) -> str:
    client = Client(store.port)
    client.idle()
    selector = selectors.DefaultSelector()
    selector.register(client.socket, selectors.EVENT_READ)
    client.socket.setblocking(False)
    waits = []
    for number in range(NOTICES):
        while selector.select(BETWEEN_NOTICES_S):
            client.socket.recv(65536)  # what is still said of the last one
        name = f"{time.time():.6f}.N{number}.bench"
        (store.maildir / "tmp" / name).write_bytes(message(number, 1024))
        began_s = time.perf_counter()
        (store.maildir / "tmp" / name).rename(store.maildir / "new" / name)
        said = b""
        while b"EXISTS" not in said:
            if not selector.select(30):
                raise SystemExit("not told of a message")
            said += client.socket.recv(65536)
        waits.append(time.perf_counter() - began_s)
    waits.sort()
    return f"median {waits[NOTICES // 2] * 1000:.1f} ms, 99th {waits[int(NOTICES * 0.99) - 1] * 1000:.1f} ms"


ROWS: dict[str, Callable[[Store, int], str]] = {
    "SELECT, the first time": first_select,
    "SELECT": select,
    "logins": lambda store, _: logins(store, 3),
    f"FETCH of {FETCHED}, FLAGS": fetch("FLAGS"),
    f"FETCH of {FETCHED}, ENVELOPE": fetch("ENVELOPE"),
    f"FETCH of {FETCHED}, BODYSTRUCTURE": fetch("BODYSTRUCTURE"),
    "bodies": bodies,
    f"SEARCH in {SEARCHED}, SUBJECT": search('SUBJECT "subject 4711 "'),
    f"SEARCH in {SEARCHED}, BODY": search('BODY "word4711 "'),
    f"{APPENDS * APPENDERS} APPENDs by {APPENDERS}": appends,
    "from rename to EXISTS": notices,
    f"memory of {IDLERS} that IDLE": idle_memory,
    **pop3.ROWS,
}


@click.command()
@click.option("--only", multiple=True, type=click.Choice(sorted(STORES)))
@click.option("--row", multiple=True, help="Only rows whose name has this in it.")
@click.option("--messages", default=100_000, show_default=True)
@click.option("--quick", is_flag=True, help="With 5,000 messages: a look, not a figure.")
def main(only: tuple[str, ...], row: tuple[str, ...], messages: int, quick: bool) -> None:
    """Measure, and print a table."""
    messages = 5_000 if quick else messages
    results: dict[str, dict[str, str]] = {name: {} for name in ROWS}
    names = [name for name in STORES if not only or name in only]
    for name in names:
        with tempfile.TemporaryDirectory(prefix=f"pymta-imap-{name}-") as place, ExitStack() as stack:
            folder = Path(place)
            fill(folder / "filled", messages, MESSAGE_OCTETS)
            store = stack.enter_context(STORES[name](folder, folder / "filled"))
            for what, measure in ROWS.items():
                if row and not any(part in what for part in row):
                    continue
                began_s = cpu_s(store.pid)
                results[what][name] = measure(store, messages)
                used_s = cpu_s(store.pid) - began_s
                print(
                    f"{name:<8} {what:<36} {results[what][name]:<40} {used_s:6.2f} s of processor", flush=True
                )
    print(f"\n| {messages} messages of {MESSAGE_OCTETS} octets | " + " | ".join(names) + " |")
    print("| --- |" + " --- |" * len(names))
    for what, found in results.items():
        if found:
            print(f"| {what} | " + " | ".join(found.get(name, "–") for name in names) + " |")


if __name__ == "__main__":
    main()
