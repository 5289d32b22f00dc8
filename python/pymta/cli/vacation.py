"""
`pymta vacation ...`: who is away, and what their callers are told.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pymta.cli import place
from pymta.cli.directory import editing, settings_of
from pymta.cli.output import counted

if TYPE_CHECKING:
    from pymta.directory.vacation import Vacation, VacationStore


class _Day(click.DateTime):
    """A day as in `2026-12-24`; what is none is told without the codes of strptime."""

    def __init__(self) -> None:
        super().__init__(formats=["%Y-%m-%d"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"expected a day such as 2026-12-24, got {value!r}", param, ctx)


@click.group(name="vacation")
def command() -> None:
    """
    Set, show, end the absence of an account.

    While it lasts, whoever writes to the account is told once in a few days; never a list, a program or a message that
    does not name the account in To or Cc (RFC 3834, RFC 5230). A running server sees changes at once.
    """


@command.command(name="set", short_help="Say that an account is away, and until when.")
@place.options
@click.argument("account")
@click.option("--subject", default="", help='Of the answer; else "Auto: " and the subject that is answered.')
@click.option("--days", type=int, default=7, show_default=True, help="How long nobody is told again.")
@click.option("--address", "addresses", multiple=True, help="One more address by which the account is known.")
@click.option("--from", "begin", type=_Day(), metavar="DAY", help="First day, 2026-12-24; else today.")
@click.option(
    "--until", "end", type=_Day(), metavar="DAY", help="First day back; else until `pymta vacation end`."
)
def set_vacation(
    config: Path | None,
    no_config: bool,
    data: Path | None,
    account: str,
    subject: str,
    days: int,
    addresses: tuple[str, ...],
    begin: datetime | None,
    end: datetime | None,
) -> None:
    """An account is away; the text of the answer is read from standard input."""
    from_ms = 0 if begin is None else _instant_ms(begin)
    until_ms = None if end is None else _instant_ms(end)
    if until_ms is not None and until_ms <= max(from_ms, _now_ms()):
        raise click.UsageError(f"--until: {_day(until_ms)} is over before the absence begins")
    with _store(config, no_config, data, account) as (store, name):
        from pymta.directory import InvalidAddress, canonical_address
        from pymta.directory.vacation import Vacation

        try:
            known_by = tuple(canonical_address(address) for address in addresses)
        except InvalidAddress as error:
            raise click.UsageError(f"--address: {error}") from None
        if sys.stdin.isatty():
            click.echo("The text of the answer, then Ctrl-D on a line of its own:", err=True)
        vacation = Vacation(
            text=sys.stdin.read(),
            subject=subject,
            days=days,
            addresses=known_by,
            from_ms=from_ms,
            until_ms=until_ms,
        )
        store.set(name, vacation)
    click.echo(f"{name} {_when(vacation)}")


@command.command(name="show")
@place.options
@click.argument("account")
def show(config: Path | None, no_config: bool, data: Path | None, account: str) -> None:
    """What callers of an account are told."""
    with _store(config, no_config, data, account) as (store, name):
        vacation = store.get(name)
    if vacation is None:
        click.echo(f"{name} is not away")
        return
    click.echo(f"{name} {_when(vacation)}; nobody is told again within {counted(vacation.days, 'day')}")
    click.echo(f"subject: {vacation.subject or 'Auto: and the subject that is answered'}\n\n{vacation.text}")


@command.command(name="end")
@place.options
@click.argument("account")
def end(config: Path | None, no_config: bool, data: Path | None, account: str) -> None:
    """An account is back."""
    with _store(config, no_config, data, account) as (store, name):
        was_away = store.remove(name)
    click.echo(f"{name} is back" if was_away else f"{name} was not away")


@contextmanager
def _store(
    config: Path | None, no_config: bool, data: Path | None, account: str
) -> Iterator[tuple[VacationStore, str]]:
    """The open file, and the name of the account, which has to exist."""
    from pymta.directory.vacation import VacationStore

    settings = settings_of(config, no_config, data)
    with editing(settings) as editor:  # also says what is wrong in one line
        name = editor.account(account).name
        store = VacationStore(settings.vacation_file)
        try:
            yield store, name
        finally:
            store.close()


def _when(vacation: Vacation) -> str:
    """Since and until when, as of now: `is away until 2027-01-07`."""
    now_ms = _now_ms()
    if vacation.until_ms is not None and vacation.until_ms <= now_ms:
        return f"was away until {_day(vacation.until_ms)}"
    is_away = f"will be away from {_day(vacation.from_ms)}" if vacation.from_ms > now_ms else "is away"
    return f"{is_away} until {'further notice' if vacation.until_ms is None else _day(vacation.until_ms)}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _instant_ms(day: datetime) -> int:
    return int(day.replace(tzinfo=UTC).timestamp() * 1000)


def _day(instant_ms: int) -> str:
    return datetime.fromtimestamp(instant_ms / 1000, UTC).strftime("%Y-%m-%d")
