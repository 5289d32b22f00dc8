"""
`pymta send`: submit a message; a drop-in for sendmail. Called as `sendmail` (by a link of that name) it is the same.

Here are the options and what they mean; what is done with the message is `pymta.send`'s.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, cast

import click

from pymta.cli import place
from pymta.cli.output import plain
from pymta.send.exit_status import ExitStatus

if TYPE_CHECKING:
    from pymta._core import Envelope, Reply
    from pymta.config.settings import Settings
    from pymta.send.message import Message

_MODES: Final = {
    "d": "`pymta serve` runs the server",
    "p": "`pymta queue list` shows the queue",
    "i": "aliases need not be compiled",
    "v": "`pymta explain ADDRESS` tells where mail would go",
    "t": "`pymta explain ADDRESS` tells where mail would go",
    "h": "there is no host status",
}
_FALLBACK_SERVER: Final = ("127.0.0.1", 2525)


def _fail(status: ExitStatus, why: str) -> NoReturn:
    """Not sent: one line, and the exit status that sendmail's callers expect."""
    click.echo(f"Error: {plain(why)}", err=True)
    raise SystemExit(int(status))


class _SendCommand(click.Command):
    """Wrong usage is 64 here."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        # As sendmail, what follows the first recipient is a recipient, so that an address never becomes an option.
        extra.setdefault("allow_interspersed_args", info_name != "sendmail")
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            error.show()
            raise SystemExit(int(ExitStatus.USAGE)) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            error.show()
            raise SystemExit(int(ExitStatus.USAGE)) from None
        except OSError as error:
            _fail(ExitStatus.OSERR, error.strerror or str(error))
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception:
            import traceback

            traceback.print_exc()
            raise SystemExit(int(ExitStatus.SOFTWARE)) from None


def _ignored(*names: str, takes_value: bool) -> Callable[[Any], Any]:
    return click.option(
        *names, hidden=True, is_flag=not takes_value, multiple=takes_value, expose_value=False
    )


@click.command(
    name="send",
    cls=_SendCommand,
    context_settings={"help_option_names": ["--help"], "max_content_width": 100},
)
@click.argument("recipients", nargs=-1, metavar="[RECIPIENT]...")
@click.option(
    "-f",
    "-r",
    "--from",
    "reverse_path",
    metavar="ADDRESS",
    help="Reverse-path, and From where that is missing; <> is the null one.",
)
@click.option("-F", "full_name", metavar="NAME", help="The author's name, for From where that is missing.")
@click.option("-t", "from_header", is_flag=True, help="Recipients are in To, Cc and Bcc, too.")
@click.option(
    "-i", "ignore_dots", is_flag=True, help="A line that is one dot does not end the message. Also -oi."
)
@click.option(
    "-b",
    "mode",
    default="m",
    metavar="MODE",
    help="m: send a message (default); s: SMTP on standard input and output.",
)
@click.option(
    "-N", "notify", metavar="DSN", help="When to report: never, or of failure, delay, success, with commas."
)
@click.option("-R", "ret", metavar="WHAT", help="What a report of failure returns: full or hdrs.")
@click.option("-V", "envid", metavar="ID", help="An envelope id, which reports name.")
@click.option("-B", "body", metavar="TYPE", help="7BIT or 8BITMIME; without it, what the message is.")
@click.option("-v", "verbose", is_flag=True, help="Say what the server replied.")
@click.option(
    "--server",
    metavar="HOST:PORT",
    help="Where to send it. [default: the first listener of the configuration]",
)
@click.option(
    "--trace",
    is_flag=True,
    help="Follow it: the spool id, what became of each recipient, where the sink keeps it.",
)
@click.option(
    "--wait",
    "wait_s_max",
    type=click.FloatRange(0.1, 3600),
    default=300.0,
    metavar="SECONDS",
    help="How long a reply may take.",
)
@click.option(
    "-o", "sendmail_options", multiple=True, metavar="OPTION", help="sendmail's; all but i are ignored."
)
@click.option(
    "-C", "--config", type=click.Path(path_type=Path, dir_okay=False), help="The configuration file."
)
@click.option("--no-config", is_flag=True, help="Read no file: the embedded default, on loopback.")
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="The data folder, for --trace."
)
@_ignored("-G", "-U", "-n", "-m", "-s", takes_value=False)
@_ignored("-A", "-L", "-O", "-X", "-e", "-p", takes_value=True)
def command(**given: Any) -> None:
    """
    Send the message on standard input to the RECIPIENTs, as sendmail does.

    LF becomes CRLF; Date, Message-ID and From are added where they are missing; Bcc is left out. The server has taken
    the message when this returns 0.

    \b
    Exit codes (sysexits.h):
      0 taken       64 wrong usage      65 wrong message or address   67 no such recipient
      69 refused    68 no such server   75 try again later            77 refused by policy
      70 our bug    71 system error     78 unusable configuration
    """
    if given["mode"] == "s":
        _speak_smtp(given)
        return
    if given["mode"] != "m":
        why = _MODES.get(given["mode"][:1])
        raise click.UsageError(f"-b{given['mode']} is not supported" + (f": {why}" if why else ""))
    _send(given)


def _send(given: dict[str, Any]) -> None:
    from pymta.send.exit_status import exit_status_of
    from pymta.send.handover import Unreachable, hand_over

    if not given["recipients"] and not given["from_header"]:
        raise click.UsageError("name a recipient, or give -t to take them from the message")
    settings = _settings(given)
    hostname = _hostname(settings)
    message, envelope = _compose(given, hostname)
    server, implicit_tls = _server(given, settings)
    try:
        outcomes = hand_over(
            envelope,
            message.content(),
            server=server,
            hello_name=hostname,
            context=_context(server[0], implicit_tls=implicit_tls),
            implicit_tls=implicit_tls,
            wait_s_max=given["wait_s_max"],
        )
    except Unreachable as error:
        _fail(ExitStatus.NOHOST if error.no_such_host else ExitStatus.TEMPFAIL, str(error))
    _tell(envelope, outcomes, verbose=given["verbose"] or given["trace"])
    status = exit_status_of([reply for _, reply in outcomes])
    if given["trace"] and any(reply.is_positive for _, reply in outcomes):
        from pymta.cli.follow import follow

        taken = next(reply for _, reply in outcomes if reply.is_positive)
        follow(taken.text, message.message_id, settings, given["data"])
    if status is not ExitStatus.OK:
        raise SystemExit(int(status))


def _tell(envelope: Envelope, outcomes: list[tuple[int, Reply]], *, verbose: bool) -> None:
    """Each recipient that was not taken is a line on standard error; the others only where they are asked for."""
    for index, reply in outcomes:
        if reply.is_positive and not verbose:
            continue
        text = f"{envelope.recipient(index).forward_path}: {reply.code} {reply.enhanced or ''} {reply.text}"
        click.echo(plain(text.replace("  ", " ")), err=not reply.is_positive)


# ---- the message ---------------------------------------------------------------------------------------------------


def _compose(given: dict[str, Any], hostname: str) -> tuple[Message, Envelope]:
    from pymta.send.message import Message, MessageError, read_content

    own_address, own_name = _account(hostname)
    reverse_path = _reverse_path(given["reverse_path"], own_address, hostname)
    ignores_dots = given["ignore_dots"] or "i" in given["sendmail_options"]
    recipients = _addresses(given["recipients"], hostname)
    try:
        message = Message(read_content(sys.stdin.buffer, dot_ends=not ignores_dots))
        if given["from_header"]:
            recipients += _qualified(message.recipients(), hostname)
        message.complete(
            author=reverse_path or own_address,
            name=own_name if given["full_name"] is None else given["full_name"],
            hostname=hostname,
            now_s=time.time(),
        )
    except MessageError as error:
        _fail(ExitStatus.DATAERR, str(error))
    recipients = list(dict.fromkeys(recipients))
    if not recipients:
        raise click.UsageError("no recipient, neither in the arguments nor in To, Cc or Bcc")
    return message, _envelope(given, reverse_path, recipients)


def _envelope(given: dict[str, Any], reverse_path: str | None, recipients: list[str]) -> Envelope:
    from pymta._core import Envelope, Recipient

    notify = given["notify"].upper().replace(" ", "") if given["notify"] is not None else None
    ret = {None: None, "full": "FULL", "hdrs": "HDRS"}.get(
        given["ret"].lower() if given["ret"] is not None else None, "?"
    )
    if ret == "?":
        raise click.UsageError(f'expected full or hdrs after -R, got "{given["ret"]}"')
    body = (given["body"] or "7BIT").upper()
    if body not in ("7BIT", "8BITMIME"):
        raise click.UsageError(f'expected 7BIT or 8BITMIME after -B, got "{given["body"]}"')
    # SMTPUTF8 is asked for where an address needs it, not for a header section with octets above 127: hosts pass those
    # on as they are, and the extension would have the message returned by the first one that lacks it.
    smtputf8 = not all(address.isascii() for address in (reverse_path or "", *recipients))
    try:
        return Envelope(
            reverse_path,
            [Recipient(address, notify=notify) for address in recipients],
            body=cast(Literal["7BIT", "8BITMIME"], body),
            smtputf8=smtputf8,
            ret=ret,  # type: ignore[arg-type]  # one of the two, or None
            envid=given["envid"],
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _reverse_path(given: str | None, own_address: str, hostname: str) -> str | None:
    if given is None:
        return own_address
    if given.strip() in ("", "<>"):
        return None
    addresses = _addresses((given,), hostname)
    if len(addresses) != 1:
        raise click.UsageError(f'expected one address after -f, got "{plain(given)}"')
    return addresses[0]


def _addresses(texts: tuple[str, ...], hostname: str) -> list[str]:
    """The addresses of arguments, each of which may be a list."""
    from pymta.send.address_list import parse_address_list

    found: list[str] = []
    for text in texts:
        try:
            found += parse_address_list(text)
        except ValueError as error:
            _fail(ExitStatus.DATAERR, f"{text}: {error}")
    return _qualified(found, hostname)


def _qualified(addresses: list[str], hostname: str) -> list[str]:
    """With our host name where there is none, as for `root`."""
    from pymta._core import Address

    found = []
    for address in addresses:
        whole = address if "@" in address else f"{address}@{hostname}"
        try:
            Address(whole)
        except ValueError as error:
            _fail(ExitStatus.DATAERR, f"{address}: {error}")
        found.append(whole)
    return found


def _account(hostname: str) -> tuple[str, str]:
    """Who calls: address and name, by the system and not by the environment, which anybody can set."""
    import pwd

    try:
        entry = pwd.getpwuid(os.getuid())
    except KeyError:
        return f"uid-{os.getuid()}@{hostname}", ""
    # The first part of GECOS; & stands for the name (passwd(5)).
    name = entry.pw_gecos.partition(",")[0].replace("&", entry.pw_name.capitalize())
    return f"{entry.pw_name}@{hostname}", name if name.isprintable() else ""


# ---- where to ------------------------------------------------------------------------------------------------------


def _settings(given: dict[str, Any]) -> Settings | None:
    """
    The configuration, or None where it is the system's and we may not read it: its secrets are not for every user, and
    every user sends mail.
    """
    named = given["config"] is not None or given["no_config"] or os.environ.get("PYMTA_CONFIG")
    if not named and place.SYSTEM_FILE.exists() and not os.access(place.SYSTEM_FILE, os.R_OK):
        return None
    try:
        return place.find(given["config"], given["no_config"], given["data"]).settings
    except click.UsageError:
        raise
    except click.ClickException as error:
        _fail(ExitStatus.CONFIG, error.message)


def _hostname(settings: Settings | None) -> str:
    return settings.server.hostname.name if settings is not None else socket.getfqdn()


def _server(given: dict[str, Any], settings: Settings | None) -> tuple[tuple[str, int], bool]:
    """Host and port, and whether TLS begins at once."""
    if given["server"] is not None:
        from pymta.config.values import NextHop

        try:
            where = NextHop.parse(given["server"])
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        port = where.port or 25
        return (where.host, port), port == 465
    for listener in settings.listeners if settings is not None else ():
        if listener.role == "relay":
            address = listener.address
            # Listening on all addresses means this host, too.
            host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.address, address.address)  # noqa: S104 - compared, not bound
            return (host, address.port), listener.tls == "implicit"
    return _FALLBACK_SERVER, False


def _context(host: str, *, implicit_tls: bool) -> Any:
    """TLS with whoever answers, where it is offered; within this host only where it has to be."""
    if not implicit_tls and host in ("127.0.0.1", "::1", "localhost"):
        return None
    from pymta.tls.client import whoever_context

    return whoever_context()


def _speak_smtp(given: dict[str, Any]) -> None:
    from pymta.send.stdio import pass_through

    server, implicit_tls = _server(given, _settings(given))
    try:
        connection = socket.create_connection(server, timeout=given["wait_s_max"])
    except socket.gaierror as error:
        _fail(ExitStatus.NOHOST, f"{server[0]}: {error.strerror}")
    except OSError as error:
        _fail(ExitStatus.TEMPFAIL, f"{server[0]}:{server[1]}: {error.strerror or error}")
    if implicit_tls:
        connection = _context(server[0], implicit_tls=True).wrap_socket(connection, server_hostname=server[0])
    with connection:
        if not pass_through(connection, input_fd=0, output_fd=1, wait_s_max=given["wait_s_max"]):
            _fail(ExitStatus.DATAERR, "standard input ended in the middle of a message or command")


def main() -> None:
    """The command `sendmail`."""
    command.main(prog_name="sendmail")
