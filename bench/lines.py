"""
The lines of which every part's table is made, and the table of the whole bench: one figure each, with its spread and its aim.

Not a measurement, and not the tables of bench/relay.py, which have columns of their own (report.py).
"""

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.limit import Limit, TimeUp

__all__ = [
    "LINE_COLUMNS",
    "Line",
    "keep_lines",
    "left_out",
    "machine",
    "markdown",
    "show",
    "spread",
    "write_lines",
]

#: Where standard output is a file.
TERMINAL_COLUMNS = 150


@dataclass(frozen=True, slots=True)
class Line:
    """One figure, and what it should be."""

    what: str
    figure: str
    """The median, where there were rounds."""
    aim: str = ""
    holds: bool | None = None
    """None where there is no aim."""
    who: str = "pymta"
    promise: str = ""
    """What a 250 or an OK means (contestants.Promise), where something is kept."""
    spread: str = ""
    """The lowest and the highest."""
    rounds: int = 1
    beside: str = ""
    """Ratios to who else was measured, within a round."""

    def cells(self) -> tuple[str, ...]:
        """As LINE_COLUMNS has it."""
        met = {True: "yes", False: "no", None: ""}[self.holds]
        rounds = str(self.rounds) if self.rounds else ""
        width = self.spread if self.rounds > 1 else ""
        return self.what, self.who, self.promise, self.figure, width, rounds, self.beside, self.aim, met


LINE_COLUMNS = ("what", "who", "its 250 means", "figure", "lowest-highest", "rounds", "beside", "aim", "met")


def left_out(what: str, why: object, who: str = "pymta") -> Line:
    """The line of what has no figure; of *why*, which may be what a server said last, its first line."""
    told = str(why).strip().splitlines() or ["no reason was given"]
    return Line(what, f"left out: {told[0][:120]}", who=who, rounds=0)


def spread(low: float, high: float, digits: int = 0) -> str:
    """The lowest and the highest, as every table shows them."""
    return f"{low:,.{digits}f}-{high:,.{digits}f}"


def keep_lines(out: Path, name: str, where: str, lines: list[Line]) -> None:
    """Keep what there is so far in *name*.json."""
    out.mkdir(parents=True, exist_ok=True)
    kept = {"where": where, "lines": [asdict(line) for line in lines]}
    (out / f"{name}.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")


def write_lines(out: Path, name: str, title: str, lines: list[Line], where: str) -> None:
    """Show single figures with their aims, and write *name*.md and .json into *out*."""
    keep_lines(out, name, where, lines)
    text = [f"# {title}", "", where, "", *markdown(LINE_COLUMNS, [line.cells() for line in lines]), ""]
    (out / f"{name}.md").write_text("\n".join(text), encoding="utf-8")
    show(title, LINE_COLUMNS, [line.cells() for line in lines])


class Part:
    """The lines of one part while they are made, kept after each: who is ended in the middle has measured something, too."""

    def __init__(self, out: Path, name: str, where: str, bound: Limit) -> None:
        self.lines: list[Line] = []
        self._out, self._name, self._where, self._bound = out, name, where, bound

    def add(self, what: str, measure: Callable[[], Iterable[Line]]) -> None:
        """The lines of *measure*, as they come; or why there are none."""
        if self._bound.is_over:
            self._keep(left_out(what, "the time was up"))
            return
        try:
            for line in measure():
                self._keep(line)
        except (TimeUp, subprocess.SubprocessError) as why:
            self._keep(left_out(what, why))

    def _keep(self, line: Line) -> None:
        self.lines.append(line)
        print(f"{line.who}, {line.what}: {line.figure}", file=sys.stderr, flush=True)
        keep_lines(self._out, self._name, self._where, self.lines)

    def write(self, title: str) -> None:
        """Show all of them."""
        write_lines(self._out, self._name, title, self.lines, self._where)


def markdown(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    head = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    return [*head, *("| " + " | ".join(row) + " |" for row in cells)]


def show(title: str, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """The same on the terminal, without the columns in which nothing is."""
    used = [place for place in range(len(columns)) if any(row[place] for row in cells)]
    table = Table(*(columns[place] for place in used), title=title)
    for row in cells:
        table.add_row(*(row[place] for place in used))
    Console(width=None if sys.stdout.isatty() else TERMINAL_COLUMNS).print(table)


def machine(folder: Path) -> str:
    """Where it was measured, in one line: kernel, cores, and the file system of *folder*."""
    resolved = str(folder.resolve())
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    under = [(point, kind) for point, kind in mounts if resolved.startswith(point.rstrip("/") + "/")]
    kind = max(under, key=lambda mount: len(mount[0]))[1]
    note = ", where a sync does nothing: choose another --folder" if kind == "tmpfs" else ""
    processor = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
    model = "" if processor is None else f" of {processor[1]}"
    return f"Linux {platform.release()}, {os.cpu_count()} cores{model}, data on {kind}{note}; Python {platform.python_version()}"
