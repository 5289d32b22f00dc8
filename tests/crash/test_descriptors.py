"""
File descriptors run out: accepting pauses, what is inside goes on, and what waited is served when there are some again.
"""

import socket
from contextlib import ExitStack
from pathlib import Path

from tests.crash.hop import Hop
from tests.partners.pymta import Pymta, next_hop
from tests.partners.waiting import wait_until

OPEN_FILES_MAX = 128
CLIENTS = 200


class Clients:
    """Some that connect and say nothing; a context manager that closes those that are left."""

    def __init__(self, port: int, count: int) -> None:
        self._stack = ExitStack()
        self.waiting = [
            self._stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            for _ in range(count)
        ]
        self.inside: list[socket.socket] = []

    def __enter__(self) -> "Clients":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def wait_inside(self, count: int) -> None:
        """Return when so many (more) have their 220. Whoever hears anything else fails the test."""
        wait_until(lambda: self._look() >= count, f"{count} are greeted")

    def leave(self) -> None:
        """Those that are inside close their connections."""
        for client in self.inside:
            client.close()
        self.inside.clear()

    def _look(self) -> int:
        for client in tuple(self.waiting):
            client.setblocking(False)
            try:
                assert client.recv(4096).startswith(b"220 "), "not greeted"
            except BlockingIOError:
                continue
            self.waiting.remove(client)
            self.inside.append(client)
        return len(self.inside)


def test_accepting_pauses_and_goes_on(tmp_path: Path, hop: Hop) -> None:
    """
    Nobody is reset or turned away, who is in can send, the operator can ask, it is said once, and nothing spins.
    """
    server = Pymta(
        tmp_path / "pymta",
        routes=[next_hop(hop.port)],
        server={"open_files_max": OPEN_FILES_MAX},
        before=["prlimit", f"--nofile={OPEN_FILES_MAX}:{OPEN_FILES_MAX}"],
        limits={"connections_per_address_max": CLIENTS},
    )
    with server, server.client() as early, Clients(server.port, CLIENTS) as clients:
        server.wait_event("trouble", what="accepting pauses")
        clients.wait_inside(OPEN_FILES_MAX // 2)
        began_s = server.processor_s()
        assert {} == early.sendmail(
            "a@example.net", ["reader@example.org"], "Subject: hello\r\n\r\nhello\r\n"
        )
        wait_until(lambda: hop.arrivals.read().by_key, "what came through a pause is delivered")
        assert [] == server.queue()
        assert 1 == len(server.events("trouble")), server.events("trouble")
        assert server.processor_s() - began_s < 1, "it spins"
        assert len(clients.waiting) > CLIENTS - OPEN_FILES_MAX

        clients.leave()
        clients.wait_inside(OPEN_FILES_MAX // 2)
        assert server.wait_event("admin", action="accepting")
        clients.leave()
        wait_until(
            lambda: clients.wait_inside(1) or clients.leave() or not clients.waiting, "all were served"
        )
    told = [event["what"] for event in server.events("trouble")]
    assert ["accepting pauses"] * len(told) == told
    assert len(told) <= 3
