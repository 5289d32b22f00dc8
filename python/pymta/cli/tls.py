"""
`pymta tls`: the certificates that clients are shown, from their files; a server need not run.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from pymta.cli import place
from pymta.cli.output import counted, print_json, print_table

if TYPE_CHECKING:
    from pymta.config.settings import Settings


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    """One certificate."""

    names: tuple[str, ...]
    issuer: str = ""
    end: datetime.datetime | None = None
    """None where the file cannot be read."""
    days_left: int = -1
    shown_to: str
    """Whom it is shown to."""
    file: str
    renewal: datetime.datetime | None = None
    """When ACME asks for another one; None where that is not its affair."""
    problem: str


@click.command(name="tls")
@place.options
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(config: Path | None, no_config: bool, data: Path | None, as_json: bool) -> None:
    """
    List the certificates that clients are shown, and when they end.

    Reads the files that the configuration names, and those that ACME has brought. Exit code 1 where one has ended, cannot
    be used or is not there yet.
    """
    rows = list(_rows(place.find(config, no_config, data).settings))
    if as_json:
        print_json(rows)
    elif rows:
        print_table(
            ("names", "issuer", "ends", "left", "shown to", "renewed", "problem"),
            [
                (
                    ", ".join(row.names),
                    row.issuer,
                    "" if row.end is None else f"{row.end:%Y-%m-%d %H:%M}",
                    "" if row.end is None else counted(row.days_left, "day"),
                    row.shown_to,
                    "" if row.renewal is None else f"{row.renewal:%Y-%m-%d %H:%M}",
                    row.problem,
                )
                for row in rows
            ],
            right=("left",),
        )
    else:
        click.echo("no listener has TLS")
    bad = sum(row.days_left < 0 for row in rows)
    if bad:
        raise click.ClickException(f"{counted(bad, 'certificate')} ended, not usable or not there yet")


def _rows(settings: Settings) -> Iterator[_Row]:
    from pymta.acme.store import Store
    from pymta.app.certificates import certificates_of

    store = Store(settings.acme_folder)
    attempts = store.attempts()
    by_acme = {store.certificate_file(str(name)): str(name) for name in settings.acme.names}
    asked_for: dict[Path, bool] = {}
    else_at: dict[Path, list[str]] = {}
    for listener in settings.listeners:
        if listener.tls == "none":
            continue
        own, *more = (files.certificate_file for files in certificates_of(listener, settings))
        asked_for.setdefault(own, False)
        else_at.setdefault(own, []).append(listener.name)
        asked_for.update(dict.fromkeys(more, True))
    for file in (*asked_for, *(file for file in by_acme if file not in asked_for)):
        whom = ["who asks for its name"] if asked_for.get(file) else []
        whom += [f"everybody else at {', '.join(else_at[file])}"] if file in else_at else []
        users = "; ".join(whom) or "nobody yet"
        name = by_acme.get(file, "")
        kept = attempts.get(name)
        failed = kept is not None and kept.failures
        problem = f"{kept.problem} ({counted(kept.failures, 'failure')})" if kept and failed else ""
        yield _row(file, users, name, problem, settings)


def _row(file: Path, users: str, name: str, problem: str, settings: Settings) -> _Row:
    from pymta.acme.schedule import renewal_at
    from pymta.tls.end import read_shown

    try:
        shown = read_shown(file)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return _Row(
            names=(name,) if name else (),
            shown_to=users,
            file=str(file),
            problem=problem or why or "cannot be read",
        )
    before_days = settings.acme.renew_before_days
    return _Row(
        names=shown.names,
        issuer=shown.issuer,
        end=shown.end,
        days_left=(shown.end - datetime.datetime.now(datetime.UTC)).days,
        shown_to=users,
        file=str(file),
        renewal=renewal_at(shown.begin, shown.end, before_days=before_days) if name else None,
        problem=problem,
    )
