"""
`pymta alias ...`: addresses that stand for others; with several targets they are groups.
"""

from __future__ import annotations

from pathlib import Path

import click

from pymta.cli import place
from pymta.cli.directory import editing, settings_of
from pymta.cli.output import print_json, print_table

_MAY_SEND = click.option(
    "--members-may-send/--members-may-not-send",
    "members_may_send",
    default=None,
    help="Whether accounts among the targets may write mail from this address.",
)


@click.group(name="alias")
def command() -> None:
    """
    Add, list, show, set, remove aliases and groups.

    An alias takes mail to one or more targets, ours or elsewhere. An account that shall forward and keep a copy gets an
    alias of its own name, with that name among the targets. A running server sees changes at once.
    """


@command.command(name="add")
@place.options
@click.argument("address")
@click.argument("targets", nargs=-1, required=True)
@_MAY_SEND
def add(
    config: Path | None,
    no_config: bool,
    data: Path | None,
    address: str,
    targets: tuple[str, ...],
    members_may_send: bool | None,
) -> None:
    """Add an alias. With one target it may be used by that account; a group only with --members-may-send."""
    with editing(settings_of(config, no_config, data)) as editor:
        added = editor.add_alias(address, targets, members_may_send=members_may_send)
    click.echo(f"{added.address} → {', '.join(added.targets)}")


@command.command(name="list")
@place.options
@click.option("--domain", help="Only those of this domain.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_aliases(
    config: Path | None, no_config: bool, data: Path | None, domain: str | None, as_json: bool
) -> None:
    """List aliases."""
    with editing(settings_of(config, no_config, data)) as editor:
        rows = editor.aliases(domain)
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo("no aliases")
    else:
        print_table(
            ("alias", "targets", "members may send"),
            [(a.address, ", ".join(a.targets), "yes" if a.members_may_send else "no") for a in rows],
        )


@command.command(name="show")
@place.options
@click.argument("address")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(config: Path | None, no_config: bool, data: Path | None, address: str, as_json: bool) -> None:
    """Show one alias."""
    with editing(settings_of(config, no_config, data)) as editor:
        alias = editor.alias(address)
    if as_json:
        print_json(alias)
        return
    click.echo(f"{alias.address} → {', '.join(alias.targets)}")
    click.echo(f"its members may {'' if alias.members_may_send else 'not '}send from it")


@command.command(name="set")
@place.options
@click.argument("address")
@click.option("--target", "targets", multiple=True, metavar="ADDRESS", help="All targets, anew.")
@_MAY_SEND
def set_alias(
    config: Path | None,
    no_config: bool,
    data: Path | None,
    address: str,
    targets: tuple[str, ...],
    members_may_send: bool | None,
) -> None:
    """Change an alias."""
    if not targets and members_may_send is None:
        raise click.UsageError("nothing to change: see --help")
    with editing(settings_of(config, no_config, data)) as editor:
        changed = editor.set_alias(address, targets=targets or None, members_may_send=members_may_send)
    click.echo(f"{changed.address} → {', '.join(changed.targets)}")


@command.command(name="remove")
@place.options
@click.argument("address")
def remove(config: Path | None, no_config: bool, data: Path | None, address: str) -> None:
    """Remove an alias."""
    with editing(settings_of(config, no_config, data)) as editor:
        editor.remove_alias(address)
    click.echo(f"{address} removed")
