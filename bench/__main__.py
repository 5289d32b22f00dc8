"""
The whole bench, at most 15 minutes: every part after the other, and one table of all that they found.

    python -m bench [--part NAME] [--out FOLDER]

Not a measurement of its own. Each part is a program of its own with a time after which it begins nothing more; one that does
not end even then is ended. What was not measured has a row that says so. The table is bench.md in the folder, and bench.json.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click

from bench.contestants import Postfix, Pymta
from bench.imap_stores import dovecot_version
from bench.limit import GRACE_S
from bench.lines import LINE_COLUMNS, Line, left_out, machine, markdown, show
from bench.relay import OUT

#: When no part is begun any more, whatever they were promised. With the grace of the last it is less than 15 minutes.
TOTAL_S_MAX = 13 * 60
#: A part that has broken off still ends what it started: Postfix, Dovecot, a thousand connections.
ENDING_S_MAX = 15


class Part(NamedTuple):
    """One program of the bench."""

    name: str
    """Of the file with its lines."""
    title: str
    seconds_max: float
    command: tuple[str, ...]


OWN_LOAD = (
    "--load",
    "pymta",
    "--scenario",
    "kept-open",
    "--rounds",
    "2",
    "--only",
    "pymta",
    "--only",
    "floor",
)
PARTS = (
    Part("relay", "relay", 320, ("bench.relay",)),
    Part(
        "relay-own-load",
        "relay, with pymta load and pymta sink",
        40,
        ("bench.relay", *OWN_LOAD, "--only", "postfix"),
    ),
    Part("aims", "beside itself", 130, ("bench.aims",)),
    Part("keeping", "keeping", 110, ("bench.keeping",)),
    Part("logins", "logins", 60, ("bench.logins",)),
    Part("delivery", "delivery", 60, ("bench.delivery",)),
    Part("imap", "reading", 150, ("bench.imap",)),
)
COLUMNS = ("part", *LINE_COLUMNS)


def take(part: Part, out: Path, seconds: float) -> str | None:
    """Run it; why it has no whole table, or None. What it found is in *out*, also when it did not end by itself."""
    command = [sys.executable, "-m", *part.command, "--seconds", f"{seconds:.0f}", "--out", str(out)]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        status = process.wait(seconds + GRACE_S + ENDING_S_MAX)
    except subprocess.TimeoutExpired:
        return f"ended after {seconds + GRACE_S + ENDING_S_MAX:.0f} s"
    finally:
        _end(process)
    return None if status == 0 else f"it failed with status {status}, see above"


def _end(process: subprocess.Popen[bytes]) -> None:
    """With SIGTERM it ends what it started; without, its session is ended."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(ENDING_S_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(ENDING_S_MAX)


def found(part: Part, out: Path) -> list[Line]:
    """The lines that it kept."""
    file = out / f"{part.name}.json"
    if not file.exists():
        return []
    return [Line(**line) for line in json.loads(file.read_text(encoding="utf-8"))["lines"]]


def where() -> str:
    """Machine, versions and commit, and the day."""
    with tempfile.TemporaryDirectory(prefix="pymta-bench-") as folder:
        place = machine(Path(folder))
    versions = f"pymta {Pymta().version}; Postfix {Postfix().version}; Dovecot {dovecot_version()}"
    return f"{place}; {versions}; {datetime.now(UTC):%Y-%m-%d}"


@click.command(help=__doc__)
@click.option(
    "--part", "names", multiple=True, type=click.Choice([part.name for part in PARTS]), help="Only this one."
)
@click.option("--out", type=click.Path(path_type=Path), default=OUT, help="Where the tables go.")
def main(names: tuple[str, ...], out: Path) -> None:
    """Measure all, print one table, keep it in *out*."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # the part under way is ended
    parts = [part for part in PARTS if not names or part.name in names]
    out.mkdir(parents=True, exist_ok=True)
    told = where()  # before anything is measured: it needs all that the parts need
    began_s = time.monotonic()
    lines: list[tuple[str, Line]] = []
    has_failed = False
    durations = []
    for number, part in enumerate(parts):
        passed_s = time.monotonic() - began_s
        seconds = min(part.seconds_max, TOTAL_S_MAX - passed_s)
        click.echo(
            f"[{number + 1}/{len(parts)}] {part.title}: {passed_s:.0f} s so far, now at most {max(seconds, 0):.0f}",
            err=True,
        )
        (out / f"{part.name}.json").unlink(missing_ok=True)
        why = take(part, out, seconds) if seconds > 0 else "the time was up"
        has_failed |= why is not None
        lines += [(part.title, line) for line in found(part, out)]
        if why is not None:
            lines.append((part.title, left_out("the rest of it", why)))
        durations.append(f"{part.name} {time.monotonic() - began_s - passed_s:.0f} s")
    write(out, lines, f"{told}; took {time.monotonic() - began_s:.0f} s: {', '.join(durations)}")
    sys.exit(int(has_failed))


def write(out: Path, lines: list[tuple[str, Line]], told: str) -> None:
    """Show the one table, and keep it as markdown and as JSON."""
    caption = f"{told}. Medians of interleaved rounds, ratios within a round; who is compared has its data on the same file system."
    cells = [(title, *line.cells()) for title, line in lines]
    show("the whole bench", COLUMNS, cells)
    print(caption)
    text = ["# the whole bench", "", caption, "", *markdown(COLUMNS, cells), ""]
    (out / "bench.md").write_text("\n".join(text), encoding="utf-8")
    kept = {"where": told, "lines": [{"part": title, **asdict(line)} for title, line in lines]}
    (out / "bench.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")
    print(f"kept as bench.md and bench.json in {out}, beside a file for each part")


if __name__ == "__main__":
    main()
