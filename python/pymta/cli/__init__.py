"""
The command line: `pymta COMMAND`. Each command is a module here, imported when it is called.

What all of them keep to: `--help` suffices; an error of use is one line on standard error; `--json` where a program
would read the answer; and these exit codes:

    0  done                     2  wrong usage
    1  not done, the line on standard error says why
    64 and above               `pymta send` only, as sendmail has them (sysexits.h)
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, Final, NamedTuple

import click

__all__ = ["main"]


class _Command(NamedTuple):
    module: str
    help: str
    heading: str


_COMMANDS: Final[dict[str, _Command]] = {
    "serve": _Command("serve", "Run the server.", "Server"),
    "check": _Command("check", "Check the configuration and show what is effective.", "Server"),
    "reload": _Command("reload", "Make the running server read configuration and policy again.", "Server"),
    "status": _Command("status", "Show how the running server is.", "Server"),
    "tls": _Command("tls", "List the certificates that clients are shown, and when they end.", "Server"),
    "acme": _Command("acme", "Ask the authority for certificates now.", "Server"),
    "domain": _Command("domain", "Add, list, show, set, remove domains of ours.", "Accounts"),
    "account": _Command("account", "Add, list, show, set, remove accounts; their passwords.", "Accounts"),
    "alias": _Command("alias", "Add, list, show, set, remove aliases and groups.", "Accounts"),
    "vacation": _Command(
        "vacation", "Say that an account is away, and what its callers are told.", "Accounts"
    ),
    "mailbox": _Command("mailbox", "Move mailboxes in and out, check and repair them.", "Accounts"),
    "queue": _Command("queue", "List, show, retry, hold, release, drop messages; suspend domains.", "Mail"),
    "explain": _Command("explain", "Tell where mail for an address would go, and why.", "Mail"),
    "send": _Command("send", "Submit a message; a drop-in for sendmail.", "Mail"),
    "spool": _Command("spool", "Look into the spool's files.", "Mail"),
    "load": _Command("load", "Send many messages to a server and measure.", "Testing"),
    "selfcheck": _Command("selfcheck", "Prove on this disk that what got its 250 survives.", "Testing"),
    "sink": _Command("sink", "Take messages and count them, or be as difficult as told.", "Testing"),
}


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are called: `pymta --help` imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        known = _COMMANDS.get(cmd_name)
        if known is None:
            return None
        module: Any = importlib.import_module(f"pymta.cli.{known.module}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading in dict.fromkeys(command.heading for command in _COMMANDS.values()):
            with formatter.section(heading):
                formatter.write_dl(
                    [
                        (name, command.help)
                        for name, command in _COMMANDS.items()
                        if command.heading == heading
                    ]
                )


def _print_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from pymta.cli.version import version

    click.echo(f"pymta {version()}")
    ctx.exit()


@click.group(
    cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Print the version.",
)
def command_line() -> None:
    """
    pymta, a mail server whose policy is ordinary Python.

    `pymta serve` alone runs a relay on loopback, for a first try. Exit codes: 0 done, 1 not done (one line on standard
    error says why), 2 wrong usage.
    """


def main() -> None:
    """The command `pymta`; called by the name of sendmail, it is `pymta send`."""
    if os.path.basename(sys.argv[0]) == "sendmail":  # noqa: PTH119 - pathlib is imported by nothing else on this way
        from pymta.cli import send

        send.main()
    try:
        command_line.main(prog_name="pymta")
    except OSError as error:
        # Of the machine, and expected by no command: most often a standard output on a disk that is full.
        from pymta.cli.output import one_line

        sys.exit(f"Error: {one_line(error)}")
