"""
Logins a second, and what other sessions feel of them.

    python -m bench.logins [--each N] [--rounds N] [--clients N] [--seconds N]

One server with one account, its clients in a process of their own on the same machine, in the clear on loopback, so that
what is measured is the login and not the handshake: connect, EHLO, AUTH, QUIT. Beside them one session asks NOOP all the
time; what it waits for is what everybody waits for.
"""

import asyncio
import base64
import hashlib
import hmac
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import ClassVar, NamedTuple

import click

from bench.limit import Limit
from bench.lines import Line, Part, machine, spread
from bench.processes import end, free_port, wait_listening
from bench.relay import OUT
from pymta.auth.schemes import HashCost, stored_forms
from pymta.directory.editor import DirectoryEditor

ACCOUNT, PASSWORD = "user@example.test", "correct horse"
COST = HashCost()
# Enough to keep all threads that verify at work, beside clients of SCRAM.
HASHING_CLIENTS = 4
CONFIG = """
[server]
hostname = "mail.example.test"
data_folder = "data"
[[listeners]]
name = "submission"
address = "127.0.0.1:{port}"
role = "submission"
limits = {{ connections_per_address_max = 1000 }}
[auth]
in_the_clear = "loopback"
remember_s = {remember_s}
[http]
enabled = false
[log]
file = "log"
"""


class Session:
    """The least of a client."""

    async def open(self, port: int) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        await self.reader.readline()
        await self.ask("EHLO bench.example")

    async def ask(self, line: str) -> bytes:
        """The last line of the reply."""
        self.writer.write(line.encode() + b"\r\n")
        while True:
            reply = await self.reader.readline()
            if reply[3:4] != b"-":
                return reply

    def close(self) -> None:
        self.writer.close()


async def plain(session: Session) -> bytes:
    offered = base64.b64encode(f"\0{ACCOUNT}\0{PASSWORD}".encode()).decode()
    return await session.ask(f"AUTH PLAIN {offered}")


class Scram:
    """A client that computes its keys once, as programs do."""

    salted: ClassVar[dict[bytes, bytes]] = {}

    @classmethod
    async def login(cls, session: Session) -> bytes:
        bare = f"n={ACCOUNT},r=0123456789abcdef"
        first = base64.b64encode(f"n,,{bare}".encode()).decode()
        reply = base64.b64decode((await session.ask(f"AUTH SCRAM-SHA-256 {first}"))[4:])
        nonce, salt, iterations = (part[2:] for part in reply.split(b","))
        if salt not in cls.salted:
            cls.salted[salt] = hashlib.pbkdf2_hmac(
                "sha256", PASSWORD.encode(), base64.b64decode(salt), int(iterations)
            )
        key = hmac.digest(cls.salted[salt], b"Client Key", "sha256")
        unproven = b"c=biws,r=" + nonce
        signed = b",".join((bare.encode(), reply, unproven))
        signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True)))
        last = base64.b64encode(unproven + b",p=" + proof).decode()
        if not (await session.ask(last)).startswith(b"334"):
            return b"failed"
        return await session.ask("")


async def _logins(port: int, mechanism: str, clients: int, seconds: float) -> int:
    end_s, count = time.monotonic() + seconds, 0

    async def client(number: int) -> None:
        nonlocal count
        is_plain = mechanism == "PLAIN" or (mechanism == "BOTH" and number < HASHING_CLIENTS)
        login = plain if is_plain else Scram.login
        while time.monotonic() < end_s:
            session = Session()
            await session.open(port)
            reply = await login(session)
            assert reply.startswith(b"235"), reply
            count += 1
            session.close()

    await asyncio.gather(*map(client, range(clients)))
    return count


async def _noops(port: int, seconds: float) -> list[float]:
    """How long each of many NOOPs of one session took, in seconds."""
    waits: list[float] = []
    session, end_s = Session(), time.monotonic() + seconds
    await session.open(port)
    while time.monotonic() < end_s:
        if len(waits) % 90 == 89:  # NOOP leads nowhere, and that has a limit
            session.close()
            session = Session()
            await session.open(port)
        began = time.perf_counter()
        await session.ask("NOOP")
        waits.append(time.perf_counter() - began)
        await asyncio.sleep(0.002)
    return waits


def _run_logins(
    port: int, mechanism: str, clients: int, seconds: float, counted: "multiprocessing.Queue[int]"
) -> None:
    counted.put(asyncio.run(_logins(port, mechanism, clients, seconds)))


class Kind(NamedTuple):
    """One kind of login, and what it should reach."""

    name: str
    mechanism: str
    remember_s: int
    logins_per_s_min: int | None = None


KINDS = (
    Kind("PLAIN, remembered", "PLAIN", 60, 1000),
    Kind("SCRAM-SHA-256", "SCRAM", 60, 1000),
    Kind("PLAIN, argon2id each time", "PLAIN", 0),
    Kind("SCRAM while argon2id runs", "BOTH", 0),
)
NOOP_MS_MAX = 50
SECONDS_MAX = 80


class Round(NamedTuple):
    """What one server did for some seconds."""

    logins_per_s: float
    noop_p99_ms: float
    noop_worst_ms: float


@click.command()
@click.option("--each", default=2.5, show_default=True, help="Seconds of a round.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--clients", default=32, show_default=True)
@click.option("--seconds", default=SECONDS_MAX, show_default=True, help="When the time is up.")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, help="Where the table goes.")
def main(each: float, rounds: int, clients: int, seconds: float, out: Path) -> None:
    """Measure each kind of login, in turns."""

    def measured() -> list[Line]:
        found: dict[Kind, list[Round]] = {}
        for number in range(rounds):
            if number and bound.left_s < each * len(KINDS):
                break
            for kind in KINDS:
                with tempfile.TemporaryDirectory(prefix="pymta-logins-") as folder:
                    one = _measure(Path(folder), kind, clients, each)
                found.setdefault(kind, []).append(one)
                click.echo(f"{number + 1} {kind.name}: {one.logins_per_s:.0f}/s", err=True)
        return [line for kind, some in found.items() for line in _lines(kind, some)]

    with Limit(seconds) as bound, tempfile.TemporaryDirectory(prefix="pymta-bench-") as name:
        table = Part(out, "logins", machine(Path(name)), bound)
        table.add("logins", measured)
    table.write("logins a second, and what another session waits for its NOOP meanwhile")


def _lines(kind: Kind, found: list[Round]) -> list[Line]:
    rates, waits_ms = [one.logins_per_s for one in found], [one.noop_p99_ms for one in found]
    rate, wait_ms, least = statistics.median(rates), statistics.median(waits_ms), kind.logins_per_s_min
    return [
        Line(
            f"logins, {kind.name}",
            f"{rate:,.0f} logins/s",
            "" if least is None else f">= {least:,}",
            None if least is None else rate >= least,
            spread=spread(min(rates), max(rates)),
            rounds=len(found),
        ),
        Line(
            f"another session's NOOP beside {kind.name}, 99th percentile",
            f"{wait_ms:.1f} ms (worst {max(one.noop_worst_ms for one in found):.1f} ms)",
            f"<= {NOOP_MS_MAX} ms",
            wait_ms <= NOOP_MS_MAX,
            spread=spread(min(waits_ms), max(waits_ms), 1),
            rounds=len(found),
        ),
    ]


def _measure(folder: Path, kind: Kind, clients: int, seconds: float) -> Round:
    port = free_port()
    (folder / "data").mkdir()
    (folder / "pymta.toml").write_text(CONFIG.format(port=port, remember_s=kind.remember_s), encoding="utf-8")
    editor = DirectoryEditor(folder / "data" / "directory.db")
    editor.add_domain("example.test")
    editor.add_account(ACCOUNT, stored_forms(PASSWORD, COST, scram=True))
    editor.close()
    server = subprocess.Popen(
        [sys.executable, "-m", "pymta", "serve", "--config", folder / "pymta.toml"], stdout=subprocess.DEVNULL
    )
    try:
        wait_listening(port, server)
        counted: multiprocessing.Queue[int] = multiprocessing.Queue()
        process = multiprocessing.Process(
            target=_run_logins, args=(port, kind.mechanism, clients, seconds, counted), daemon=True
        )
        process.start()
        waits = sorted(asyncio.run(_noops(port, seconds)))
        count = counted.get(timeout=60)
        process.join(60)
    finally:
        end(server)
    return Round(count / seconds, waits[int(len(waits) * 0.99)] * 1000, waits[-1] * 1000)


if __name__ == "__main__":
    main()
