"""
How fast mail is relayed: pymta beside the floor, Postfix and others that are there, in one run, round by round.

    python -m bench.relay [--quick] [--rounds N] [--seconds N] [--scenario NAME] [--only NAME] [--load pymta]

Not a test and not a soak. A measurement begins when the load begins and ends when the sink has counted the last message,
so a relay gains nothing by accepting what it has not delivered. Rounds are interleaved (each contestant once, in an order
that rotates), because a machine's speed drifts; the figures are medians, with the lowest and the highest beside them. When the time
is up, what is left out are first the rounds of those that were fetched, and the table says so.
"""

import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import click

from bench import report
from bench.contestants import ROUNDS_MAX, Contestant, Floor, available
from bench.fetched import fetched
from bench.limit import Limit, TimeUp
from bench.lines import Line, left_out, machine
from bench.processes import cpu_s, end, find_program, free_port, memory_octets_max, wait_for, wait_listening

OUT = Path(__file__).resolve().parent / "out"
LOAD_S_MAX = 600
# Sent before anything is measured, to each of them: how a server starts (files laid out ahead, connections opened, code
# met for the first time) is a cost of starts, and would count eight times as much in a quick run.
WARM_UP = 200
STALL_S_MAX = 30
# Who is slow by orders is measured for about so long, at the rate of its own warm-up: counts that keep the others busy for
# seconds would keep it busy for minutes.
SLOW_S = 6
SLOW_COUNT_MIN = 20
SECONDS_MAX = 330
GUEST_S = 15
QUICK_SHARE = 8
PYMTA = (sys.executable, "-m", "pymta")
TLS = ("--tls", "starttls")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of load."""

    name: str
    title: str
    count: int
    """Messages in one round; who is slower gets a part of `slow_count`."""
    slow_count: int
    octets: int
    sessions: int
    keeps_open: bool
    aim: report.Aim = report.NO_AIM


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "kept-open",
            "4 KiB, 20 connections kept open",
            20_000,
            3_000,
            4096,
            20,
            True,
            report.Aim(0.75, 10),
        ),
        Scenario(
            "new",
            "4 KiB, a new connection each, 100 at once",
            16_000,
            3_000,
            4096,
            100,
            False,
            report.Aim(0.6, 8),
        ),
        Scenario(
            "large", "64 KiB, 20 connections kept open", 5_000, 1_000, 65536, 20, True, report.Aim(0.75)
        ),
    )
}


class SmtpSink:
    """Postfix's smtp-sink as the next hop; its counter goes to a file, each figure behind a carriage return."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._counter = folder / "sink"
        command = [find_program("smtp-sink"), "-c", "-m", "1000"]
        if os.geteuid() == 0:
            command += ["-u", "nobody"]
        with self._counter.open("wb") as stream:
            self._process = subprocess.Popen([*command, f"127.0.0.1:{self.port}", "1000"], stdout=stream)
        wait_listening(self.port, self._process)

    def count(self) -> int:
        """Messages that arrived so far."""
        with self._counter.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - 200))
            shown = re.findall(rb"mesg=(\d+)[ \r]", stream.read())
        return int(shown[-1]) if shown else 0

    def stop(self) -> None:
        """End it."""
        end(self._process)


class PymtaSink(SmtpSink):
    """`pymta sink` in its place."""

    def __init__(self, folder: Path, *, tls: bool = False) -> None:
        self.port = free_port()
        self._counter = folder / "sink"
        self._errors = (folder / "sink-errors").open("wb")
        with self._counter.open("wb") as stream:
            self._process = subprocess.Popen(
                [
                    *PYMTA,
                    "sink",
                    f"127.0.0.1:{self.port}",
                    "--json",
                    "--every",
                    "0.02",
                    *(TLS if tls else ()),
                ],
                stdout=stream,
                stderr=self._errors,
            )
        wait_listening(self.port, self._process)

    def count(self) -> int:
        """Messages that arrived so far, from its latest line of progress."""
        shown = re.findall(rb'"messages": ?(\d+)', self._counter.read_bytes()[-4000:])
        return int(shown[-1]) if shown else 0

    def stop(self) -> None:
        """End it."""
        super().stop()
        self._errors.close()


def load_command(load: str, scenario: Scenario, count: int, port: int) -> list[str]:
    """The command that sends one round's messages."""
    if load != "postfix":
        command = [*PYMTA, "load", f"127.0.0.1:{port}", "--messages", str(count)]
        command += ["--connections", str(scenario.sessions), "--size", str(scenario.octets), "--json"]
        command += TLS if load == "pymta-tls" else ()
        return command if scenario.keeps_open else [*command, "--messages-per-connection", "1"]
    command = [find_program("smtp-source"), "-s", str(scenario.sessions), "-m", str(count)]
    command += ["-l", str(scenario.octets), "-f", "author@example.test", "-t", "reader@example.test"]
    return [*command, *(["-d"] if scenario.keeps_open else []), f"127.0.0.1:{port}"]


def wait_all_arrived(sink: SmtpSink, count: int, by_way_of: str) -> None:
    """Return when *sink* has *count* messages; SystemExit where no more come."""
    arrived = sink.count()

    def more_arrived() -> bool:
        return sink.count() > arrived

    while arrived < count:
        what = f"more than {arrived} of {count} messages arrived by way of {by_way_of}"
        wait_for(more_arrived, what, limit_s=STALL_S_MAX)
        arrived = sink.count()


def measure(
    number: int, contestant: Contestant, scenario: Scenario, count: int, folder: Path, load: str
) -> report.Measurement:
    """Start the contestant and its sink, send *count* messages through, and end both."""
    folder.mkdir()
    folder.chmod(0o755)  # Postfix's daemons must get through
    sink = SmtpSink(folder) if load == "postfix" else PymtaSink(folder, tls=load == "pymta-tls")
    data = folder / "data-of-one"
    data.mkdir()
    warm_up = WARM_UP // max(contestant.slower, 1)
    try:
        port, pid = contestant.start(data, sink.port)
    except BaseException:
        sink.stop()
        shutil.rmtree(folder)
        raise
    try:
        warmed = time.perf_counter()
        _send(contestant, scenario, warm_up, port, load)
        wait_all_arrived(sink, warm_up, contestant.name)
        if contestant.slower > 1:
            per_s = warm_up / (time.perf_counter() - warmed)
            count = max(min(count, int(per_s * SLOW_S)), SLOW_COUNT_MIN)
        cpu_before_s = cpu_s(pid)
        began = time.perf_counter()
        _send(contestant, scenario, count, port, load)
        accepted_s = time.perf_counter() - began
        wait_all_arrived(sink, warm_up + count, contestant.name)
        took_s = time.perf_counter() - began
        return report.Measurement(
            contestant=contestant.name,
            promise=contestant.promise,
            scenario=scenario.name,
            round=number,
            messages=count,
            took_s=took_s,
            accepted_s=accepted_s,
            cpu_s=cpu_s(pid) - cpu_before_s if contestant.is_whole_cpu else 0.0,
            memory_octets_max=memory_octets_max(pid),
            surplus=sink.count() - count - warm_up,
        )
    finally:
        contestant.stop()
        sink.stop()
        shutil.rmtree(folder)


def _send(contestant: Contestant, scenario: Scenario, count: int, port: int, load: str) -> None:
    done = subprocess.run(
        load_command(load, scenario, count, port),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LOAD_S_MAX,
    )
    if done.returncode != 0:
        raise SystemExit(
            f"{contestant.name}, {scenario.name}: the load failed: {done.stdout.decode()[-500:]}"
        )


@dataclass(slots=True)
class Run:
    """One run: what was measured, and what was not for want of time or because a contestant failed."""

    load: str
    share: int
    folder: Path
    bound: Limit
    measurements: list[report.Measurement] = field(default_factory=list)
    omitted: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """By scenario's title and contestant: why, once for each round."""

    def go(self, contestants: list[Contestant], scenarios: list[Scenario], rounds: int) -> None:
        """Every contestant in every scenario, *rounds* times; each round begins with another contestant."""
        guests = [contestant for contestant in contestants if contestant.rounds_max < ROUNDS_MAX]
        hosts = [contestant for contestant in contestants if contestant not in guests]
        hosts_s = 0.0
        for number in range(rounds):
            began_s = time.monotonic()
            for scenario in scenarios:
                for contestant in _rotated(hosts, number):
                    self.take(number, contestant, scenario, reserve_s=0)
            hosts_s = max(hosts_s, time.monotonic() - began_s)
            reserve_s = hosts_s * (rounds - number - 1) + GUEST_S
            for scenario, contestant in itertools.product(scenarios, _rotated(guests, number)):
                if number < contestant.rounds_max:
                    self.take(number, contestant, scenario, reserve_s=reserve_s)

    def take(self, number: int, contestant: Contestant, scenario: Scenario, *, reserve_s: float) -> None:
        """One measurement; it, or why there is none, is kept."""
        if self.bound.left_s <= reserve_s:
            self.omit(scenario, contestant, "the time was up")
            return
        slower = contestant.slower
        count = (scenario.slow_count // slower if slower else scenario.count) // self.share
        place = self.folder / f"{scenario.name}-{number}-{contestant.name}"
        try:
            measured = measure(number, contestant, scenario, count, place, self.load)
        except (SystemExit, TimeUp, subprocess.SubprocessError) as why:
            if isinstance(why, SystemExit) and isinstance(why.code, int):
                raise  # somebody ends the bench
            self.omit(scenario, contestant, str(why))
            return
        self.measurements.append(measured)
        click.echo(
            f"{scenario.name} {number + 1} {contestant.name}: {measured.per_s:.0f} messages/s, "
            f"{measured.cpu_us_each:.0f} us of processor time each",
            err=True,
        )

    def omit(self, scenario: Scenario, contestant: Contestant, why: str) -> None:
        """Keep that there is no figure."""
        click.echo(f"{scenario.name} {contestant.name} left out: {why}", err=True)
        self.omitted.setdefault((scenario.title, contestant.name), []).append(why)

    def left_out(self) -> list[Line]:
        """A line for each pair of which rounds are missing."""
        return [
            left_out(title, f"{len(why)} of its rounds: {why[-1]}", who)
            for (title, who), why in self.omitted.items()
        ]


def _rotated(contestants: list[Contestant], number: int) -> list[Contestant]:
    turn = number % max(len(contestants), 1)
    return contestants[turn:] + contestants[:turn]


@click.command(help=__doc__)
@click.option("--rounds", default=3, show_default=True, help="How often each is measured.")
@click.option("--seconds", default=SECONDS_MAX, show_default=True, help="When the time is up.")
@click.option(
    "--quick", is_flag=True, help="Two rounds with an eighth of the messages: a look, not a figure."
)
@click.option("--scenario", "names", multiple=True, type=click.Choice(list(SCENARIOS)), help="Only this one.")
@click.option("--only", multiple=True, help="Only this contestant: pymta, floor, postfix ...")
@click.option(
    "--floor",
    "other_floor",
    type=click.Path(path_type=Path, exists=True),
    help="Another floor, as `reference`.",
)
@click.option(
    "--load",
    type=click.Choice(["postfix", "pymta"]),
    default="postfix",
    help="Whose load generator and sink.",
)
@click.option(
    "--folder", type=click.Path(path_type=Path, exists=True), help="Where the data is; a disk, not a tmpfs."
)
@click.option("--out", type=click.Path(path_type=Path), default=OUT, help="Where the tables go.")
def main(
    rounds: int,
    seconds: float,
    quick: bool,
    names: tuple[str, ...],
    only: tuple[str, ...],
    other_floor: Path | None,
    load: str,
    folder: Path | None,
    out: Path,
) -> None:
    """Measure, print a table, keep it in *out*."""
    found = {**available(), **fetched()}
    if other_floor is not None:
        found["reference"] = Floor(other_floor.resolve(), "reference")
    unknown = set(only) - set(found)
    if unknown:
        raise click.UsageError(f"cannot run here: {', '.join(sorted(unknown))}; can: {', '.join(found)}")
    contestants = [contestant for name, contestant in found.items() if not only or name in only]
    scenarios = [SCENARIOS[name] for name in names or SCENARIOS]
    with Limit(seconds) as bound, tempfile.TemporaryDirectory(prefix="pymta-bench-", dir=folder) as data:
        Path(data).chmod(0o755)
        done = Run(load, QUICK_SHARE if quick else 1, Path(data), bound)
        done.go(contestants, scenarios, 2 if quick else rounds)
        where = machine(Path(data))
    versions = ", ".join(f"{c.name} {c.version}" for c in contestants if c.version)
    report.write(
        out,
        "relay" if load == "postfix" else "relay-own-load",
        {scenario.name: scenario.title for scenario in scenarios},
        done.measurements,
        f"{where}; {versions}",
        done.left_out(),
        {scenario.name: scenario.aim for scenario in scenarios},
    )


if __name__ == "__main__":
    main()
