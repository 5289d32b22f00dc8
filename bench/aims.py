"""
What pymta costs beside itself: hooks, TLS, several workers, and how long a client waits for its 250.

    python -m bench.aims [--quick] [--scenario NAME] [--seconds N] [--folder FOLDER]

Not about other servers (relay.py) nor about keeping things (keeping.py). Each line is a ratio within one run, the two sides in
turns; the figure is the median of the rounds' ratios, with the lowest and the highest.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from bench.contestants import Contestant, Pymta
from bench.limit import Limit
from bench.lines import Line, Part, machine, spread
from bench.processes import wait_for
from bench.relay import OUT, PYMTA, SCENARIOS, PymtaSink, Scenario, measure

ROUNDS = 3
SYNCS = 300
LATENCY_S, LATENCY_S_QUICK = 15, 4
CONNECTIONS = 20
ARRIVAL_S_MAX = 30
SECONDS_MAX = 150


class Bench:
    """How much is measured, and where."""

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self.folder = folder
        self.rounds = 2 if quick else ROUNDS
        self.count = (20_000 if not quick else 2_500) // 2
        self.latency_s = LATENCY_S_QUICK if quick else LATENCY_S

    def ratios(self, new: Contestant, old: Contestant, load: str, scenario: Scenario) -> list[float]:
        """Of each round: how fast *new* is beside *old*, who begins in turns."""
        found = []
        for number in range(self.rounds):
            per_s: dict[str, float] = {}
            for one in (new, old) if number % 2 else (old, new):
                way = load + "-tls" if load == "pymta" and one.name.endswith("TLS") else load
                place = self.folder / f"{one.name}-{number}".replace(" ", "-")
                per_s[one.name] = measure(number, one, scenario, self.count, place, way).per_s
            found.append(per_s[new.name] / per_s[old.name])
            told = ", ".join(f"{name} {rate:,.0f}/s" for name, rate in per_s.items())
            click.echo(f"{number + 1}/{self.rounds} {told}", err=True)
        return found


def _line(what: str, ratios: list[float], aim: float | None) -> Line:
    middle = statistics.median(ratios)
    return Line(
        what,
        f"{middle:.2f}",
        "" if aim is None else f">= {aim:g}",
        None if aim is None else middle >= aim,
        promise="synced",
        spread=spread(min(ratios), max(ratios), 2),
        rounds=len(ratios),
    )


def hooks(bench: Bench) -> list[Line]:
    """A hook of a signer's size at every stage, beside no hook at all."""
    with_hooks, without = Pymta("hooks", "dkim_policy.py"), Pymta("no hooks", None)
    ratios = bench.ratios(with_hooks, without, "postfix", SCENARIOS["kept-open"])
    return [_line("hooks that read five header fields and add one, of no hooks", ratios, 0.85)]


def tls(bench: Bench) -> list[Line]:
    """STARTTLS in and out on kept connections, beside the clear; load and sink, which pay too, are pymta's own."""
    ratios = bench.ratios(Pymta("STARTTLS", tls=True), Pymta("clear"), "pymta", SCENARIOS["kept-open"])
    return [_line("STARTTLS in and out, connections kept, of the clear", ratios, 0.7)]


def workers(bench: Bench) -> list[Line]:
    """As many workers as cores, beside one; the load and the sink use the same cores."""
    count = os.cpu_count() or 1
    many, one = Pymta(f"{count} workers", workers=count), Pymta("1 worker")
    ratios = bench.ratios(many, one, "postfix", SCENARIOS["kept-open"])
    return [_line(f"{count} workers of 1, load and sink on the same {count} cores", ratios, None)]


def _wait_arrived(sink: PymtaSink, count: int) -> None:
    wait_for(lambda: sink.count() >= count, "all messages are at the sink", limit_s=ARRIVAL_S_MAX)


def latency(bench: Bench) -> list[Line]:
    """From the end of the content to the 250 at half the maximal rate, in syncs of that disk."""
    found, waits_ms, syncs_ms = [], [], []
    for number in range(bench.rounds):
        place = bench.folder / f"latency-{number}"
        place.mkdir()
        sink = PymtaSink(place)
        relay = Pymta()
        port, _ = relay.start(place, sink.port)
        try:
            most_per_s: float = _load(port, "--messages", str(bench.count // 2))["per_s"]
            _wait_arrived(sink, bench.count // 2)
            sync_ms = sync_median_ms(place)
            loaded = _load(port, "--duration", str(bench.latency_s), "--rate", f"{most_per_s / 2:.0f}")
            sync_ms = (sync_ms + sync_median_ms(place)) / 2
        finally:
            relay.stop()
            sink.stop()
        wait_ms: float = loaded["latency_ms"]["end_to_reply"]["p50"]
        found.append(wait_ms / sync_ms)
        waits_ms.append(wait_ms)
        syncs_ms.append(sync_ms)
        click.echo(
            f"{number + 1}/{bench.rounds} at {most_per_s / 2:,.0f}/s: {wait_ms:.2f} ms, a sync {sync_ms:.2f} ms",
            err=True,
        )
    middle = statistics.median(found)
    what = (
        f"median from the end of the content to the 250 at half the maximal rate "
        f"({statistics.median(waits_ms):.2f} ms), in syncs of this disk ({statistics.median(syncs_ms):.2f} ms)"
    )
    width = spread(min(found), max(found), 2)
    return [
        Line(
            what, f"{middle:.2f}", "<= 1.5", middle <= 1.5, promise="synced", spread=width, rounds=len(found)
        )
    ]


def _load(port: int, *options: str) -> Any:
    command = [*PYMTA, "load", f"127.0.0.1:{port}", "--connections", str(CONNECTIONS), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise SystemExit(f"the load failed: {done.stderr[-500:]}{done.stdout[-500:]}")
    return json.loads(done.stdout)


def sync_median_ms(folder: Path) -> float:
    """How long one fdatasync takes here: of 4 KiB written into a file that has its blocks, with nothing else to do."""
    path = folder / "syncs"
    took_s = []
    with path.open("wb", buffering=0) as stream:
        stream.write(bytes(4096 * SYNCS))
        os.fsync(stream.fileno())
        for number in range(SYNCS):
            os.pwrite(stream.fileno(), os.urandom(4096), 4096 * number)
            began = time.perf_counter()
            os.fdatasync(stream.fileno())
            took_s.append(time.perf_counter() - began)
    path.unlink()
    return statistics.median(took_s) * 1000


SCENES: dict[str, Callable[[Bench], list[Line]]] = {
    "hooks": hooks,
    "tls": tls,
    "workers": workers,
    "latency": latency,
}


@click.command(help=__doc__)
@click.option(
    "--quick", is_flag=True, help="Two rounds with an eighth of the messages: a look, not a figure."
)
@click.option("--scenario", "names", multiple=True, type=click.Choice(list(SCENES)), help="Only this one.")
@click.option("--seconds", default=SECONDS_MAX, show_default=True, help="When the time is up.")
@click.option(
    "--folder", type=click.Path(path_type=Path, exists=True), help="Where the data is; a disk, not a tmpfs."
)
@click.option("--out", type=click.Path(path_type=Path), default=OUT, help="Where the table goes.")
def main(quick: bool, names: tuple[str, ...], seconds: float, folder: Path | None, out: Path) -> None:
    """Measure, print a table, keep it in *out*."""
    with Limit(seconds) as bound, tempfile.TemporaryDirectory(prefix="pymta-bench-", dir=folder) as data:
        Path(data).chmod(0o755)
        bench = Bench(Path(data), quick=quick)
        where = f"{machine(Path(data))}; pymta {Pymta().version}"
        table = Part(out, "aims", where, bound)
        for name in names or SCENES:
            table.add(name, partial(SCENES[name], bench))
    table.write("pymta beside itself")


if __name__ == "__main__":
    sys.exit(main())
