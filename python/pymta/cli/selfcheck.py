"""
`pymta selfcheck ...`: prove on this machine what is promised.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pymta.cli import place
from pymta.cli.output import counted, plain, print_json, print_table

if TYPE_CHECKING:
    from pymta.selfcheck.crash import CrashCheck, CrashReport


@click.group(name="selfcheck")
def command() -> None:
    """Prove on this machine what is promised, with a server of the check's own."""


@command.command(
    name="crash",
    short_help="Kill a server again and again; nothing may be lost.",
    context_settings={"show_default": True},
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False, writable=True),
    help="A folder on the disk in question; a new one is made in it.  [default: the data folder of the configuration]",
)
@click.option("--rounds", type=click.IntRange(1, 100_000), default=50, help="How many times to kill it.")
@click.option("--clients", type=click.IntRange(1, 1000), default=8, help="Clients that send at once.")
@click.option(
    "--seed", type=click.IntRange(0), help="Of the random moments and messages.  [default: a new one]"
)
@click.option("--keep", is_flag=True, help="Keep the folder even if all is well.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON, for programs.")
def crash(
    folder: Path | None, rounds: int, clients: int, seed: int | None, keep: bool, as_json: bool
) -> None:
    """
    Kill a server again and again, and count what got a 250 and did not arrive.

    \b
    It starts a server of its own on loopback, with its data in a new folder on the disk in question, sends to it as
    fast as it takes, ends it with kill -9 at a random moment, starts it again, and so on. At the end each message
    that got its 250 must have arrived, once and as it was sent. A message may be delivered twice where the kill came
    before the record of its delivery was on disk; each of these is checked to be of that kind.

    A running server, its data and its ports are not touched. What a kill cannot show is a disk that loses at a power
    failure what it said was synced: for that, pull the plug while `pymta load` runs, and compare.

    Exit code 1 where something was lost, damaged, invented, or delivered twice without a reason; the folder is kept
    then. A second or two for each round.
    """
    from pymta.runtime import loop
    from pymta.selfcheck.crash import CrashCheck, Options
    from pymta.selfcheck.process import CheckFailed

    own = _make_folder(folder)
    check = CrashCheck(
        Options(
            folder=own,
            rounds=rounds,
            clients=clients,
            seed=secrets.randbelow(1 << 32) if seed is None else seed,
        )
    )
    is_well = False
    try:
        report = loop.run(_run(check, rounds))
        is_well = report.ok
    except CheckFailed as error:
        raise click.ClickException(f"{plain(str(error))}\nIts data, configuration and log: {own}") from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        is_well = True  # nothing is known to be wrong
        raise click.ClickException("stopped; nothing is proven") from None
    finally:
        if is_well and not keep:
            shutil.rmtree(own, ignore_errors=True)
    if as_json:
        print_json(report)
    else:
        _print(report, kept=keep or not report.ok)
    if not report.ok:
        raise SystemExit(1)


def _make_folder(folder: Path | None) -> Path:
    if folder is None:
        folder = Path(place.find(None, False, None).settings.server.data_folder)
        if not folder.is_dir():
            raise click.UsageError(f"{folder}, the data folder, does not exist: say --folder")
    try:
        return Path(tempfile.mkdtemp(prefix="selfcheck-", dir=folder)).absolute()
    except OSError as error:
        raise click.ClickException(f"{folder}: {error.strerror or error}") from None


async def _run(check: CrashCheck, rounds: int) -> CrashReport:
    from pymta.cli.live import LiveLine

    running = asyncio.current_task()
    assert running is not None, "the loop runs it as one"
    # As Ctrl-C does by itself: what was started is ended.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    with LiveLine(lambda _: _line(check, rounds)):
        return await check.run()


# ---- what people read ------------------------------------------------------------------------------------------------


def _line(check: CrashCheck, rounds: int) -> str:
    done = check.rounds_done * 30 // rounds
    bar = "━" * done + "╌" * (30 - done)
    return f"{bar}  {check.phase}  {check.sent.messages_accepted:,} messages got their 250"


def _print(report: CrashReport, *, kept: bool) -> None:
    recipients = report.recipients
    click.echo(
        f"killed {counted(report.rounds, 'time')} in {report.took_s:.0f} s; {report.messages_accepted:,} messages "
        f"got their 250; the longest start took {report.start_s_max:.2f} s; --seed {report.seed} repeats it"
    )
    click.echo()
    rows = [
        ("got their 250", recipients.accepted, ""),
        ("of them lost", recipients.lost, "must be 0"),
        ("damaged", recipients.damaged, "must be 0"),
        ("refused or never sent, and arrived", recipients.strangers, "must be 0"),
        ("delivered twice, not by a kill", recipients.unexplained, "must be 0"),
        (
            "delivered twice by a kill",
            recipients.duplicates - recipients.unexplained,
            f"within {recipients.window_ms_max} ms of it" if recipients.duplicates else "",
        ),
        ("without an answer when it was killed", recipients.unanswered, "may arrive or not"),
        ("of them arrived", recipients.unanswered_arrived, ""),
    ]
    print_table(
        ("deliveries", "count", "note"),
        [(name, f"{number:,}", note) for name, number, note in rows],
        right=("count",),
    )
    for line in (*recipients.examples, *report.troubles):
        click.echo(plain(line))
    if report.ok:
        click.echo("Nothing that got its 250 was lost.")
    else:
        click.echo("Not all is well.")
    if kept:
        click.echo(f"Data, configuration and log of the server: {report.folder}")
