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
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import click

from pymta.cli import place
from pymta.cli.directory import become_owner, editing, settings_of
from pymta.cli.output import counted, plain, print_json, print_table

if TYPE_CHECKING:
    from pymta._core import MailboxUpkeep

_PROGRESS_S: Final = 0.5

Result = TypeVar("Result")


@click.group(name="mailbox")
def command() -> None:
    """
    Move mailboxes in and out, check and repair them.

    A running server may have them open meanwhile. ACCOUNT is one of `pymta account list`.
    """


@command.command(name="import")
@place.options
@click.option(
    "--mbox",
    type=click.Path(exists=True, path_type=Path),
    help="Add the messages of this file, or of the files in this folder.",
)
@click.option("--mailbox", help="Where an mbox goes: INBOX, or, of a folder, below the top.")
@click.option("--mboxo", is_flag=True, help="Its writer escaped nothing but `From `; `>>From ` is as it was.")
@click.argument("account")
def import_mailbox(
    config: Path | None,
    no_config: bool,
    data: Path | None,
    account: str,
    mbox: Path | None,
    mailbox: str | None,
    mboxo: bool,
) -> None:
    """
    Take in the Maildir that another server left, or mbox files.

    Put a Maildir into the account's folder first (`pymta account show`). UIDs and keywords of Dovecot (dovecot-uidlist,
    dovecot-keywords) and of Courier (courierimapuiddb) are kept, so that clients need not fetch everything anew, and so are
    subscriptions.

    With --mbox, flags (Status, X-Status, X-Keywords, Thunderbird's) and the dates of the From lines are taken in too. A
    folder's files become mailboxes of their names; so do Thunderbird's .sbd and Apple's .mbox folders.

    Both may be stopped, and repeated: what was taken in before is not touched, nor added a second time.
    """
    if mbox is None and (mailbox is not None or mboxo):
        raise click.UsageError("--mailbox and --mboxo are for --mbox")
    with _opened(config, no_config, data, account) as upkeep:
        others: list[Path] = []
        if mbox is None:
            _watched(upkeep, lambda: upkeep.take_in(_now_ms()))
        else:
            path = str(mbox.absolute())
            others = _watched(
                upkeep, lambda: upkeep.take_in_mbox(path, mailbox, mboxo=mboxo, now_ms=_now_ms())
            )
        done = upkeep.progress
    for other in others:
        click.echo(f"{plain(str(other))}: no mbox, passed over", err=True)
    there = (
        f"{counted(done.uids_kept, 'UID')} kept" if mbox is None else f"{done.known} more were there already"
    )
    click.echo(f"{counted(done.messages, 'message')} in {_mailboxes(done.mailboxes)}, {there}")


@command.command(name="export", short_help="Write UIDs for Dovecot, or mbox files.")
@place.options
@click.option(
    "--mbox", type=click.Path(path_type=Path), help="Write mbox files below this folder, or this one file."
)
@click.option("--mailbox", help="Only this one; --mbox is its file then.")
@click.argument("account")
def export_mailbox(
    config: Path | None,
    no_config: bool,
    data: Path | None,
    account: str,
    mbox: Path | None,
    mailbox: str | None,
) -> None:
    """
    Write UIDs and keywords for Dovecot into the Maildir, or everything into mbox files.

    The first is for when the account moves to such a server; nobody should use it meanwhile. With --mbox, every mailbox
    becomes a file (mboxrd), with flags and keywords as Status, X-Status and X-Keywords. Nothing is written over, and a file
    has its name when it is whole.
    """
    if mbox is None and mailbox is not None:
        raise click.UsageError("--mailbox is for --mbox")
    with _opened(config, no_config, data, account) as upkeep:
        if mbox is None:
            _watched(upkeep, lambda: upkeep.export(_now_ms()))
        else:
            path = str(mbox.absolute())
            _watched(upkeep, lambda: upkeep.export_mbox(path, mailbox, now_ms=_now_ms()))
        done = upkeep.progress
    click.echo(f"{counted(done.messages, 'message')} in {_mailboxes(done.mailboxes)}")


@command.command(name="index")
@place.options
@click.argument("account")
def index_texts(config: Path | None, no_config: bool, data: Path | None, account: str) -> None:
    """
    Keep the texts of all messages for searches.

    A server with `imap.full_text` does so by itself for mailboxes that somebody opens, but takes its time. They are in the
    file pymta.search of the account's folder, which may be removed at any time.
    """
    with _opened(config, no_config, data, account) as upkeep:
        _watched(upkeep, lambda: upkeep.read_texts(_now_ms()))
        done = upkeep.progress
    click.echo(f"{counted(done.messages, 'message')} in {_mailboxes(done.mailboxes)}")


@command.command(name="check")
@place.options
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.argument("account")
def check(config: Path | None, no_config: bool, data: Path | None, account: str, as_json: bool) -> None:
    """
    Compare the index with the Maildir; change nothing.

    Differences are what the next look at a mailbox takes in: messages whose file is gone, files that are new, and flags that
    another program has changed. The last column are messages that the first client to ask for them waits a moment for; no
    fault. Exit code 1 where the index is damaged.
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
    from pymta._core import DamagedIndexError

    with _opened(config, no_config, data, account) as upkeep:
        anew = upkeep.trouble is not None
        try:
            upkeep.repair(_now_ms())
        except DamagedIndexError:
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
    from pymta._core import ImapAccounts, MailboxUpkeep

    settings = settings_of(config, no_config, data)
    with editing(settings) as editor:
        known = editor.account(account)
    mailbox, folder = known.mail_folder, settings.mailboxes_folder
    hostname, process = settings.server.hostname.name, os.getpid()
    try:
        become_owner(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield MailboxUpkeep(
            str(folder),
            mailbox,
            hostname=hostname,
            process=process,
            now_ms=_now_ms(),
            to_check=to_check,
        )
        if not to_check:
            # As a login does: others find what the files of rights give them, whoever wrote those.
            accounts = ImapAccounts(str(folder), hostname=hostname, process=process)
            accounts.open(mailbox, known.name, _now_ms(), shares=True).close()
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None


def _watched(upkeep: MailboxUpkeep, work: Callable[[], Result]) -> Result:
    """Do something long; a person sees how far it is, and may stop it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with ThreadPoolExecutor(1) as thread, bar if sys.stderr.isatty() else nullcontext():
        future = thread.submit(work)
        task = bar.add_task("", total=None)
        try:
            # Not `result` with a time: a TimeoutError could be the work's own.
            while not futures_wait([future], _PROGRESS_S).done:
                done = upkeep.progress
                counts = f"{_mailboxes(done.mailboxes)}, {counted(done.messages, 'message')}"
                records = f", {counted(done.records, 'record')}" if done.records else ""
                known = f", {done.known} known" if done.known else ""
                bar.update(task, description=counts + records + known)
                if done.octets_total:
                    bar.update(task, completed=done.octets, total=done.octets_total)
        except KeyboardInterrupt:
            upkeep.stop()
        return future.result()


def _mailboxes(count: int) -> str:
    return f"{count} mailbox" if count == 1 else f"{count} mailboxes"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
