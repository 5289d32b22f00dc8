"""
Logins a second, and what other sessions feel of them.

    python -m bench.logins [--seconds N] [--clients N]

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
from typing import ClassVar

import click

from bench.processes import end, free_port, wait_listening
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


@click.command()
@click.option("--seconds", default=10.0, show_default=True)
@click.option("--clients", default=32, show_default=True)
def main(seconds: float, clients: int) -> None:
    """Measure, and print a line for each kind of login."""
    for name, mechanism, remember_s in (
        ("PLAIN, remembered", "PLAIN", 60),
        ("SCRAM-SHA-256", "SCRAM", 60),
        ("PLAIN, argon2id each time", "PLAIN", 0),
        ("SCRAM while argon2id runs", "BOTH", 0),
    ):
        with tempfile.TemporaryDirectory(prefix="pymta-logins-") as folder:
            _measure(Path(folder), name, mechanism, remember_s, clients, seconds)


def _measure(folder: Path, name: str, mechanism: str, remember_s: int, clients: int, seconds: float) -> None:
    port = free_port()
    (folder / "data").mkdir()
    (folder / "pymta.toml").write_text(CONFIG.format(port=port, remember_s=remember_s), encoding="utf-8")
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
            target=_run_logins, args=(port, mechanism, clients, seconds, counted)
        )
        process.start()
        waits = sorted(asyncio.run(_noops(port, seconds)))
        count = counted.get(timeout=60)
        process.join(60)
    finally:
        end(server)
    p99 = waits[int(len(waits) * 0.99)]
    print(
        f"{name:<28} {count / seconds:8.0f} logins/s   another session's NOOP: median "
        f"{statistics.median(waits) * 1000:.1f} ms, 99th percentile {p99 * 1000:.1f} ms, worst {waits[-1] * 1000:.1f} ms"
    )


if __name__ == "__main__":
    main()
