"""
What processes have used, from /proc, and starting and ending them.

Not a sampler: processor time is read before and after, so short-lived children count once their parent has waited.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
SEARCHED = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
PAUSE_S = 0.005


def find_program(name: str) -> str:
    """The path of an installed program; SystemExit (with what to do) where it is missing."""
    path = shutil.which(name, path=SEARCHED)
    if path is None:
        raise SystemExit(f"{name} is missing: `make partners` installs it")
    return path


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(condition: Callable[[], bool], what: str, *, limit_s: float) -> None:
    """Return when *condition* is true; SystemExit after *limit_s* seconds."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"after {limit_s:g} s still not: {what}")
        time.sleep(PAUSE_S)


def wait_listening(port: int, process: subprocess.Popen[bytes] | None = None, *, limit_s: float = 30) -> None:
    """Return when 127.0.0.1:*port* accepts; SystemExit where *process* ended or it takes too long."""

    def listening() -> bool:
        if process is not None and process.poll() is not None:
            raise SystemExit(f"{process.args!r} ended with status {process.returncode}")
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for(listening, f"port {port} is listening", limit_s=limit_s)


def family(pid: int) -> list[int]:
    """A process and all its descendants that live now."""
    found = [pid]
    for parent in found:
        try:
            for task in Path(f"/proc/{parent}/task").glob("*/children"):
                found += map(int, task.read_text(encoding="ascii").split())
        except OSError:
            continue  # ended meanwhile
    return found


def cpu_s(pid: int) -> float:
    """Processor time, user and system, of a process, its living descendants, and those it has waited for."""
    ticks = 0
    for member in family(pid):
        try:
            fields = Path(f"/proc/{member}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))  # utime stime cutime cstime, proc(5)
    return ticks / TICKS_PER_S


def memory_octets_max(pid: int) -> int:
    """The most memory that each living process of the family ever had in use, added up."""
    return _memory_octets(pid, "VmHWM:")


def memory_octets(pid: int) -> int:
    """The memory that the living processes of the family have in use now."""
    return _memory_octets(pid, "VmRSS:")


def memory_shared_octets(pid: int) -> int:
    """The same, where what processes share is counted once (PSS)."""
    return _memory_octets(pid, "Pss:", file="smaps_rollup")


def _memory_octets(pid: int, name: str, *, file: str = "status") -> int:
    octets = 0
    for member in family(pid):
        try:
            status = Path(f"/proc/{member}/{file}").read_text(encoding="utf-8")
        except OSError:
            continue
        for line in status.splitlines():
            if line.startswith(name):
                octets += int(line.split()[1]) * 1024
    return octets


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL for one that does not listen."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(15)
