"""
`pymta domain ...`: the domains whose addresses are ours.
"""

from __future__ import annotations

from pathlib import Path

import click

from pymta.cli import place
from pymta.cli.directory import editing, settings_of
from pymta.cli.output import counted, print_json, print_table


@click.group(name="domain")
def command() -> None:
    """
    Add, list, show, set, remove domains of ours.

    Mail for them is accepted from anyone, at addresses that exist. A running server sees changes at once.
    """


@command.command(name="add")
@place.options
@click.argument("domain")
def add(config: Path | None, no_config: bool, data: Path | None, domain: str) -> None:
    """Add a domain, without addresses."""
    with editing(settings_of(config, no_config, data), makes=True) as editor:
        added = editor.add_domain(domain)
    click.echo(f"{added.name} added; next: pymta account add NAME@{added.name}")


@command.command(name="list")
@place.options
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_domains(config: Path | None, no_config: bool, data: Path | None, as_json: bool) -> None:
    """List all domains."""
    with editing(settings_of(config, no_config, data)) as editor:
        rows = editor.domains()
    if as_json:
        print_json([domain for domain, _, _ in rows])
    elif not rows:
        click.echo("no domains")
    else:
        print_table(
            ("domain", "accounts", "aliases", "catch-all", "state"),
            [
                (
                    d.name,
                    str(accounts),
                    str(aliases),
                    ", ".join(d.catch_all),
                    "suspended" if d.suspended else "",
                )
                for d, accounts, aliases in rows
            ],
            right=("accounts", "aliases"),
        )


@command.command(name="show")
@place.options
@click.argument("domain")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(config: Path | None, no_config: bool, data: Path | None, domain: str, as_json: bool) -> None:
    """Show one domain and its addresses."""
    with editing(settings_of(config, no_config, data)) as editor:
        found = editor.domain(domain)
        accounts, aliases = editor.accounts(found.name), editor.aliases(found.name)
    if as_json:
        print_json({"domain": found, "accounts": accounts, "aliases": aliases})
        return
    click.echo(f"{found.name}{', suspended' if found.suspended else ''}")
    if found.catch_all:
        click.echo(f"catch-all to {', '.join(found.catch_all)}")
    click.echo(f"{counted(len(accounts), 'account')}{_listed([a.name for a in accounts])}")
    for alias in aliases:
        click.echo(f"{alias.address} → {', '.join(alias.targets)}")


@command.command(name="set")
@place.options
@click.argument("domain")
@click.option("--catch-all", multiple=True, metavar="ADDRESS", help="Where mail for unknown addresses goes.")
@click.option("--no-catch-all", is_flag=True, help="Refuse mail for unknown addresses.")
@click.option("--suspend/--resume", "suspended", default=None, help="No mail in and no logins, or again.")
def set_domain(
    config: Path | None,
    no_config: bool,
    data: Path | None,
    domain: str,
    catch_all: tuple[str, ...],
    no_catch_all: bool,
    suspended: bool | None,
) -> None:
    """Change a domain."""
    if catch_all and no_catch_all:
        raise click.UsageError("--catch-all and --no-catch-all exclude each other")
    if not catch_all and not no_catch_all and suspended is None:
        raise click.UsageError("nothing to change: see --help")
    with editing(settings_of(config, no_config, data)) as editor:
        targets = catch_all if catch_all or no_catch_all else None
        changed = editor.set_domain(domain, catch_all=targets, suspended=suspended)
    click.echo(f"{changed.name} changed")


@command.command(name="remove")
@place.options
@click.argument("domain")
def remove(config: Path | None, no_config: bool, data: Path | None, domain: str) -> None:
    """Remove a domain that has no addresses any more."""
    with editing(settings_of(config, no_config, data)) as editor:
        editor.remove_domain(domain)
    click.echo(f"{domain} removed")


def _listed(names: list[str]) -> str:
    return f": {', '.join(names)}" if names else ""
