"""
Ports on loopback that are free, and knowing when something listens on one.

Servers that can are told to bind port 0 instead, and this is for those that must be told a number. A number is kept for
the process that asked, by a lock that ends with it: between our asking and a server's binding, another test's process
would else be given the same one, and its mail would arrive here.
"""

import fcntl
import os
import random
import socket
import tempfile
import threading
from pathlib import Path

from tests.partners.waiting import wait_until

# Below those that the kernel gives to clients (net.ipv4.ip_local_port_range), so that no connection has one meanwhile.
PORT_MIN, PORT_MAX = 10_240, 32_767
TRIES_MAX = 10_000

_giving = threading.Lock()
_given: set[int] = set()
_locks: dict[int, int] = {}
"""The descriptor of the file of locks, of each process: a lock is not passed on by fork."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nothing listens now, and which no test of this machine has been given before."""
    with _giving:
        for _ in range(TRIES_MAX):
            port = random.randint(PORT_MIN, PORT_MAX)
            if port not in _given and _is_bindable(port) and _lock(port):
                _given.add(port)
                return port
    raise AssertionError(f"no free port found in {TRIES_MAX} tries")


def _is_bindable(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _lock(port: int) -> bool:
    """Take the octet of the file of locks that stands for *port*; it is free again when this process ends."""
    descriptor = _locks.get(os.getpid())
    if descriptor is None:
        path = Path(tempfile.gettempdir()) / f"pymta-test-ports-{os.getuid()}"
        descriptor = _locks[os.getpid()] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def is_listening(port: int) -> bool:
    """Whether a connection to 127.0.0.1:*port* is accepted. It is closed at once, which a server may log."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_listening(port: int, *, limit_s: float = 15) -> None:
    """Return when something accepts on *port*; AssertionError after *limit_s* seconds."""
    wait_until(lambda: is_listening(port), f"port {port} is listening", limit_s=limit_s)
