"""
What bench/relay.py measured, for reading: a table on the terminal, and in a folder the same as markdown, JSON and a plot (SVG).

Not the lines of every other part (lines.py). Not a judge: it shows medians, spread and ratios to the floor and to Postfix, and
has no opinion but for aims that are written down.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from bench.lines import Line, markdown, show, spread

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
    rounds: int

    def cells(self) -> tuple[str, ...]:
        """The row as COLUMNS has it."""
        return (
            self.contestant + (f" ({self.surplus} duplicates)" if self.surplus else ""),
            self.promise,
            f"{self.per_s:,.0f}",
            spread(self.per_s_lowest, self.per_s_highest),
            f"{self.accepted_per_s:,.0f}",
            "" if self.of_floor is None else f"{self.of_floor:.2f}",
            "" if self.times_postfix is None else f"{self.times_postfix:.1f}",
            f"{self.cpu_us_each:,.0f}" if self.cpu_us_each else "",
            f"{self.memory_octets_max / 2**20:,.0f}",
        )


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
            rounds=len(group),
        )
        for name, group in of_each.items()
    ]
    return sorted(made, key=lambda row: -row.per_s)


class Aim(NamedTuple):
    """What pymta is to reach in a scenario."""

    of_floor: float | None = None
    times_postfix: float | None = None


NO_AIM = Aim()


def lines(title: str, aim: Aim, made: Sequence[Row]) -> list[Line]:
    """One scenario's rows as the table of the whole bench has them."""
    return [_line(title, aim if row.contestant == "pymta" else NO_AIM, row) for row in made]


def _line(title: str, aim: Aim, row: Row) -> Line:
    ratios = (
        (row.of_floor, aim.of_floor, "{:.2f} of the floor"),
        (row.times_postfix, aim.times_postfix, "{:.1f} x Postfix"),
    )
    met = [ratio >= least for ratio, least, _ in ratios if ratio is not None and least is not None]
    return Line(
        title,
        f"{row.per_s:,.0f} messages/s",
        aim=", ".join(">= " + form.format(least) for _, least, form in ratios if least is not None),
        holds=all(met) if met else None,
        who=row.contestant,
        promise=row.promise,
        spread=spread(row.per_s_lowest, row.per_s_highest),
        rounds=row.rounds,
        beside=", ".join(form.format(ratio) for ratio, _, form in ratios if ratio is not None),
    )


def write(
    out: Path,
    name: str,
    titles: dict[str, str],
    measurements: list[Measurement],
    where: str,
    more: Sequence[Line] = (),
    aims: Mapping[str, Aim] = MappingProxyType({}),
) -> None:
    """Show the tables, and write *name*.md, .json and .svg into *out*; *more* tells what was left out."""
    out.mkdir(parents=True, exist_ok=True)
    tables = {scenario: rows(scenario, measurements) for scenario in titles}
    told = [
        line
        for scenario, made in tables.items()
        for line in lines(titles[scenario], aims.get(scenario, NO_AIM), made)
    ]
    told += more
    counts = {
        len([m for m in measurements if (m.scenario, m.contestant) == key])
        for key in {(m.scenario, m.contestant) for m in measurements}
    }
    rounds = "-".join(map(str, sorted(counts)))
    caption = (
        f"{where}. Medians of {rounds} rounds, interleaved, ratios within a "
        "round; measured until the last message was at the sink."
    )
    text = [f"# {name}", "", caption, ""]
    for scenario, made in tables.items():
        cells = [row.cells() for row in made]
        text += [f"## {titles[scenario]}", "", *markdown(COLUMNS, cells), ""]
        show(titles[scenario], COLUMNS, cells)
    text += [f"{line.who}, {line.what}: {line.figure}" for line in more]
    print(caption)
    (out / f"{name}.md").write_text("\n".join(text), encoding="utf-8")
    kept = {"where": where, "titles": titles, "lines": [asdict(line) for line in told]}
    kept |= {"measurements": [asdict(m) for m in measurements]}
    (out / f"{name}.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")
    (out / f"{name}.svg").write_text(plot(titles, tables), encoding="utf-8")
    print(f"kept as {name}.md, {name}.json and {name}.svg in {out}")


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
        scale = (WIDTH - LEFT - 90) / max((row.per_s_highest for row in made), default=1)
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
