"""
`pymta load HOST:PORT`: send many messages to a server and measure.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import signal
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pymta.cli.output import octets, plain, print_json, print_table

if TYPE_CHECKING:
    from pymta.load.generator import Generator
    from pymta.load.plan import Plan
    from pymta.load.report import Report

_MESSAGES: Final = 1000
_PORT: Final = 25


@click.command(name="load", context_settings={"show_default": True})
@click.argument("target", metavar="HOST:PORT")
@click.option("-c", "--connections", type=int, default=10, help="Connections at once.")
@click.option(
    "-m",
    "--messages",
    "messages_max",
    type=int,
    help="How many messages.  [default: 1000, or no limit with --duration]",
)
@click.option("-d", "--duration", "duration_s", type=float, metavar="SECONDS", help="How long.")
@click.option(
    "--rate",
    "rate_per_s",
    type=float,
    metavar="PER_SECOND",
    help="Open loop: so many messages a second, due by the clock.",
)
@click.option(
    "--messages-per-connection",
    type=int,
    metavar="N",
    help="QUIT after so many.  [default: connections are kept]",
)
@click.option(
    "-s",
    "--size",
    "sizes",
    default="4096",
    metavar="SIZES",
    help="Octets, as 4096, 64k, a range 1k-64k, a list with weights 4k:90,5M:10.",
)
@click.option("-r", "--recipients", type=int, default=1, help="For each message.")
@click.option(
    "--from",
    "reverse_path",
    default="load@load.example.test",
    metavar="PATTERN",
    help="Reverse-path; <> is the null one.",
)
@click.option(
    "--to", "forward_path", default="reader{r}@sink.example.test", metavar="PATTERN", help="Forward-path."
)
@click.option("--tls", type=click.Choice(["none", "starttls", "implicit"]), default="none")
@click.option(
    "--verify/--no-verify",
    default=None,
    help="Whether the certificate must be valid.  [default: not on loopback]",
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Authorities to trust instead of the system's.",
)
@click.option("--lmtp", is_flag=True, help="Speak LMTP.")
@click.option("--chunking", is_flag=True, help="Use BDAT where it is offered.")
@click.option(
    "--hello", "hello_name", default="load.example.test", metavar="NAME", help="What to say in EHLO."
)
@click.option(
    "--wait", "wait_s_max", type=float, default=60.0, metavar="SECONDS", help="How long a reply may take."
)
@click.option(
    "--seed", type=int, default=0, help="For the same sizes, addresses and texts in the same order."
)
@click.option("--allow-remote", is_flag=True, help="Allow a server that is not on loopback.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON, for programs.")
def command(**given: Any) -> None:
    """
    Send many messages to the SMTP server at HOST:PORT and measure how long it took.

    \b
    Closed loop (without --rate): each connection sends its next message when the last one is answered.
    Open loop (--rate): message i is due i/rate seconds after the begin. Its latency counts from then, also
    where no connection was free, so a server that falls behind is seen to.

    PATTERN is an address in which {n} is the message's number, {r} the recipient's, and {1-1000} a random number:
    --to 'user{1-50}@domain{1-1000}.example.test'. Messages are generated; nothing in them is anybody's.

    Exit code 1 where a message was not accepted for all of its recipients.
    """
    from pymta.load.report import report_of
    from pymta.runtime import loop, open_files

    plan = _plan(given)
    open_files.raise_limit(plan.connections + 100)
    generator = loop.run(_run(plan, _context(given, plan)))
    report = report_of(generator, target=given["target"], now=datetime.datetime.now(datetime.UTC))
    if given["as_json"]:
        print_json(report)
    else:
        _print(report)
    if not report.ok:
        raise SystemExit(1)


def _plan(given: dict[str, Any]) -> Plan:
    from pymta.config.values import NextHop
    from pymta.load.pattern import AddressPattern
    from pymta.load.plan import Plan
    from pymta.load.sizes import Sizes

    try:
        where = NextHop.parse(given["target"])
        address = _address_of(where.host, where.port or _PORT)
        _look_at(address, allow_remote=given["allow_remote"])
        given = {**given, "sizes": Sizes(given["sizes"])}
        for name in ("reverse_path", "forward_path"):
            given[name] = AddressPattern(given[name])
        if given["messages_max"] is None and given["duration_s"] is None:
            given["messages_max"] = _MESSAGES
        names = [name for name in Plan.__struct_fields__ if name in given]
        return Plan(host=address, port=where.port or _PORT, **{name: given[name] for name in names})
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _address_of(host: str, port: int) -> str:
    """The address to connect to, looked up once so that it is the one that was checked."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise click.ClickException(f"{host}: {error.strerror or error}") from None
    return str(found[0][4][0])


def _look_at(address: str, *, allow_remote: bool) -> None:
    """Protects from mistakes, not from malice: a load test of somebody else's server is an attack."""
    if not allow_remote and not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        raise click.UsageError(
            f"{address} is not on loopback. Where that server is yours to test, say so with --allow-remote"
        )


def _context(given: dict[str, Any], plan: Plan) -> ssl.SSLContext | None:
    from pymta.tls.client import verifying_context, whoever_context

    if plan.tls == "none":
        if given["verify"] or given["ca_file"]:
            raise click.UsageError("--verify and --ca-file are for --tls starttls or --tls implicit")
        return None
    verify = given["verify"]
    if verify is None:
        on_loopback = ipaddress.ip_address(plan.host.partition("%")[0]).is_loopback
        verify = given["ca_file"] is not None or not on_loopback
    if not verify:
        return whoever_context(version_min=ssl.TLSVersion.TLSv1_2)
    try:
        return verifying_context(given["ca_file"])
    except OSError as error:
        raise click.ClickException(f"{given['ca_file']}: {error.strerror or error}") from None


async def _run(plan: Plan, context: ssl.SSLContext | None) -> Generator:
    from pymta.cli.live import LiveLine, Rate
    from pymta.load.generator import Generator

    generator = Generator(plan, context=context)
    rate = Rate()
    running = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        running.add_signal_handler(number, generator.stop, "stopped by a signal")
    with LiveLine(lambda now_s: _line(generator, rate.per_s(now_s, generator.tally.answered))):
        await generator.run()
    return generator


# ---- what people read ------------------------------------------------------------------------------------------------


def _line(generator: Generator, per_s: float) -> str:
    tally = generator.tally
    planned = f" of {generator.planned:,}" if generator.planned is not None else ""
    parts = [f"{tally.answered:,}{planned}", f"{per_s:,.0f}/s", f"{generator.took_s:.0f} s"]
    p50, p99 = (us / 1000 for us in tally.whole.percentiles_us((0.5, 0.99)))
    parts += [f"p50 {p50:.1f} ms", f"p99 {p99:.1f} ms", f"{generator.connections_open:,} open"]
    for name in ("deferred", "refused", "lost", "connections_failed"):
        if number := getattr(tally, name):
            parts.append(f"{number:,} {name.replace('_', ' ')}")
    return "  ".join(parts)


def _print(report: Report) -> None:
    messages = report.messages
    click.echo(
        f"{messages['accepted']:,} messages accepted in {report.took_s:.2f} s: {report.per_s:,.0f}/s, "
        f"{octets(round(report.octets_per_s))}B/s, {report.connections:,} connections"
    )
    wrong = [
        f"{messages[name]:,} {name.replace('_', ' ')}"
        for name in ("deferred", "refused", "lost", "not_sent")
        if messages[name]
    ]
    if report.connections_failed:
        wrong.append(f"{report.connections_failed:,} connections failed")
    if wrong:
        click.echo("not accepted: " + ", ".join(wrong))
    if report.gave_up:
        click.echo(f"ended early: {report.gave_up}")
    click.echo()
    names = {
        "connect": "connect",
        "mail_to_354": "MAIL to 354",
        "end_to_reply": "end to reply",
        "whole": "whole",
    }
    columns = ("milliseconds", "count", "mean", "p50", "p90", "p95", "p99", "p99.9", "max")
    rows = []
    for name, title in names.items():
        took = report.latency_ms[name]
        times = (took.mean, took.p50, took.p90, took.p95, took.p99, took.p99_9, took.max)
        rows.append((title, f"{took.count:,}", *(f"{ms:,.2f}" for ms in times)))
    print_table(columns, rows, right=columns[1:])
    if any(not 200 <= reply.code < 300 for reply in report.replies):
        print_table(
            ("reply", "", "recipients", "the first one's text"),
            [(str(row.code), row.enhanced or "", f"{row.count:,}", row.text) for row in report.replies],
            right=("recipients",),
        )
    for error in report.errors:
        click.echo(f"{error.count:,} times: {plain(error.what)}")
