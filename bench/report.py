"""
What was measured, for reading: a table on the terminal, and in a folder the same as markdown, JSON and a plot (SVG).

Not a judge: it shows medians, spread and ratios to the floor and to Postfix, and has no opinion but for aims that are written
down.
"""

import json
import os
import platform
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

COLUMNS = (
    "relay",
    "at its 250",
    "messages/s",
    "lowest-highest",
    "accepted/s",
    "of the floor",
    "x Postfix",
    "cpu us each",
    "memory MiB",
)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One contestant in one scenario, once."""

    contestant: str
    scenario: str
    round: int
    messages: int
    took_s: float
    """Until the last message was at the sink."""
    accepted_s: float
    """Until the last message had its 250."""
    cpu_s: float
    memory_octets_max: int
    surplus: int
    """Messages that the sink had more than were sent: duplicates."""
    promise: str = "synced"
    """What a 250 means (contestants.Promise)."""

    @property
    def per_s(self) -> float:
        """Messages per second, to the sink."""
        return self.messages / self.took_s

    @property
    def cpu_us_each(self) -> float:
        """Processor time for one message, of all processes of the relay."""
        return self.cpu_s / self.messages * 1e6


@dataclass(frozen=True, slots=True)
class Row:
    """One contestant in one scenario, all rounds."""

    contestant: str
    per_s: float
    per_s_lowest: float
    per_s_highest: float
    of_floor: float | None
    times_postfix: float | None
    cpu_us_each: float
    memory_octets_max: int
    surplus: int
    promise: str
    accepted_per_s: float

    def cells(self) -> tuple[str, ...]:
        """The row as COLUMNS has it."""
        return (
            self.contestant + (f" ({self.surplus} duplicates)" if self.surplus else ""),
            self.promise,
            f"{self.per_s:,.0f}",
            f"{self.per_s_lowest:,.0f}-{self.per_s_highest:,.0f}",
            f"{self.accepted_per_s:,.0f}",
            "" if self.of_floor is None else f"{self.of_floor:.2f}",
            "" if self.times_postfix is None else f"{self.times_postfix:.1f}",
            f"{self.cpu_us_each:,.0f}" if self.cpu_us_each else "",
            f"{self.memory_octets_max / 2**20:,.0f}",
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One figure and what it should be."""

    what: str
    figure: str
    aim: str
    holds: bool | None
    """None where there is no aim."""

    def cells(self) -> tuple[str, str, str, str]:
        """As a table has it."""
        return self.what, self.figure, self.aim, {True: "yes", False: "no", None: ""}[self.holds]


def write_lines(out: Path, name: str, title: str, lines: list[Line], where: str) -> None:
    """Show single figures with their aims, and write *name*.md and .json into *out*."""
    out.mkdir(parents=True, exist_ok=True)
    table = Table("what", "figure", "aim", "met", title=title)
    text = [f"# {name}", "", where, "", "| what | figure | aim | met |", "|---|---|---|---|"]
    for line in lines:
        table.add_row(*line.cells())
        text.append("| " + " | ".join(line.cells()) + " |")
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    (out / f"{name}.md").write_text("\n".join([*text, ""]), encoding="utf-8")
    kept = {"where": where, "lines": [asdict(line) for line in lines]}
    (out / f"{name}.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")


def rows(scenario: str, measurements: list[Measurement]) -> list[Row]:
    """The rows of one scenario, the fastest first."""
    of_each: dict[str, list[Measurement]] = {}
    for measured in measurements:
        if measured.scenario == scenario:
            of_each.setdefault(measured.contestant, []).append(measured)
    medians = {name: statistics.median(m.per_s for m in group) for name, group in of_each.items()}

    def ratio(name: str, other: str) -> float | None:
        """Of the same round each, then the median: what disturbs a round disturbs both."""
        if name == other or other not in of_each:
            return None
        others = {m.round: m.per_s for m in of_each[other]}
        return statistics.median(m.per_s / others[m.round] for m in of_each[name] if m.round in others)

    made = [
        Row(
            contestant=name,
            per_s=medians[name],
            per_s_lowest=min(m.per_s for m in group),
            per_s_highest=max(m.per_s for m in group),
            of_floor=ratio(name, "floor"),
            times_postfix=ratio(name, "postfix"),
            cpu_us_each=statistics.median(m.cpu_us_each for m in group),
            memory_octets_max=max(m.memory_octets_max for m in group),
            surplus=sum(m.surplus for m in group),
            promise=group[0].promise,
            accepted_per_s=statistics.median(m.messages / m.accepted_s for m in group),
        )
        for name, group in of_each.items()
    ]
    return sorted(made, key=lambda row: -row.per_s)


def machine(folder: Path) -> str:
    """Where it was measured, in one line: kernel, cores, and the file system of *folder*."""
    resolved = str(folder.resolve())
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    under = [(point, kind) for point, kind in mounts if resolved.startswith(point.rstrip("/") + "/")]
    kind = max(under, key=lambda mount: len(mount[0]))[1]
    note = ", where a sync does nothing: choose another --folder" if kind == "tmpfs" else ""
    return f"Linux {platform.release()}, {os.cpu_count()} cores, data on {kind}{note}"


def write(out: Path, name: str, titles: dict[str, str], measurements: list[Measurement], where: str) -> None:
    """Show the tables, and write *name*.md, .json and .svg into *out*."""
    out.mkdir(parents=True, exist_ok=True)
    tables = {scenario: rows(scenario, measurements) for scenario in titles}
    counts = {
        len([m for m in measurements if (m.scenario, m.contestant) == key])
        for key in {(m.scenario, m.contestant) for m in measurements}
    }
    rounds = "-".join(map(str, sorted(counts)))
    caption = (
        f"{where}. Medians of {rounds} rounds, interleaved, ratios within a "
        "round; measured until the last message was at the sink."
    )
    console = Console(width=None if sys.stdout.isatty() else 130)
    text = [f"# {name}", "", caption, ""]
    for scenario, made in tables.items():
        table = Table(*COLUMNS, title=titles[scenario])
        text += [f"## {titles[scenario]}", "", "| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
        for row in made:
            table.add_row(*row.cells())
            text.append("| " + " | ".join(row.cells()) + " |")
        text.append("")
        console.print(table)
    console.print(caption)
    (out / f"{name}.md").write_text("\n".join(text), encoding="utf-8")
    kept = {"where": where, "titles": titles, "measurements": [asdict(m) for m in measurements]}
    (out / f"{name}.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")
    (out / f"{name}.svg").write_text(plot(titles, tables), encoding="utf-8")
    console.print(f"kept as {name}.md, {name}.json and {name}.svg in {out}")


# ---- the plot ------------------------------------------------------------------------------------------------------

BAR, GAP, LEFT, WIDTH = 18, 6, 150, 760
COLOURS = {
    "floor": "#9aa5b1",
    "reference": "#c3cbd4",
    "pymta": "#2f6fb3",
    "postfix": "#c98a2b",
    "exim": "#6b8e4e",
    "opensmtpd": "#b5651d",
    "opensmtpd-memory": "#d9b48f",
    "haraka": "#8e6bb3",
    "aiosmtpd": "#b36b8e",
}


def plot(titles: dict[str, str], tables: dict[str, list[Row]]) -> str:
    """Bars of messages per second with their spread; every scenario has its own scale."""
    parts = []
    y = 10
    for scenario, made in tables.items():
        y += 22
        parts.append(f'<text x="10" y="{y}" font-weight="bold">{titles[scenario]}</text>')
        y += 10
        scale = (WIDTH - LEFT - 90) / max(row.per_s_highest for row in made)
        for row in made:
            end, middle = LEFT + row.per_s * scale, y + BAR / 2
            colour = COLOURS.get(row.contestant, "#777777")
            parts.append(f'<text x="10" y="{y + 14}">{row.contestant}</text>')
            parts.append(
                f'<rect x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="{BAR}" fill="{colour}"/>'
            )
            low, high = LEFT + row.per_s_lowest * scale, LEFT + row.per_s_highest * scale
            parts.append(f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="#222" stroke-width="2"/>')
            parts.append(f'<text x="{max(end, high) + 6:.1f}" y="{y + 14}">{row.per_s:,.0f}/s</text>')
            y += BAR + GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 10}" font-family="sans-serif" font-size="13">'
    return (
        "\n".join([head, f'<rect width="{WIDTH}" height="{y + 10}" fill="white"/>', *parts, "</svg>"]) + "\n"
    )
