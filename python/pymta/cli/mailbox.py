"""
`pymta mailbox ...`: an account's mailboxes as a whole: move them in from another server and out again, check, repair.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as futures_wait
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pymta.cli import place
from pymta.cli.directory import become_owner, editing, settings_of
from pymta.cli.output import counted, plain, print_json, print_table

if TYPE_CHECKING:
    from pymta._core import MailboxUpkeep

_PROGRESS_S: Final = 1.0


@click.group(name="mailbox")
def command() -> None:
    """
    Move mailboxes in and out, check and repair them.

    A running server may have them open meanwhile. ACCOUNT is one of `pymta account list`.
    """


@command.command(name="import")
@place.options
@click.argument("account")
def import_mailbox(config: Path | None, no_config: bool, data: Path | None, account: str) -> None:
    """
    Take in the Maildir that another server left.

    Put it into the account's folder first (`pymta account show`). UIDs and keywords of Dovecot (dovecot-uidlist,
    dovecot-keywords) and of Courier (courierimapuiddb) are kept, so that clients need not fetch everything anew, and so are
    subscriptions. May be repeated: what was taken in before is not touched.
    """
    with _opened(config, no_config, data, account) as upkeep:
        _watched(upkeep, lambda: upkeep.take_in(_now_ms()))
        mailboxes, messages, _, kept = upkeep.progress
    click.echo(f"{counted(messages, 'message')} in {_mailboxes(mailboxes)}, {counted(kept, 'UID')} kept")


@command.command(name="export")
@place.options
@click.argument("account")
def export_mailbox(config: Path | None, no_config: bool, data: Path | None, account: str) -> None:
    """
    Write UIDs and keywords for Dovecot into the Maildir.

    For when the account moves to such a server; nobody should use it meanwhile.
    """
    with _opened(config, no_config, data, account) as upkeep:
        _watched(upkeep, lambda: upkeep.export(_now_ms()))
        mailboxes, messages, *_ = upkeep.progress
    click.echo(f"{counted(messages, 'message')} in {_mailboxes(mailboxes)}")


@command.command(name="check")
@place.options
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.argument("account")
def check(config: Path | None, no_config: bool, data: Path | None, account: str, as_json: bool) -> None:
    """
    Compare the index with the Maildir; change nothing.

    Differences are what the next look at a mailbox takes in. Exit code 1 where the index is damaged.
    """
    with _opened(config, no_config, data, account, to_check=True) as upkeep:
        damage, foreign, mailboxes = upkeep.check(_now_ms())
    columns = ("name", "messages", "missing_files", "unknown_files", "other_flags", "without_records")
    rows = [{column: getattr(mailbox, column) for column in columns} for mailbox in mailboxes]
    if as_json:
        print_json({"damage": damage, "foreign_folders": foreign, "mailboxes": rows})
    else:
        headings = ("mailbox", "messages", "no file", "not indexed", "other flags", "no record")
        print_table(headings, [[str(row[column]) for column in columns] for row in rows], right=headings[1:])
        for folder in foreign:
            click.echo(f"{plain(folder)}: no mailbox has a folder of this name")
    if damage:
        raise click.ClickException(f"the index is damaged: {plain(damage[0])}")


@command.command(name="repair")
@place.options
@click.argument("account")
def repair(config: Path | None, no_config: bool, data: Path | None, account: str) -> None:
    """
    Make the index what the Maildir says.

    A damaged one that cannot be mended is set aside as pymta.index.damaged, and made anew: no message is lost, but clients
    fetch everything once more.
    """
    with _opened(config, no_config, data, account) as upkeep:
        anew = upkeep.trouble is not None
        try:
            upkeep.repair(_now_ms())
        except OSError as error:
            if "damaged" not in str(error):
                raise
            anew = True
    if anew:
        with _opened(config, no_config, data, account) as upkeep:
            upkeep.repair(_now_ms())
    click.echo("made anew" if anew else "repaired")


@contextmanager
def _opened(
    config: Path | None, no_config: bool, data: Path | None, account: str, *, to_check: bool = False
) -> Iterator[MailboxUpkeep]:
    """The mailboxes of an account; errors in one line."""
    from pymta._core import MailboxUpkeep

    settings = settings_of(config, no_config, data)
    with editing(settings) as editor:
        mailbox = editor.account(account).mail_folder
    folder = settings.mailboxes_folder
    try:
        become_owner(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield MailboxUpkeep(
            str(folder),
            mailbox,
            hostname=settings.server.hostname.name,
            process=os.getpid(),
            now_ms=_now_ms(),
            to_check=to_check,
        )
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None


def _watched(upkeep: MailboxUpkeep, work: Callable[[], None]) -> None:
    """Do something long; a person sees how far it is."""
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(work)
        is_seen, has_told = sys.stderr.isatty(), False
        # Not `result` with a time: a TimeoutError could be the work's own.
        while not futures_wait([future], _PROGRESS_S if is_seen else None).done:
            mailboxes, messages, records, _ = upkeep.progress
            done = f"{_mailboxes(mailboxes)}, {counted(messages, 'message')}, {counted(records, 'record')}"
            click.echo(f"\r{done} ", err=True, nl=False)
            has_told = True
        if has_told:
            click.echo(err=True)
        future.result()


def _mailboxes(count: int) -> str:
    return f"{count} mailbox" if count == 1 else f"{count} mailboxes"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
