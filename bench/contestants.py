"""
Who is compared: each a relay on loopback that passes all mail to one next hop, started for one measurement and ended.

Not how they are measured (relay.py), and not those that have to be fetched first (fetched.py). Rule: each says what its 250
promises, and all have their data in the same file system.
"""

import importlib.metadata
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal, Protocol

from bench.processes import end, find_program, free_port, wait_listening

HERE = Path(__file__).resolve().parent
ROUNDS_MAX = 1000


Promise = Literal["synced", "handed on", "written", "memory"]
"""
What a 250 means: on this disk, whatever happens; at the next hop; in a file that nobody synced, so a power failure loses it;
in a process, so its end loses it. What is claimed here was looked at with strace.
"""


class Contestant(Protocol):
    """One relay."""

    name: str
    promise: Promise
    slower: int
    """0 gets all messages of a scenario, 1 the slow ones, more that part of those, and only as many as it does in some seconds."""
    rounds_max: int
    """Who is here for comparison only is measured less often."""
    is_whole_cpu: bool
    """Whether all of its processes stay below the one that was started, so that their time can be told."""

    @property
    def version(self) -> str:
        """As its own people count."""

    def start(self, folder: Path, next_hop_port: int) -> tuple[int, int]:
        """Start it with its data in *folder* (empty, its own); its port and the process that all its others descend from."""

    def stop(self) -> None:
        """End it. What it has in its queue is lost with *folder*."""


class Floor:
    """bench/floor: what only syncs and forwards."""

    name = "floor"
    promise: Promise = "synced"
    slower = 0
    rounds_max = ROUNDS_MAX
    is_whole_cpu = True
    version = ""

    def __init__(self, program: Path = HERE / "floor" / "relay_floor", name: str = "floor") -> None:
        """Another *program* with the same arguments can be measured under another *name*."""
        self.name = name
        self._program = program

    def start(self, folder: Path, next_hop_port: int) -> tuple[int, int]:
        port = free_port()
        self._process = subprocess.Popen([self._program, str(port), str(next_hop_port), folder / "log"])
        wait_listening(port, self._process)
        return port, self._process.pid

    def stop(self) -> None:
        end(self._process)


class Pymta:
    """What this is all about, with every default on."""

    promise: Promise = "synced"
    slower = 0
    rounds_max = ROUNDS_MAX
    is_whole_cpu = True

    def __init__(
        self,
        name: str = "pymta",
        policy: str | None = "policy.py",
        *,
        tls: bool = False,
        workers: int = 1,
    ) -> None:
        """With another *policy* (None: without any), STARTTLS on both sides, or several workers, under another *name*."""
        self.name = name
        self._policy = policy
        self._tls = tls
        self._workers = workers

    @property
    def version(self) -> str:
        """With the commit that it was built from."""
        command = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=12"]
        commit = subprocess.run(command, capture_output=True, text=True).stdout.strip()
        return f"{importlib.metadata.version('pymta-server')} {commit}".strip()

    def start(self, folder: Path, next_hop_port: int) -> tuple[int, int]:
        text, port = pymta_configuration(
            folder, next_hop_port, policy=self._policy, tls=self._tls, workers=self._workers
        )
        configuration = folder / "pymta.toml"
        configuration.write_text(text, encoding="utf-8")
        self._output = (folder / "output").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pymta", "serve", "--config", configuration],
            stdout=self._output,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
        try:
            wait_listening(port, self._process)
        except SystemExit as stopped:
            raise SystemExit(f"{stopped}\n{(folder / 'output').read_text(encoding='utf-8')}") from None
        return port, self._process.pid

    def stop(self) -> None:
        end(self._process)
        self._output.close()


class Postfix:
    """Debian's Postfix, see bench/peers/postfix."""

    name = "postfix"
    promise: Promise = "synced"
    slower = 1
    rounds_max = ROUNDS_MAX
    is_whole_cpu = True

    @property
    def version(self) -> str:
        """From its own mouth."""
        command = [find_program("postconf"), "-d", "-h", "mail_version"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    def start(self, folder: Path, next_hop_port: int) -> tuple[int, int]:
        port = free_port()
        postfix = pwd.getpwnam("postfix")
        for name in ("etc", "queue", "data", "log"):
            (folder / name).mkdir()
        os.chown(folder / "data", postfix.pw_uid, postfix.pw_gid)
        self._configuration = folder / "etc"
        for name in ("main.cf", "master.cf"):
            template = (HERE / "peers" / "postfix" / name).read_text(encoding="utf-8")
            text = filled(template, folder=folder, port=port, next_hop_port=next_hop_port)
            (self._configuration / name).write_text(text, encoding="utf-8")
        for name in ("dynamicmaps.cf", "postfix-files"):
            (self._configuration / name).symlink_to(Path("/etc/postfix") / name)
        self._run("start")
        wait_listening(port)
        return port, int((folder / "queue" / "pid" / "master.pid").read_text(encoding="ascii"))

    def stop(self) -> None:
        self._run("stop")

    def _run(self, verb: str) -> None:
        command = [find_program("postfix"), "-c", str(self._configuration), verb]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise SystemExit(f"postfix {verb}: {done.stdout}")


def available() -> dict[str, Contestant]:
    """The contestants that can run here and need nothing fetched, by name: Postfix needs root, pymta its command."""
    found: dict[str, Contestant] = {"floor": Floor()}
    if (HERE.parent / "python" / "pymta" / "cli" / "serve.py").exists():
        found["pymta"] = Pymta()
    if os.geteuid() == 0 and shutil.which("postfix", path="/usr/sbin:/sbin"):
        found["postfix"] = Postfix()
    return found


def pymta_configuration(
    folder: Path, next_hop_port: int, *, policy: str | None = "policy.py", tls: bool = False, workers: int = 1
) -> tuple[str, int]:
    """The text of peers/pymta/pymta.toml filled in for data in *folder*, and the port that it is for."""
    port = free_port()
    peer = HERE / "peers" / "pymta"
    text = filled(
        (peer / "pymta.toml").read_text(encoding="utf-8"),
        folder=folder,
        policy="" if policy is None else f'script = "{peer / policy}"',
        port=port,
        next_hop_port=next_hop_port,
        http_port=free_port(),
        workers=workers,
        tls=_secured(folder) if tls else "",
        delivery='[delivery]\ntls = "required"' if tls else "",
    )
    return text, port


def filled(template: str, **values: object) -> str:
    """*template* with its {names} filled in."""
    for name, value in values.items():
        template = template.replace("{" + name + "}", str(value))
    return template


def _secured(folder: Path) -> str:
    """A key and a certificate in *folder*, and the options of a listener that offers STARTTLS with them."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=pymta.test"]
    subprocess.run(command, check=True, capture_output=True)
    return f'tls = "starttls"\ncertificate_file = "{certificate}"\nkey_file = "{key}"'
