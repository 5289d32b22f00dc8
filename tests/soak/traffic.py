"""
Mixed traffic at a server for as long as it is wanted: sizes, TLS, many recipients, refusals, clients that are slow, vanish or
talk rubbish. Loads are `pymta load` in processes of their own, begun again when they end; peers are threads here.
"""

import random
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.partners.program import Program
from tests.partners.pymta import PYTHON, Pymta

ROUND_S = 15
PEERS = 12
PEER_WAIT_S_MAX = 2.0

# Far below what the server can do: what is looked for grows with hours, not with speed.
LOADS: Sequence[tuple[str, ...]] = (
    ("--rate", "40", "--connections", "10", "--size", "1k-64k", "--to", "r{1-500}@d{1-50}.example.test"),
    (
        "--rate",
        "10",
        "--tls",
        "starttls",
        "--messages-per-connection",
        "3",
        "--to",
        "tls@d{1-50}.example.test",
    ),
    ("--rate", "1", "--connections", "2", "--size", "5M", "--to", "large@example.test"),
    ("--rate", "2", "--recipients", "100", "--to", "many{r}@d{1-50}.example.test"),
    ("--rate", "5", "--to", "refused@example.test"),
    ("--rate", "5", "--chunking", "--from", "<>", "--to", "held@d{1-5}.example.test"),
)

POLICY = """
from pymta.policy import *

def rcpt(session, recipient):
    if recipient.local_part == "refused":
        return refuse("550 5.7.1 not for you")

async def message(session, message):
    message.add_field("X-Seen", str(len(message.field("Subject") or "")))
"""

RUBBISH = (
    b"\0\xff\x80\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"EHLO x\r\nMAIL FROM:<a@b> SIZE=1\r\nRCPT TO:<c@d.example>\r\nDATA\r\nhalf",
    b"EHLO x\r\nSTARTTLS\r\n\x16\x03\x01",
    b"A" * 3000,
)


class Traffic:
    """Begins when it is entered, and has ended when it is left."""

    def __init__(self, server: Pymta, folder: Path, random_: random.Random) -> None:
        self._server = server
        self._folder = folder
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._load, args=(number,)) for number in range(len(LOADS))]
        for _ in range(PEERS):
            seed = random_.random()
            self._threads.append(threading.Thread(target=self._peer, args=(random.Random(seed),)))
        self.rounds = 0
        self.peers = 0

    def _load(self, number: int) -> None:
        while not self._stopping.is_set():
            arguments = [
                *LOADS[number],
                "--duration",
                str(ROUND_S),
                "--seed",
                str(self.rounds),
                "--wait",
                "20",
            ]
            with ExitStack() as stack:
                program = Program(
                    sys.executable, "-m", "pymta", "load", f"127.0.0.1:{self._server.port}", *arguments,
                    output=self._folder / f"load-{number}", environment={"PYTHONPATH": str(PYTHON)},
                )  # fmt: skip
                stack.callback(program.stop)
                while program.process.poll() is None and not self._stopping.wait(0.2):
                    pass
            self.rounds += 1

    def _peer(self, random_: random.Random) -> None:
        """One connection after the other that is no pleasure."""
        while not self._stopping.wait(random_.random()):
            self.peers += 1
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._server.port), 5) as peer:
                peer.settimeout(PEER_WAIT_S_MAX)
                octets = random_.choice(RUBBISH)
                while octets and not self._stopping.is_set():
                    cut = random_.choice((1, 7, len(octets)))
                    peer.sendall(octets[:cut])
                    octets = octets[cut:]
                    if random_.random() < 0.1:
                        break  # it vanishes
                    self._stopping.wait(random_.random() * 0.2)
                else:
                    while peer.recv(1000):  # until it is quiet for too long or has been shown the door
                        pass

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads)
