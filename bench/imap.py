"""
IMAP and POP3 beside Debian's Dovecot, on copies of the same Maildir, on one machine in one run.

    python -m bench.imap [--only pymta] [--row NAME] [--rounds N] [--seconds N] [--messages 100000] [--quick]

One client in this process, in the clear on loopback; what takes the client time to read costs both the same. Each row is asked
of both in turns, round by round, as often as its share of the time allows; the figures are medians. With 100,000 messages it
takes up to twenty minutes.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click

from bench import pop3
from bench.contestants import Pymta
from bench.imap_rows import IDLE_ROWS, MESSAGE_OCTETS, ROWS, Figure, Row, Scale
from bench.imap_stores import STORES, Store, dovecot_version, fill
from bench.limit import Limit
from bench.lines import Line, Part, left_out, machine, spread
from bench.processes import cpu_s
from bench.relay import OUT

ALL = (*ROWS, *pop3.ROWS, *IDLE_ROWS)
#: From so many messages on it is the long way: for the limits of large mailboxes, not for every day.
LONG = 50_000
SECONDS_MAX, SECONDS_MAX_LONG = 150, 1100
RATE_S, RATE_S_LONG = 2.5, 10


def measured(stores: dict[str, Store], row: Row, rounds: int, seconds: float, scale: Scale) -> Iterator[Line]:
    """A line for each store, of as many rounds as *seconds* allow, but of one."""
    found: dict[str, list[Figure]] = {name: [] for name in stores}
    why: dict[str, object] = {}
    began_s = time.monotonic()
    for number in range(1 if row.once else rounds):
        if number and time.monotonic() > began_s + seconds:
            break
        for name in reversed(stores) if number % 2 else stores:
            store = stores[name]
            if name in why or (row in pop3.ROWS and store.pop3_port is None):
                why.setdefault(name, "it has no POP3 here")
                continue
            used_s = cpu_s(store.pid)
            try:
                found[name].append(row.measure(store, scale))
            except (OSError, SystemExit) as error:
                if isinstance(error, SystemExit) and isinstance(error.code, int):
                    raise  # somebody ends the bench
                why[name] = error
                continue
            click.echo(
                f"{number + 1} {name:<8} {row.what}: {found[name][-1].text()}, "
                f"{cpu_s(store.pid) - used_s:.2f} s of processor time",
                err=True,
            )
    for name, some in found.items():
        yield line(name, row, found) if some else left_out(row.what, why.get(name, "the time was up"), name)


def line(name: str, row: Row, found: dict[str, list[Figure]]) -> Line:
    """What *name* did, and pymta beside Dovecot in the same rounds."""
    mine, other = found[name], found.get("dovecot", [])
    values = [figure.value for figure in mine]
    middle = mine[-1]._replace(value=statistics.median(values))
    ratios = [a.value / b.value for a, b in zip(mine, other, strict=False) if b.value]
    return Line(
        row.what,
        middle.text(),
        aim="" if row.most is None or name != "pymta" else f"<= {row.most:g}{middle.unit}",
        holds=None if row.most is None or name != "pymta" else middle.value <= row.most,
        who="Dovecot" if name == "dovecot" else name,
        promise=row.promise,
        spread=spread(min(values), max(values), 0 if middle.value >= 100 else 2),
        rounds=len(mine),
        beside="" if name == "dovecot" or not ratios else f"{statistics.median(ratios):.2g} x Dovecot's",
    )


@click.command(help=__doc__)
@click.option("--only", multiple=True, type=click.Choice(sorted(STORES)), help="Only this store.")
@click.option("--row", multiple=True, help="Only rows whose name has this in it.")
@click.option("--messages", default=10_000, show_default=True)
@click.option("--rounds", default=3, show_default=True, help="How often each is measured, at most.")
@click.option(
    "--seconds", type=float, help=f"When the time is up: {SECONDS_MAX}, or {SECONDS_MAX_LONG} the long way."
)
@click.option("--quick", is_flag=True, help="With 2,000 messages, one round: a look, not a figure.")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, help="Where the table goes.")
def main(
    only: tuple[str, ...],
    row: tuple[str, ...],
    messages: int,
    rounds: int,
    seconds: float | None,
    quick: bool,
    out: Path,
) -> None:
    """Measure, print a table, keep it in *out*."""
    messages, rounds = (2_000, 1) if quick else (messages, rounds)
    is_long = messages >= LONG
    seconds = seconds or (SECONDS_MAX_LONG if is_long else SECONDS_MAX)
    rows = [one for one in ALL if not row or any(part in one.what for part in row)]
    scale = Scale(messages, RATE_S_LONG if is_long else RATE_S)
    with Limit(seconds) as bound, ExitStack() as stack:
        stores = {}
        for name, start in STORES.items():
            if only and name not in only:
                continue
            place = stack.enter_context(
                tempfile.TemporaryDirectory(prefix=f"pymta-imap-{name}-", ignore_cleanup_errors=True)
            )
            fill(Path(place) / "filled", messages, MESSAGE_OCTETS)
            stores[name] = stack.enter_context(start(Path(place), Path(place) / "filled"))
            where = machine(Path(place))
        versions = f"pymta {Pymta().version}, Dovecot {dovecot_version()}"
        table = Part(
            out, "imap-long" if is_long else "imap", f"{where}; {versions}; {messages:,} messages", bound
        )
        for number, one in enumerate(rows):
            share_s = bound.left_s / (len(rows) - number)
            table.add(one.what, partial(measured, stores, one, rounds, share_s, scale))
    table.write(f"reading by IMAP and POP3: {messages:,} messages of {MESSAGE_OCTETS} octets")


if __name__ == "__main__":
    main()
