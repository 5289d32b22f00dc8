"""
A policy service for Postfix that greylists: the first try of a (client, reverse-path, forward-path) is deferred.

Postfix itself answers the SMTP client; this only says DUNNO or DEFER to it, in the protocol of SMTPD_POLICY_README: lines
of name=value, an empty line, then `action=…` and an empty line.
"""

import socketserver
import threading
from types import TracebackType
from typing import Self

REQUEST_LINES_MAX = 100


class Greylist(socketserver.ThreadingTCPServer):
    """Listens on a port of loopback that the system picked (`port`); a context manager that stops it."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, tries: int = 1) -> None:
        """Defer the first *tries* tries of each triplet."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port: int = self.server_address[1]
        self.tries_deferred = tries
        self.seen: dict[tuple[str, ...], int] = {}
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()

    def action(self, attributes: dict[str, str]) -> str:
        """What Postfix is told about one recipient."""
        triplet = tuple(attributes.get(name, "") for name in ("client_address", "sender", "recipient"))
        tries = self.seen[triplet] = self.seen.get(triplet, 0) + 1
        return "DEFER 4.2.0 greylisted, come back" if tries <= self.tries_deferred else "DUNNO"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class _Handler(socketserver.StreamRequestHandler):
    server: Greylist

    def handle(self) -> None:
        attributes: dict[str, str] = {}
        for octets in self.rfile:
            line = octets.decode("utf-8", "replace").rstrip("\n")
            if line:
                name, _, value = line.partition("=")
                attributes[name] = value
                assert len(attributes) <= REQUEST_LINES_MAX
            else:
                self.wfile.write(f"action={self.server.action(attributes)}\n\n".encode())
                attributes = {}
