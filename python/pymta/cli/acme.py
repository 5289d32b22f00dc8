"""
`pymta acme renew`: make the running server ask the authority for certificates now.
"""

from __future__ import annotations

from pathlib import Path

import click

from pymta.cli import place
from pymta.cli.output import print_json
from pymta.cli.running import ask


@click.group(name="acme")
def command() -> None:
    """Certificates by ACME. What there is, and when it is renewed, is shown by `pymta tls`."""


@command.command(name="renew", short_help="Ask for certificates now, and wait.")
@place.options
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def renew(
    config: Path | None, no_config: bool, data: Path | None, names: tuple[str, ...], as_json: bool
) -> None:
    """
    Ask for certificates for NAMES, or for all of `acme.names`, now: also where it is not time, and although it failed a
    moment ago. Returns when it is over.

    Authorities allow few certificates a week for one name. Exit code 1 where one could not be had.
    """
    from pymta.admin.control import RenewRequest

    results = ask(config, no_config, data, lambda server: server.renew(RenewRequest(names=names)))
    if as_json:
        print_json(results)
    else:
        for result in results:
            click.echo(f"{result.name}: {result.problem or 'issued'}")
    failed = sum(bool(result.problem) for result in results)
    if failed:
        raise click.ClickException(f"{failed} of {len(results)} could not be had")
