"""
`pymta status`: how the running server is.
"""

from __future__ import annotations

import time
from pathlib import Path

import click

from pymta.cli import place
from pymta.cli.output import age, counted, octets, plain, print_json
from pymta.cli.running import ask


@click.command(name="status")
@place.options
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(config: Path | None, no_config: bool, data: Path | None, as_json: bool) -> None:
    """Show how the running server is. Exit code 1 where none is running."""
    status = ask(config, no_config, data, lambda server: server.status())
    if as_json:
        print_json(status)
        return
    spool = status.spool
    state = "stopping" if status.stopping else "running"
    click.echo(
        f"pymta {status.version}, {state} for {age(int(time.time() * 1000) - status.started_at_ms)}, ",
        nl=False,
    )
    click.echo(f"process {status.pid}")
    for listener in status.listeners:
        click.echo(f"  {listener.role:<12}{listener.address:<24}{listener.name}")
    for worker in status.workers:
        process = f"process {worker.pid}" if worker.pid else ""
        restarts = f"started again {counted(worker.restarts, 'time')}" if worker.restarts else ""
        click.echo(f"  {f'worker {worker.number}':<12}{worker.state:<12}{process:<16}{restarts}".rstrip())
    click.echo(f"  {'sessions':<12}{status.connections_open}")
    states = ("incoming", "active", "deferred", "hold", "corrupt")
    click.echo(f"  {'messages':<12}" + ", ".join(f"{spool.get(state, 0)} {state}" for state in states))
    click.echo(
        f"  {'disk':<12}{octets(spool.get('disk_octets', 0))}B in {counted(spool.get('segments', 0), 'segment')}"
    )
    for site, left_s in status.suspended.items():
        click.echo(f"  {'suspended':<12}site {plain(site)} for {age(left_s * 1000)}, after failures")
    for domain, left_s in status.suspended_domains.items():
        click.echo(f"  {'suspended':<12}domain {plain(domain)} for {age(left_s * 1000)}, by an operator")
