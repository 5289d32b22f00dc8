"""
`pymta explain ADDRESS`: where mail for an address would go, and why, from the same code that the queue uses.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pymta.cli import place
from pymta.cli.output import plain, print_json

if TYPE_CHECKING:
    from pymta.config.settings import Settings
    from pymta.directory import Directory

# As rust/pymta-types/src/id.rs writes them. A domain of one such label is better asked for with a dot at its end.
_SPOOL_ID = re.compile("[0-9a-hjkmnp-tv-z]{13}")


@click.command(name="explain")
@place.options
@click.option("--offline", is_flag=True, help="Do not ask the running server, even where there is one.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.argument("what", metavar="ADDRESS|SPOOL_ID")
def command(
    config: Path | None, no_config: bool, data: Path | None, offline: bool, as_json: bool, what: str
) -> None:
    """
    Tell where mail for ADDRESS (or for a domain) would go, and why; or what was decided about a message, and why.

    The running server is asked, which also knows how busy the site is and whether it is suspended. Where none is
    running the same code answers here, from the configuration and the DNS; nothing is connected to.

    Of a message that is still in the spool the server remembers what hooks, routing, sites and the schedule decided. Of
    one that has left, the log tells: search it for the id.
    """
    if not offline and _SPOOL_ID.fullmatch(what.lower()):
        _explain_message(config, no_config, data, what.lower(), as_json=as_json)
        return
    loaded = place.find(config, no_config, data)
    answer: dict[str, Any] | None = None
    if not offline:
        from pymta.admin.client import ControlClient, ControlError, NotRunning

        try:
            answer = ControlClient(loaded.settings.server.data_folder).explain(what)
        except NotRunning:
            pass
        except ControlError as error:
            raise click.ClickException(str(error)) from None
    if answer is None:
        answer = _explain_here(loaded.settings, what)
    if as_json:
        print_json(answer)
    else:
        click.echo(answer["text"])


def _explain_message(
    config: Path | None, no_config: bool, data: Path | None, spool_id: str, *, as_json: bool
) -> None:
    from pymta.cli.queue import print_detail
    from pymta.cli.running import ask

    detail = ask(config, no_config, data, lambda server: server.show(spool_id))
    if as_json:
        print_json(detail)
    else:
        print_detail(detail)


def _explain_here(settings: Settings, address: str) -> dict[str, Any]:
    import asyncio

    from pymta.admin.explain import explain_address
    from pymta.app.directory import DirectoryDomains
    from pymta.dns import ResolverSettings, StubResolver
    from pymta.mail.errors import PymtaError
    from pymta.route.router import Router

    async def answer() -> dict[str, Any]:
        directory = _directory(settings)
        resolver = StubResolver(ResolverSettings.from_settings(settings.dns))
        router = Router.from_settings(settings, resolver, local_domains=DirectoryDomains(directory))
        try:
            return await explain_address(router, directory, address)
        finally:
            await resolver.aclose()

    try:
        return asyncio.run(answer())
    except (ValueError, PymtaError, OSError) as error:
        raise click.ClickException(plain(str(error))) from None


def _directory(settings: Settings) -> Directory:
    """The server's directory. A question makes nothing: what is not there yet is empty."""
    from pymta.app.directory import open_directory, open_lookup, open_srs
    from pymta.directory import TableLookup
    from pymta.dns.resolver import wall_clock_ms

    is_there = settings.directory.source != "sqlite" or settings.directory_file.exists()
    lookup = open_lookup(settings) if is_there else TableLookup()
    srs = open_srs(settings, now_ms=wall_clock_ms) if settings.srs_secret_file.exists() else None
    return open_directory(settings, lookup, srs)
