"""
Ports on loopback that are free, and knowing when something listens on one.

Another process can take a port between our asking and its use; servers that can are told to bind port 0 instead, and
this is for those that must be told a number.
"""

import socket
import threading

from tests.partners.waiting import wait_until

_given: set[int] = set()
_giving = threading.Lock()


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nothing listens now, and which this process has not been given before."""
    with _giving:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port: int = probe.getsockname()[1]
            if port not in _given:
                _given.add(port)
                return port


def is_listening(port: int) -> bool:
    """Whether a connection to 127.0.0.1:*port* is accepted. It is closed at once, which a server may log."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_listening(port: int, *, limit_s: float = 15) -> None:
    """Return when something accepts on *port*; AssertionError after *limit_s* seconds."""
    wait_until(lambda: is_listening(port), f"port {port} is listening", limit_s=limit_s)
