"""
Local delivery through LMTP into many Maildirs, beside Dovecot's lmtpd, in one run on the same disk; both sync.

    python -m bench.delivery [--messages N] [--sessions N] [--accounts N] [--rounds N] [--seconds N]

The clock starts with the first command and stops when every message is in `new` of its Maildir, durable: Dovecot says 250
then, pymta says 250 when the message is in its spool, and is waited for. The client is one process, the same for both, with
a pipelined transaction at a time on each connection. As root, as Dovecot needs it.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click

from bench.limit import Limit, TimeUp
from bench.lines import Line, Part, machine, spread
from bench.relay import OUT
from tests.partners.accounts import Accounts
from tests.partners.dovecot import Dovecot
from tests.partners.pymta import Pymta

CONTENT_OCTETS = 4096
DOMAIN = "example.test"
SECONDS_MAX = 70


class Contestant(NamedTuple):
    """Somebody who takes mail by LMTP."""

    name: str
    port: int
    mailboxes: Path
    """Below it, each account has a folder with `new`."""


def addresses(count: int) -> list[str]:
    return [f"user{number}@{DOMAIN}" for number in range(count)]


@contextmanager
def dovecot(accounts: int) -> Iterator[Contestant]:
    """Its defaults, but for room for all our connections; fsync is one of them (mail_fsync = optimized)."""
    more = "service lmtp {\n process_min_avail = 4\n process_limit = 200\n client_limit = 1\n}\nmail_fsync = optimized\n"
    with Dovecot(*addresses(accounts), more=more) as running:
        yield Contestant("Dovecot", running.port, running.folder / "mail")


@contextmanager
def pymta(accounts: int) -> Iterator[Contestant]:
    """Its defaults."""
    with tempfile.TemporaryDirectory(prefix="pymta-bench-") as name:
        folder = Path(name)
        directory = Accounts(folder / "data")
        directory.add(*addresses(accounts))
        with Pymta(folder, listeners=[{"name": "lmtp", "role": "lmtp"}]) as running:
            yield Contestant("pymta", running.ports["lmtp"], directory.mailboxes / DOMAIN)


def transaction(number: int, accounts: int) -> bytes:
    line = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n"
    head = f"From: author@example.net\r\nMessage-ID: <{number}@example.net>\r\nSubject: {number}\r\n\r\n".encode()
    body = (line * (CONTENT_OCTETS // len(line) + 1))[: CONTENT_OCTETS - len(head) - 2] + b"\r\n"
    forward_path = f"user{number % accounts}@{DOMAIN}"
    commands = f"MAIL FROM:<author@example.net>\r\nRCPT TO:<{forward_path}>\r\nDATA\r\n".encode()
    return commands + b"\0" + head + body + b".\r\n"


async def session(port: int, work: Iterator[int], accounts: int) -> None:
    """One connection: a transaction at a time, its commands in one write."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    writer.write(b"LHLO bench.example\r\n")
    while (await reader.readline())[3:4] == b"-":
        pass
    for number in work:
        commands, _, content = transaction(number, accounts).partition(b"\0")
        writer.write(commands)
        for expected in (b"250", b"250", b"354"):
            reply = await reader.readline()
            assert reply.startswith(expected), reply
        writer.write(content)
        reply = await reader.readline()
        assert reply.startswith(b"250"), reply
    writer.close()


async def load(contestant: Contestant, messages: int, sessions: int, accounts: int) -> float:
    """Seconds until all messages are in their Maildirs."""
    work = iter(range(messages))
    before = arrived(contestant)
    began_s = time.perf_counter()
    await asyncio.gather(*(session(contestant.port, work, accounts) for _ in range(sessions)))
    while arrived(contestant) < before + messages:  # noqa: ASYNC110 -- files tell nobody that they are there
        await asyncio.sleep(0.02)
    return time.perf_counter() - began_s


def arrived(contestant: Contestant) -> int:
    return sum(1 for _ in contestant.mailboxes.glob("*/new/*"))


@click.command()
@click.option("--messages", default=4000, show_default=True)
@click.option("--sessions", default=20, show_default=True)
@click.option("--accounts", default=100, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=SECONDS_MAX, show_default=True, help="When the time is up.")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, help="Where the table goes.")
def main(messages: int, sessions: int, accounts: int, rounds: int, seconds: float, out: Path) -> None:
    """Measure both, in turns."""

    def measured() -> Iterator[Line]:
        rates: dict[str, list[float]] = {}
        for number in range(rounds):
            if number and bound.is_over:
                break
            for start in (pymta, dovecot) if number % 2 else (dovecot, pymta):
                try:
                    with start(accounts) as contestant:
                        asyncio.run(load(contestant, accounts, sessions, accounts))  # makes the mailboxes
                        took_s = asyncio.run(load(contestant, messages, sessions, accounts))
                except TimeUp:
                    if len(rates) < 2:
                        raise
                    break
                else:
                    rates.setdefault(contestant.name, []).append(messages / took_s)
                    click.echo(
                        f"{number + 1} {contestant.name}: {messages / took_s:.0f} messages/s", err=True
                    )
        yield from (line(name, rates) for name in rates)

    with Limit(seconds) as bound, tempfile.TemporaryDirectory(prefix="pymta-bench-") as name:
        table = Part(out, "delivery", machine(Path(name)), bound)
        table.add("delivery", measured)
    table.write("delivery into Maildirs by LMTP")


def line(name: str, rates: dict[str, list[float]]) -> Line:
    """What *name* did, beside Dovecot in the same rounds."""
    mine = rates[name]
    ratio = statistics.median(a / b for a, b in zip(mine, rates["Dovecot"], strict=False))
    return Line(
        "LMTP into Maildirs, 4 KiB",
        f"{statistics.median(mine):,.0f} messages/s",
        who=name,
        promise="synced",
        spread=spread(min(mine), max(mine)),
        rounds=len(mine),
        beside="" if name == "Dovecot" else f"{ratio:.1f} x Dovecot",
    )


if __name__ == "__main__":
    main()
