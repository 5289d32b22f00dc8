"""
`pymta serve`: run the server, and tell a newcomer what to do next.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pymta.cli import place
from pymta.cli.output import one_line
from pymta.cli.version import other_distribution, version

if TYPE_CHECKING:
    from pymta.app.first_start import FirstAccount
    from pymta.config.load import Loaded
    from pymta.config.settings import Settings

__all__ = ["banner"]


@click.command(name="serve")
@place.options
def command(config: Path | None, no_config: bool, data: Path | None) -> None:
    """
    Run the server until SIGTERM or SIGINT.

    Without a configuration file it is a relay on loopback, with an account to try submission with, that hands all mail for
    others to a sink of its own and keeps its data in `.run` (or in --data). SIGHUP reloads configuration and policy. Exit code 1 where it cannot start.
    """
    other = other_distribution()
    if other is not None:
        raise click.ClickException(
            f"{other} is installed in this environment too; it is another project with the same import name. "
            f"Use an environment of its own for pymta-server: `pipx install pymta-server`"
        )
    loaded = place.find(config, no_config, data)
    from pymta import app
    from pymta._core import SpoolError
    from pymta.mail.errors import PymtaError

    def load_again() -> Loaded:
        return place_again(loaded.files[0], data) if loaded.files else loaded

    first: FirstAccount | None = None
    told = False

    def announce(listeners: Sequence[tuple[str, str]]) -> None:
        nonlocal told
        told = True
        # A newcomer is told wherever the output goes; who has a configuration and no terminal is a supervisor.
        if sys.stdout.isatty() or not loaded.files:
            click.echo(banner(loaded, listeners, first))

    try:
        if not loaded.files:
            from pymta.app.first_start import prepare, take_back

            first = prepare(loaded.settings)
        try:
            app.run(loaded, version=version(), load_again=load_again, announce=announce)
        finally:
            if first is not None and not told:
                take_back(loaded.settings)
    except (PymtaError, SpoolError, OSError) as error:
        raise click.ClickException(one_line(error)) from None


def place_again(file: Path, data: Path | None) -> Loaded:
    """
    The configuration of a reload.

    Raises:
        ConfigError: The file cannot be used.
    """
    from pymta.config.load import load

    loaded = load(file)
    return loaded if data is None else loaded.with_data_folder(data)


def banner(loaded: Loaded, listeners: Sequence[tuple[str, str]], first: FirstAccount | None = None) -> str:
    """
    What a person is told: the ports and, with the embedded default, the one command that sends a first message.

    Args:
        loaded: The settings.
        listeners: (name, address) of the doors that are open, with the ports that they really have.
        first: The account that was made at this start.
    """
    settings = loaded.settings
    lines = [f"pymta as {settings.server.hostname}, data in {settings.server.data_folder}"]
    lines += [f"configuration: {', '.join(map(str, loaded.files)) or 'none, the embedded default'}", ""]
    lines += [f"  {_door(settings, name):<28}{address}" for name, address in listeners]
    if settings.http.enabled:
        lines.append(f"  {'HTTP':<28}http://{settings.http.address}/  (metrics, health)")
    if settings.sink.address is not None:
        folder = settings.sink.folder or settings.server.data_folder / "sink"
        lines.append(f"  {'sink':<28}{settings.sink.address}  keeps what arrives in {folder}")
    if not loaded.files:
        if first is not None:
            lines += ["", f"  account {first.name}, password {first.password}  (shown only now)"]
        # Without a hint the command would ask the configuration that this server was told not to read.
        hint = " --no-config" if _has_other_file() else ""
        command = first_message(sys.argv[0], hint)
        lines += ["", "In a second terminal, send a first message and see where it went:", "", f"  {command}"]
        lines += ["", "Ctrl-C stops the server."]
    return "\n".join([*lines, ""])


def _door(settings: Settings, name: str) -> str:
    """What a client calls a listener: its protocol, and the TLS that the client has to be set to."""
    listener = next(listener for listener in settings.listeners if listener.name == name)
    protocol = {"lmtp": "LMTP", "pop3": "POP3", "imap": "IMAP"}.get(listener.role, f"SMTP {listener.role}")
    return protocol + {"none": "", "starttls": ", STARTTLS", "implicit": ", TLS"}[listener.tls]


def first_message(program: str, hint: str = "") -> str:
    """
    The one command for a newcomer.

    Args:
        program: As it was called, `sys.argv[0]`.
        hint: More options.
    """
    hello = r"printf 'Subject: hello\n\nMy first message.\n'"
    called = Path(program)
    if called.name == "__main__.py":
        words = [sys.executable, "-m", "pymta"]
    elif called.is_relative_to(Path.cwd()):
        words = [str(called.relative_to(Path.cwd()))]
    else:
        words = [program]
    return f"{hello} | {shlex.join(words)} send{hint} --trace --from you@example.test friend@example.org"


def _has_other_file() -> bool:
    try:
        return place.has_system_file()
    except click.ClickException:
        return True
