"""
`pymta sink`: take messages and count them, or be as difficult as told.
"""

from __future__ import annotations

import asyncio
import signal
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pymta.cli.output import octets, print_json

if TYPE_CHECKING:
    from pymta.sink.options import Counts, SinkOptions
    from pymta.sink.server import Sink

_DURATION_S_MAX: Final = 7 * 86_400
_SHARE: Final = click.FloatRange(0, 1)


@click.command(name="sink", context_settings={"show_default": True})
@click.argument("address", default="127.0.0.1:2526", metavar="[HOST:PORT]")
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), help="Keep messages here, one file each."
)
@click.option(
    "--keep",
    "messages_max",
    type=click.IntRange(1, 10**7),
    default=1000,
    help="How many are kept; the oldest goes first.",
)
@click.option("--lmtp", is_flag=True, help="Speak LMTP: a reply for each recipient.")
@click.option(
    "--deferred", "deferred_share", type=_SHARE, default=0.0, help="Share, 0 to 1, that gets a 4yz reply."
)
@click.option(
    "--refused", "refused_share", type=_SHARE, default=0.0, help="Share, 0 to 1, that gets a 5yz reply."
)
@click.option(
    "--stage",
    type=click.Choice(["connect", "mail", "rcpt", "content"]),
    default="rcpt",
    help="What those shares are shares of.",
)
@click.option("--slow", "slow_share", type=_SHARE, default=0.0, help="Share of messages whose reply is late.")
@click.option(
    "--slow-for", "slow_s", type=click.FloatRange(0, 3600), default=1.0, metavar="SECONDS", help="How late."
)
@click.option("--seed", type=int, default=0, help="For the same answers in the same order.")
@click.option(
    "--tls",
    type=click.Choice(["none", "starttls", "implicit"]),
    default="none",
    help="Offer STARTTLS, or begin with TLS.",
)
@click.option(
    "--certificate",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="PEM; without it one is made, which nobody trusts.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="PEM; without it, it is in the file of the certificate.",
)
@click.option("--hostname", default="sink.example.test", help="What it calls itself.")
@click.option(
    "--size-max",
    "message_octets_max",
    type=click.IntRange(1),
    metavar="OCTETS",
    help="Refuse larger messages. [default: 64 MiB with --folder]",
)
@click.option(
    "--messages", "stop_after", type=click.IntRange(1), metavar="N", help="Stop after so many messages."
)
@click.option(
    "--duration",
    "duration_s",
    type=click.FloatRange(0, _DURATION_S_MAX, min_open=True),
    metavar="SECONDS",
    help="Stop after so long.",
)
@click.option("--json", "as_json", is_flag=True, help="The counts as JSON at the end, for programs.")
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(0.01),
    metavar="SECONDS",
    help="With --json: a line with the counts so often, too.",
)
def command(**given: Any) -> None:
    """
    Take every message that comes to HOST:PORT over SMTP or LMTP, count it, and keep none.

    It stops at SIGINT, SIGTERM, or when --messages or --duration says so. Port 0 lets the system choose; the address is
    printed. It takes anything from anyone who reaches it: leave it on loopback unless the network is yours.

    Exit code 1 where fewer messages came than --messages says.
    """
    from pymta.runtime import loop, open_files

    options = _options(given)
    context = _context(given)
    open_files.raise_limit(options.connections_max + 100)
    run = _Run(options, context, given)
    try:
        loop.run(run.main())
    except OSError as error:
        raise click.ClickException(f"{given['address']}: {error.strerror or error}") from None
    wanted = given["stop_after"]
    if wanted is not None and run.sink.counts.messages < wanted:
        raise click.ClickException(f"{run.sink.counts.messages} of {wanted} messages came")


def _options(given: dict[str, Any]) -> SinkOptions:
    from pymta.config.values import Endpoint, is_host_name
    from pymta.sink.behaviour import Behaviours
    from pymta.sink.options import SinkOptions

    try:
        where = Endpoint.parse(given["address"])
        shares = ("deferred_share", "refused_share", "stage", "slow_share", "slow_s", "seed")
        behaviours = Behaviours(**{name: given[name] for name in shares})
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if not is_host_name(given["hostname"]):
        raise click.UsageError(f'expected a host name, got "{given["hostname"]}"')
    if given["every_s"] is not None and not given["as_json"]:
        raise click.UsageError("--every is for --json; on a terminal the counts are shown anyway")
    return SinkOptions(
        host=where.address,
        port=where.port,
        hostname=given["hostname"],
        lmtp=given["lmtp"],
        implicit_tls=given["tls"] == "implicit",
        message_octets_max=given["message_octets_max"],
        folder=given["folder"],
        messages_max=given["messages_max"],
        behaviours=behaviours,
    )


def _context(given: dict[str, Any]) -> ssl.SSLContext | None:
    from pymta.mail.errors import ConfigError
    from pymta.sink.certificate import self_made_context
    from pymta.tls.server import CertificateFiles, ServerTls

    if given["tls"] == "none":
        if given["certificate"] or given["key"]:
            raise click.UsageError("a certificate is for --tls starttls or --tls implicit")
        return None
    if given["certificate"] is None:
        if given["key"] is not None:
            raise click.UsageError("--key needs its --certificate")
        try:
            return self_made_context(given["hostname"])
        except (OSError, ValueError) as error:
            raise click.ClickException(str(error)) from None
    try:
        return ServerTls((CertificateFiles(given["certificate"], given["key"]),)).context
    except ConfigError as error:
        raise click.ClickException(str(error)) from None


class _Run:
    """One run of a sink, from listening to the counts."""

    def __init__(self, options: SinkOptions, context: ssl.SSLContext | None, given: dict[str, Any]) -> None:
        from pymta.cli.live import Rate
        from pymta.sink.server import Sink

        self._given = given
        self._rate = Rate()
        self._began_s = 0.0
        self._ended = asyncio.Event()
        self._stop_after: int | None = given["stop_after"]
        self.sink: Sink = Sink(options, tls=context, on_message=self._took)

    async def main(self) -> None:
        from pymta.cli.live import LiveLine

        given, loop = self._given, asyncio.get_running_loop()
        port = await self.sink.start()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._ended.set)
        host = self.sink.options.host
        click.echo(f"listening on {f'[{host}]' if ':' in host else host}:{port}", err=True)
        self._began_s = loop.time()
        if given["duration_s"] is not None:
            loop.call_later(given["duration_s"], self._ended.set)
        if given["every_s"] is not None:
            loop.call_later(given["every_s"], self._print_so_far)
        with LiveLine(self._line):
            await self._ended.wait()
        await self.sink.stop()
        # Reply to the last message, and the farewells: what was written goes out in the loop's next rounds.
        for _ in range(2):
            await asyncio.sleep(0)
        took_s = loop.time() - self._began_s
        if not given["as_json"]:
            click.echo(_summary(self.sink.counts, took_s))
        elif given["every_s"] is None:
            print_json(self._answer(took_s, is_final=True))
        else:
            self._print_line(self._answer(took_s, is_final=True))

    def _took(self, *_: object) -> None:
        # Replies to what came so far go out before the loop gets to see this.
        if self._stop_after is not None and self.sink.counts.messages >= self._stop_after:
            self._ended.set()

    def _answer(self, took_s: float, *, is_final: bool) -> dict[str, Any]:
        return {"final": is_final, "took_s": round(took_s, 3), **self.sink.counts.as_dict()}

    def _print_so_far(self) -> None:
        if self._ended.is_set():
            return
        loop = asyncio.get_running_loop()
        self._print_line(self._answer(loop.time() - self._began_s, is_final=False))
        loop.call_later(self._given["every_s"], self._print_so_far)

    @staticmethod
    def _print_line(answer: dict[str, Any]) -> None:
        import msgspec

        click.echo(msgspec.json.encode(answer).decode())

    def _line(self, now_s: float) -> str:
        counts = self.sink.counts
        rate = self._rate.per_s(now_s, counts.messages)
        return f"{counts.messages:,} messages  {rate:,.0f}/s  {_rest(counts)}  {counts.connections_open} open"


def _rest(counts: Counts) -> str:
    parts = [f"{counts.recipients:,} recipients", f"{octets(counts.octets)}B"]
    for name in ("deferred", "refused", "slow", "violations"):
        if number := getattr(counts, name):
            parts.append(f"{number:,} {name}")
    return "  ".join(parts)


def _summary(counts: Counts, took_s: float) -> str:
    each = counts.messages / took_s if took_s > 0 else 0.0
    return (
        f"{counts.messages:,} messages on {counts.connections:,} connections in {took_s:.1f} s "
        f"({each:,.0f}/s)  {_rest(counts)}"
    )
