"""
`pymta queue ...`: the messages of the running server.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pymta.cli import place
from pymta.cli.output import age, counted, octets, plain, print_json, print_table
from pymta.cli.running import ask

if TYPE_CHECKING:
    from pymta.admin.control import Action, MessageDetail

F = TypeVar("F", bound=Callable[..., Any])


@click.group(name="queue")
def command() -> None:
    """
    List, show, retry, hold, release, drop messages; suspend domains.

    All of it asks the running server. A message is named by its spool id, which is in its trace field, in the reply to
    its sender and in every line of the log.
    """


@command.command(name="list")
@place.options
@click.option(
    "--state", type=click.Choice(["incoming", "active", "deferred", "hold", "corrupt"]), help="Only these."
)
@click.option("--domain", help="Only those with a recipient that waits for this domain.")
@click.option("--after", metavar="SPOOL_ID", help="Only those after this one: the next page.")
@click.option(
    "--count", "count_max", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most."
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_messages(
    config: Path | None,
    no_config: bool,
    data: Path | None,
    state: Any,
    domain: str | None,
    after: str | None,
    count_max: int,
    as_json: bool,
) -> None:
    """List messages, oldest first."""
    from pymta.admin.control import QueueQuery

    query = QueueQuery(state=state, domain=domain, after=_id(after) if after else None, count_max=count_max)
    rows = ask(config, no_config, data, lambda server: server.list_messages(query))
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("no messages")
        return
    now_ms = int(time.time() * 1000)
    print_table(
        ("id", "state", "age", "size", "tries", "next", "from", "to"),
        [
            (
                row.spool_id,
                row.state,
                age(now_ms - row.spooled_at_ms),
                octets(row.size_octets),
                str(row.attempts),
                _due(row.state, row.due_ms, now_ms),
                row.reverse_path or "<>",
                row.forward_path + (f" and {row.recipients - 1} more" if row.recipients > 1 else ""),
            )
            for row in rows
        ],
        right=("age", "size", "tries"),
    )
    if len(rows) == count_max:
        click.echo(f"perhaps more: pymta queue list --after {rows[-1].spool_id}", err=True)


@command.command(name="show", short_help="Show one message, and what was decided and why.")
@place.options
@click.argument("spool_id")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(config: Path | None, no_config: bool, data: Path | None, spool_id: str, as_json: bool) -> None:
    """Show one message: envelope, how it stands with each recipient, header section, and what was decided and why."""
    detail = ask(config, no_config, data, lambda server: server.show(_id(spool_id)))
    if as_json:
        print_json(detail)
    else:
        print_detail(detail)
        for line in detail.header_section.splitlines():
            click.echo(f"    {plain(line.expandtabs())}")


def print_detail(detail: MessageDetail) -> None:
    """How it stands with a message, and what was decided about it and why; all but its header section."""
    now_ms = int(time.time() * 1000)
    for label, value in (
        ("message", detail.spool_id),
        ("state", detail.state),
        ("from", detail.reverse_path or "<> (null reverse-path)"),
        ("size", f"{octets(detail.size_octets)}B, {detail.body}{', SMTPUTF8' if detail.smtputf8 else ''}"),
        ("age", age(now_ms - detail.spooled_at_ms)),
        ("tries", str(detail.attempts)),
        ("next", _due(detail.state, detail.due_ms, now_ms)),
        ("ENVID", detail.envid),
    ):
        if value:
            click.echo(f"{label:<10}{plain(value)}")
    click.echo()
    print_table(
        ("recipient", "state", "last reply"),
        [(recipient.forward_path, recipient.state, recipient.reply) for recipient in detail.recipients],
    )
    if detail.decisions:
        print_table(
            ("ago", "who", "decided", "why"),
            [(age(now_ms - d.at_ms), d.who, d.what, d.why) for d in detail.decisions],
            right=("ago",),
        )


# ---- acting on messages ----------------------------------------------------------------------------------------------


def _selection_options(act: F) -> F:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="For programs."),
        click.option("--all", "everything", is_flag=True, help="All messages."),
        click.option(
            "--from",
            "reverse_path",
            metavar="ADDRESS",
            help='All with this reverse-path; "" is the null one.',
        ),
        click.option("--domain", help="All with a recipient that waits for this domain."),
        click.argument("spool_ids", nargs=-1),
    ):
        act = option(act)
    return place.options(act)


def _act(
    action: Action,
    done_word: str,
    config: Path | None,
    no_config: bool,
    data: Path | None,
    *,
    spool_ids: tuple[str, ...],
    domain: str | None,
    reverse_path: str | None,
    everything: bool,
    as_json: bool,
    ask_first: bool = False,
) -> None:
    from pymta.admin.control import Selection

    selection = Selection(
        spool_ids=tuple(map(_id, spool_ids)), domain=domain, reverse_path=reverse_path, all=everything
    )
    if selection.problem is not None:
        raise click.UsageError("name spool ids, or one of --domain, --from and --all")
    if ask_first and not spool_ids:
        click.confirm("Delete all these messages, without a report to anyone?", abort=True, err=True)
    result = ask(config, no_config, data, lambda server: server.act(action, selection))
    if as_json:
        print_json(result)
    else:
        click.echo(f"{counted(result.done, 'message')} {done_word}")
        why = (
            "it is in hand just now, or not for that domain only: drop it by its id"
            if domain and action == "drop"
            else ("no such message, or it is in hand just now")
        )
        for spool_id in result.refused:
            click.echo(f"{plain(spool_id)}: {why}", err=True)
    if result.refused_count and selection.spool_ids:
        raise SystemExit(1)


@command.command(name="retry")
@_selection_options
def retry(config: Path | None, no_config: bool, data: Path | None, **selected: Any) -> None:
    """Try messages now, whatever the schedule says. One on hold stays on hold."""
    _act("retry", "due now", config, no_config, data, **selected)


@command.command(name="hold")
@_selection_options
def hold(config: Path | None, no_config: bool, data: Path | None, **selected: Any) -> None:
    """Keep messages until they are released. One in hand is held when its attempt is over."""
    _act("hold", "on hold", config, no_config, data, **selected)


@command.command(name="release")
@_selection_options
def release(config: Path | None, no_config: bool, data: Path | None, **selected: Any) -> None:
    """Let messages on hold go on, now."""
    _act("release", "released", config, no_config, data, **selected)


@command.command(name="drop")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_selection_options
def drop(config: Path | None, no_config: bool, data: Path | None, yes: bool, **selected: Any) -> None:
    """Delete messages for ever. Nobody is told but the log."""
    _act("drop", "dropped", config, no_config, data, ask_first=not yes, **selected)


# ---- domains ---------------------------------------------------------------------------------------------------------


@command.command(name="suspend")
@place.options
@click.argument("domain")
@click.option(
    "--for",
    "duration_s",
    type=click.IntRange(1, 30 * 86400),
    default=3600,
    show_default=True,
    metavar="SECONDS",
)
def suspend(config: Path | None, no_config: bool, data: Path | None, domain: str, duration_s: int) -> None:
    """Try nothing for a domain for a while; what comes for it waits."""
    from pymta.admin.control import SuspendRequest

    request = SuspendRequest(domain=domain, duration_s=duration_s)
    ask(config, no_config, data, lambda server: server.suspend(request))
    click.echo(f"{domain}: suspended for {age(duration_s * 1000)}")


@command.command(name="resume")
@place.options
@click.argument("domain")
def resume(config: Path | None, no_config: bool, data: Path | None, domain: str) -> None:
    """End the suspension of a domain."""
    from pymta.admin.control import SuspendRequest

    # A name that was mistyped would go on, and the domain that was meant wait for the rest of its time.
    if domain.lower() not in ask(config, no_config, data, lambda server: server.status()).suspended_domains:
        raise click.ClickException(
            f"{plain(domain)} is not suspended by an operator; `pymta status` lists those that are"
        )
    request = SuspendRequest(domain=domain, duration_s=0)
    ask(config, no_config, data, lambda server: server.suspend(request))
    click.echo(f"{domain}: goes on")


def _id(text: str) -> str:
    """A spool id as it may have been copied: in capitals, with brackets or spaces around it."""
    return text.strip(" <>[]()\t").lower()


def _due(state: str, due_ms: int, now_ms: int) -> str:
    if state == "active":
        return "in hand"
    if state not in ("incoming", "deferred") or due_ms <= 0:
        return ""
    return "now" if due_ms <= now_ms else f"in {age(due_ms - now_ms)}"
