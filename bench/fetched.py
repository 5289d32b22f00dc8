"""
Contestants that have to be fetched first (`make peers`, tools/bench_peers.py): Exim, OpenSMTPD, aiosmtpd, Haraka.

Their configurations, with the reasons for what is in them, are in peers/. Rule: a peer that is not there, or cannot run here,
is left out.
"""

import os
import shutil
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from bench.contestants import HERE, Contestant, Promise, filled
from bench.processes import end, free_port, wait_listening

FETCHED = HERE.parent / ".peers"
IN_NAMESPACE = HERE / "peers" / "in_namespace.sh"

# OpenSMTPD opens one connection to a route, a pair of addresses, every five seconds.
SOURCES = ", ".join(f"127.0.0.{number}" for number in range(2, 22))


class _Fetched(ABC):
    """What all of them have."""

    name: str
    promise: Promise = "synced"
    slower = 1
    rounds_max = 2
    is_whole_cpu = True

    @property
    def folder(self) -> Path:
        """Where it was unpacked."""
        return FETCHED / self.name.partition("-")[0]

    @property
    def version(self) -> str:
        """Of the package."""
        return (self.folder / "version").read_text(encoding="ascii").strip()

    def is_there(self) -> bool:
        """Whether it was fetched."""
        return (self.folder / "version").exists()

    @abstractmethod
    def start(self, folder: Path, next_hop_port: int) -> tuple[int, int]:
        """As `Contestant`."""

    def launch(
        self, command: Sequence[str | Path], folder: Path, port: int, **variables: str
    ) -> tuple[int, int]:
        """Start it in a session of its own; its port and process."""
        with (folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                list(map(str, command)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **variables},
                start_new_session=True,
            )
        try:
            wait_listening(port, self._process)
        except SystemExit as stopped:
            raise SystemExit(f"{stopped}\n{(folder / 'output').read_text(errors='replace')}") from None
        return port, self._process.pid

    def stop(self) -> None:
        """End it, and what it left behind in its session."""
        end(self._process)
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class _Unpacked(_Fetched):
    """A Debian package that is unpacked and not installed."""

    program: str
    users: str

    def is_there(self) -> bool:
        """Whether it was fetched, has its libraries, and we may make a namespace."""
        if not super().is_there() or os.geteuid() != 0:
            return False
        libraries = subprocess.run(["ldd", self.folder / self.program], capture_output=True, text=True).stdout
        namespace = subprocess.run(["unshare", "--mount", "true"], capture_output=True)
        return "not found" not in libraries and namespace.returncode == 0

    def in_namespace(self, folder: Path, *command: str | Path) -> list[str | Path]:
        """*command* where it finds its users and folders."""
        for name in ("spool", "lib"):
            (folder / name).mkdir(mode=0o755)
        return [IN_NAMESPACE, folder, self.users, *command]


class Exim(_Unpacked):
    """Debian's Exim, see peers/exim."""

    name = "exim"
    slower = 5
    program = "usr/sbin/exim4"
    users = "Debian-exim:900"
    is_whole_cpu = False  # its deliveries are orphans

    def start(self, folder: Path, next_hop_port: int) -> tuple[int, int]:
        """As `Contestant`."""
        port = free_port()
        program = folder / "exim4"
        shutil.copyfile(self.folder / self.program, program)  # where its user may come, to exec it again
        program.chmod(0o755)
        template = (HERE / "peers" / "exim" / "exim.conf").read_text(encoding="utf-8")
        text = filled(template, folder=folder, exim=program, port=port, next_hop_port=next_hop_port)
        configuration = folder / "exim.conf"
        configuration.write_text(text, encoding="utf-8")
        configuration.chmod(0o644)
        command = self.in_namespace(folder, program, "-bdf", "-C", configuration)
        os.chown(folder / "spool", 900, 900)
        return self.launch(command, folder, port)


class OpenSmtpd(_Unpacked):
    """Debian's OpenSMTPD, see peers/opensmtpd."""

    slower = 10
    program = "usr/sbin/smtpd"
    users = "opensmtpd:901 opensmtpq:902"

    def __init__(self, name: str = "opensmtpd", promise: Promise = "written", *options: str) -> None:
        self.name = name
        self.promise = promise
        self._options = options

    def start(self, folder: Path, next_hop_port: int) -> tuple[int, int]:
        """As `Contestant`."""
        port = free_port()
        template = (HERE / "peers" / "opensmtpd" / "smtpd.conf").read_text(encoding="utf-8")
        text = filled(template, port=port, next_hop_port=next_hop_port, sources=SOURCES)
        configuration = folder / "smtpd.conf"
        configuration.write_text(text, encoding="utf-8")
        configuration.chmod(0o644)
        command = self.in_namespace(
            folder, self.folder / self.program, "-d", *self._options, "-f", configuration
        )
        (folder / "spool" / "smtpd").mkdir()
        (folder / "spool" / "smtpd").chmod(0o711)
        (folder / "lib" / "opensmtpd" / "empty").mkdir(parents=True)
        return self.launch(command, folder, port)


class Haraka(_Fetched):
    """Haraka with its own outbound queue, see peers/haraka."""

    name = "haraka"
    slower = 2

    def is_there(self) -> bool:
        """Whether it was fetched, and there is node to run it."""
        return super().is_there() and shutil.which("node") is not None

    def start(self, folder: Path, next_hop_port: int) -> tuple[int, int]:
        """As `Contestant`."""
        port = free_port()
        source, module = HERE / "peers" / "haraka", self.folder / "node_modules" / "Haraka"
        for path in source.rglob("*"):
            if path.is_file():
                target = folder / path.relative_to(source)
                target.parent.mkdir(exist_ok=True)
                text = path.read_text(encoding="utf-8")
                target.write_text(filled(text, port=port, next_hop_port=next_hop_port), encoding="utf-8")
        shutil.copyfile(module / "config" / "connection.ini", folder / "config" / "connection.ini")
        command: list[str | Path] = ["node", module / "bin" / "haraka", "-c", folder]
        return self.launch(command, folder, port)


class Aiosmtpd(_Fetched):
    """aiosmtpd with a minimal relay as its handler, see peers/aiosmtpd."""

    name = "aiosmtpd"
    slower = 2
    promise: Promise = "handed on"

    def start(self, folder: Path, next_hop_port: int) -> tuple[int, int]:
        """As `Contestant`."""
        port = free_port()
        relay = HERE / "peers" / "aiosmtpd" / "relay.py"
        command = [sys.executable, str(relay), str(port), str(next_hop_port)]
        return self.launch(command, folder, port, PYTHONPATH=str(self.folder))


def fetched() -> dict[str, Contestant]:
    """Those that are there and can run here, by name."""
    peers: list[_Fetched] = [
        Exim(),
        OpenSmtpd(),
        OpenSmtpd("opensmtpd-memory", "memory", "-B", "queue=ram"),
        Haraka(),
        Aiosmtpd(),
    ]
    return {peer.name: peer for peer in peers if peer.is_there()}
