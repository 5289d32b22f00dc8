"""
Who is compared: each a relay on loopback that passes all mail to one next hop, started for one measurement and ended.

Not how they are measured (relay.py). Rule: all keep the same promise, that a message is on disk before its 250, and all
have their data in the same file system.
"""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from bench.processes import end, find_program, free_port, wait_listening

HERE = Path(__file__).resolve().parent


class Contestant(Protocol):
    """One relay."""

    name: str

    def start(self, folder: Path, next_hop_port: int) -> tuple[int, int]:
        """Start it with its data in *folder* (empty, its own); its port and the process that all its others descend from."""

    def stop(self) -> None:
        """End it. What it has in its queue is lost with *folder*."""


class Floor:
    """bench/floor: what only syncs and forwards."""

    name = "floor"

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

    name = "pymta"

    def start(self, folder: Path, next_hop_port: int) -> tuple[int, int]:
        port = free_port()
        template = (HERE / "peers" / "pymta" / "pymta.toml").read_text(encoding="utf-8")
        configuration = folder / "pymta.toml"
        configuration.write_text(
            _filled(
                template,
                folder=folder,
                here=HERE / "peers" / "pymta",
                port=port,
                next_hop_port=next_hop_port,
                http_port=free_port(),
            ),
            encoding="utf-8",
        )
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

    def start(self, folder: Path, next_hop_port: int) -> tuple[int, int]:
        port = free_port()
        postfix = pwd.getpwnam("postfix")
        for name in ("etc", "queue", "data", "log"):
            (folder / name).mkdir()
        os.chown(folder / "data", postfix.pw_uid, postfix.pw_gid)
        self._configuration = folder / "etc"
        for name in ("main.cf", "master.cf"):
            template = (HERE / "peers" / "postfix" / name).read_text(encoding="utf-8")
            text = _filled(template, folder=folder, port=port, next_hop_port=next_hop_port)
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
    """The contestants that can run here, by name: Postfix needs root, pymta its command."""
    found: dict[str, Contestant] = {"floor": Floor()}
    if (HERE.parent / "python" / "pymta" / "cli" / "serve.py").exists():
        found["pymta"] = Pymta()
    if os.geteuid() == 0 and shutil.which("postfix", path="/usr/sbin:/sbin"):
        found["postfix"] = Postfix()
    return found


def _filled(template: str, **values: object) -> str:
    for name, value in values.items():
        template = template.replace("{" + name + "}", str(value))
    return template
