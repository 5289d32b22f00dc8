"""
What it costs to keep things: a deep queue, idle connections, large messages on their way.

    python -m bench.keeping [--quick] [--scenario NAME] [--seconds N] [--folder FOLDER]

Not about speed with nothing in the way (relay.py). Memory is the process's resident memory, before and after; a rate
beside a deep queue is a ratio to the same rate with an empty one, measured in the same run, in turns.
"""

import contextlib
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click
from rich.progress import Progress, track

from bench.contestants import Pymta, pymta_configuration
from bench.deep import SWALLOWING, fill
from bench.limit import Limit
from bench.lines import Line, Part, machine, spread
from bench.processes import (
    end,
    find_program,
    memory_octets,
    memory_octets_max,
    wait_for,
)
from bench.relay import OUT, SmtpSink, wait_all_arrived

HERE = Path(__file__).resolve().parent
LARGE_COUNT, LARGE_OCTETS = 20, 50_000_000
SECONDS_MAX = 140


class Server:
    """pymta with its data in *folder*, everything on, all mail to one next hop but for a domain that swallows."""

    def __init__(
        self, folder: Path, next_hop_port: int, *, swallowing_port: int = 9, extra: str = ""
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        template, self.port = pymta_configuration(folder, next_hop_port)
        route = f'[[routes]]\ndomain = "{SWALLOWING}"\nnext_hops = ["127.0.0.1:{swallowing_port}"]\n'
        (folder / "pymta.toml").write_text(f"{template}\n{route}\n{extra}", encoding="utf-8")

    def start(self) -> float:
        """Returns the seconds until its first 220."""
        began = time.perf_counter()
        self._output = (self.folder / "output").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pymta", "serve", "--config", self.folder / "pymta.toml"],
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        wait_for(self._greets, "a 220", limit_s=120)
        return time.perf_counter() - began

    def _greets(self) -> bool:
        if self._process.poll() is not None:
            raise SystemExit((self.folder / "output").read_text(encoding="utf-8")[-2000:])
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 30) as probe:
            return probe.recv(100).startswith(b"220")
        return False

    @property
    def memory_octets(self) -> int:
        """Resident now."""
        return memory_octets(self._process.pid)

    @property
    def memory_octets_max(self) -> int:
        """The most that was ever resident."""
        return memory_octets_max(self._process.pid)

    def stop(self) -> None:
        """SIGTERM and wait."""
        end(self._process)
        self._output.close()


def relayed_per_s(server: Server, sink: SmtpSink, count: int) -> float:
    """Messages per second through *server* to *sink*, with smtp-source on 20 connections that are kept."""
    before = sink.count()
    command = [find_program("smtp-source"), "-s", "20", "-d", "-m", str(count), "-l", "4096"]
    command += ["-f", "author@example.test", "-t", "reader@healthy.example", f"127.0.0.1:{server.port}"]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=600)
    wait_all_arrived(sink, before + count, "pymta")
    return count / (time.perf_counter() - began)


# ---- the scenarios -------------------------------------------------------------------------------------------------


def deep_queue(folder: Path, share: int) -> Iterator[Line]:
    """A million deferred messages to 50,000 domains, one of which accepts connections and says nothing."""
    count = 1_000_000 // share
    sink = SmtpSink(folder)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as swallowing:
        port = swallowing.getsockname()[1]
        empty = Server(folder / "empty", sink.port)
        deep = Server(folder / "deep", sink.port, swallowing_port=port)
        with Progress(transient=True) as progress:
            task = progress.add_task("filling the queue", total=count)
            index_octets = fill(
                deep.folder / "data" / "spool", count, lambda done: progress.update(task, completed=done)
            )
        empty.start()
        memory_empty = empty.memory_octets
        start_s = deep.start()
        try:
            yield Line(
                f"{count:,} deferred: start to first 220", f"{start_s:.1f} s", "<= 10 s", start_s <= 10
            )
            each = index_octets / count
            yield Line("index and schedule, each message", f"{each:.0f} octets", "<= 100 octets", each <= 100)
            resident = (deep.memory_octets - memory_empty) / count
            yield Line("resident memory beside an empty server's, each", f"{resident:.0f} octets", "", None)
            rates: dict[Server, list[float]] = {empty: [], deep: []}
            for number in track(range(6), "relaying beside it", transient=True):
                for server in (empty, deep) if number % 2 else (deep, empty):
                    rates[server].append(relayed_per_s(server, sink, 8_000 // min(share, 4)))
            ratios = [d / e for d, e in zip(rates[deep], rates[empty], strict=True)]
            ratio = statistics.median(ratios)
            yield Line(
                "intake and delivery to healthy domains beside them, of an empty queue's",
                f"{ratio:.2f} ({statistics.median(rates[deep]):,.0f} messages/s)",
                ">= 0.90",
                ratio >= 0.9,
                promise="synced",
                spread=spread(min(ratios), max(ratios), 2),
                rounds=len(ratios),
            )
        finally:
            deep.stop()
            empty.stop()
            sink.stop()


def idle_connections(folder: Path, share: int, *, tls: bool) -> Iterator[Line]:
    """Ten thousand clients that were greeted, said EHLO and then nothing."""
    count = 10_000 // share
    extra = "[limits]\nconnections_max = 20000\nconnections_per_address_max = 20000\n"
    kind = "under TLS" if tls else "in the clear"
    sink = SmtpSink(folder)
    server = Server(folder / "server", sink.port, extra=extra)
    if tls:
        certify(server)
    server.start()
    held: list[subprocess.Popen[bytes]] = []
    try:
        relayed_per_s(server, sink, 500)  # what is made on first use is not the connections'
        before = server.memory_octets
        command = [
            sys.executable,
            "-m",
            "bench.idle_clients",
            str(server.port),
            str(count),
            "tls" if tls else "clear",
        ]
        clients = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
        held.append(clients)
        assert clients.stdout is not None
        answer = clients.stdout.readline()
        if answer.strip() != b"held":
            raise SystemExit(f"the idle clients failed: {answer!r}")
        each = (server.memory_octets - before) / count
        aim = 32 if tls else 4
        text = f"{each / 1024:.1f} KiB"
        yield Line(f"{count:,} idle connections {kind}, each", text, f"<= {aim} KiB", each <= aim * 1024)
    finally:
        for process in held:
            end(process)
        server.stop()
        sink.stop()


def certify(server: Server) -> None:
    """Give *server*'s listener a certificate of its own making."""
    certificate, key = server.folder / "certificate.pem", server.folder / "key.pem"
    subprocess.run(
        [
            find_program("openssl"),
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            key,
            "-out",
            certificate,
            "-days",
            "2",
            "-subj",
            "/CN=pymta.test",
        ],
        check=True,
        capture_output=True,
    )
    file = server.folder / "pymta.toml"
    text = file.read_text(encoding="utf-8")
    options = f'tls = "starttls"\ncertificate_file = "{certificate}"\nkey_file = "{key}"\n'
    file.write_text(text.replace('role = "relay"\n', f'role = "relay"\n{options}'), encoding="utf-8")


def large_messages(folder: Path, share: int) -> Iterator[Line]:
    """Twenty messages of 50 MB at once, all the way to the sink."""
    del share
    sink = SmtpSink(folder)
    server = Server(folder / "server", sink.port)
    server.start()
    try:
        relayed_per_s(server, sink, 500)
        before, arrived = server.memory_octets_max, sink.count()
        command = [
            find_program("smtp-source"),
            "-s",
            str(LARGE_COUNT),
            "-m",
            str(LARGE_COUNT),
            "-l",
            str(LARGE_OCTETS),
        ]
        began = time.perf_counter()
        command += ["-f", "author@example.test", "-t", "reader@healthy.example", f"127.0.0.1:{server.port}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=600)
        wait_all_arrived(sink, arrived + LARGE_COUNT, "pymta")
        took_s = time.perf_counter() - began
        grown = server.memory_octets_max - before
        yield Line(
            f"{LARGE_COUNT} messages of 50 MB at once: memory grows by",
            f"{grown / 2**20:.0f} MiB",
            "<= 32 MB",
            grown <= 32_000_000,
        )
        yield Line(
            "their way through, all of them",
            f"{LARGE_COUNT * LARGE_OCTETS / took_s / 1e6:.0f} MB/s",
            "",
            None,
        )
    finally:
        server.stop()
        sink.stop()


def idle_clear(folder: Path, share: int) -> Iterator[Line]:
    """See `idle_connections`."""
    return idle_connections(folder, share, tls=False)


def idle_tls(folder: Path, share: int) -> Iterator[Line]:
    """See `idle_connections`."""
    return idle_connections(folder, share, tls=True)


SCENARIOS: dict[str, Callable[[Path, int], Iterator[Line]]] = {
    "deep": deep_queue,
    "idle": idle_clear,
    "idle-tls": idle_tls,
    "large": large_messages,
}


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="A tenth of everything but the size of messages.")
@click.option("--scenario", "names", multiple=True, type=click.Choice(list(SCENARIOS)), help="Only this one.")
@click.option("--folder", type=click.Path(path_type=Path, exists=True), help="Where the data is; a disk.")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, help="Where the table goes.")
@click.option("--seconds", default=SECONDS_MAX, show_default=True, help="When the time is up.")
def main(quick: bool, names: tuple[str, ...], seconds: float, folder: Path | None, out: Path) -> None:
    """Measure, print a table, keep it in *out*."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Limit(seconds) as bound, tempfile.TemporaryDirectory(prefix="pymta-bench-", dir=folder) as data:
        Path(data).chmod(0o755)
        table = Part(out, "keeping", f"{machine(Path(data))}; pymta {Pymta().version}", bound)
        for name in names or SCENARIOS:
            place = Path(data) / name
            place.mkdir()
            place.chmod(0o755)
            table.add(name, partial(SCENARIOS[name], place, 10 if quick else 1))
            shutil.rmtree(place)
    table.write("what it costs to keep things")


if __name__ == "__main__":
    main()
