"""
Local delivery through LMTP into many Maildirs, beside Dovecot's lmtpd, in one run on the same disk; both sync.

    python -m bench.delivery [--messages N] [--sessions N] [--accounts N] [--rounds N]

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

from tests.partners.accounts import Accounts
from tests.partners.dovecot import Dovecot
from tests.partners.pymta import Pymta

CONTENT_OCTETS = 4096
DOMAIN = "example.test"


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
def main(messages: int, sessions: int, accounts: int, rounds: int) -> None:
    """Measure both, in turns."""
    rates: dict[str, list[float]] = {}
    for _ in range(rounds):
        for start in (dovecot, pymta):
            with start(accounts) as contestant:
                asyncio.run(load(contestant, accounts, sessions, accounts))  # makes the mailboxes
                took_s = asyncio.run(load(contestant, messages, sessions, accounts))
                rates.setdefault(contestant.name, []).append(messages / took_s)
                print(f"{contestant.name:<10}{messages / took_s:8.0f} messages/s", flush=True)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    for name, rate in medians.items():
        print(
            f"{name:<10}{rate:8.0f} messages/s, {rate / medians['Dovecot']:.2f} x Dovecot (median of {rounds})"
        )


if __name__ == "__main__":
    main()
