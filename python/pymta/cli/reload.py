"""
`pymta reload`: make the running server read its configuration and its policy script again.
"""

from __future__ import annotations

from pathlib import Path

import click

from pymta.cli import place
from pymta.cli.running import ask


@click.command(name="reload")
@place.options
def command(config: Path | None, no_config: bool, data: Path | None) -> None:
    """
    Make the running server read configuration and policy again.

    Atomic: what cannot be used is refused with the reason, and all stays as it was. Sessions in progress keep what they
    began with. The same as SIGHUP, but tells what came of it. Listeners cannot be changed without a restart.
    """
    result = ask(config, no_config, data, lambda server: server.reload())
    if not result.ok:
        raise click.ClickException(f"refused, all stays as it was: {result.problem}")
    click.echo(f"reloaded; {result.in_words}" if result.in_words else "reloaded")
