"""
Clients that are slow, silent or many (attacks.md, rows 19 and 33): bounded time, bounded memory, and others are served.

All slow ones of a test are there at once, so it takes as long as the slowest limit.
"""

import smtplib
import socket
import time
from collections.abc import Iterator

import pytest

from tests.e2e.attacks.hop import RecordingHop
from tests.e2e.attacks.wire import Wire, codes, in_data
from tests.partners.ca import CertificateAuthority
from tests.partners.pymta import Pymta, next_hop
from tests.partners.waiting import wait_until

LOOPBACK = ["127.0.0.0/8"]
IDLE_COUNT = 300
IDLE_OCTETS_MAX = 16 * 1024
"""Of the process, for each idle connection in the clear; design.md §7 has 4 KiB for ten thousand of them."""
TRICKLE_S = 0.2


@pytest.fixture(scope="module")
def patience(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pymta]:
    """A server with little of it, but for the listener "patient"."""
    folder = tmp_path_factory.mktemp("patience")
    issued = CertificateAuthority(folder).issue("mail.example.test")
    files = {"certificate_file": issued.certificate_file, "key_file": issued.key_file}
    many = {"idle_commands_max": 10_000_000, "connections_per_address_max": 1000}
    with (
        RecordingHop() as hop,
        Pymta(
            folder / "server",
            routes=[next_hop(hop.port)],
            listener={"trusted_networks": [], "tls": "starttls", **files},
            listeners=[
                {"name": "implicit", "tls": "implicit", **files},
                {"name": "proxy", "proxy_networks": LOOPBACK},
                {"name": "patient", "limits": {"command_wait_s_max": 300, **many}},
                {"name": "trusted", "trusted_networks": LOOPBACK},
            ],
            limits={
                "command_wait_s_max": 1,
                "content_wait_s_max": 1,
                "output_wait_s_max": 1,
                "tls_handshake_s_max": 1,
                "session_s_max": 4,
                **many,
            },
            domains={"relay_domains": ["us.test"]},
        ) as server,
    ):
        yield server


def said_hello(server: Pymta) -> Wire:
    return Wire(server.port, hello="slow.example.net")


def asked_for_tls(server: Pymta) -> Wire:
    wire = said_hello(server)
    assert wire.ask("STARTTLS").startswith("220 ")
    return wire


def test_whoever_is_slow_is_sent_away(patience: Pymta) -> None:
    """
    Rows 19 and 33: silence at each stage, single octets now and then, handshakes and headers that do not come.
    """
    silent = {
        "greeted": (Wire(patience.port), ["421 4.4.2"]),
        "hello": (said_hello(patience), ["421 4.4.2"]),
        "content": (in_data(patience.port), ["421 4.4.2"]),
        "starttls": (asked_for_tls(patience), []),
        "implicit TLS": (Wire(patience.ports["implicit"], greeted=False), []),
        "no PROXY header": (Wire(patience.ports["proxy"], greeted=False), []),
        "half a PROXY header": (Wire(patience.ports["proxy"], greeted=False), []),
    }
    silent["half a PROXY header"][0].send(b"PROXY TCP4 192.0.2.1 ")
    trickling = {
        "octets of a command": (said_hello(patience), b"N", ["421 4.4.2"]),
        "octets of content": (in_data(patience.port), b"x", ["421 4.4.2"]),
        "octets of a line too long": (Wire(patience.port), b"x" * 4096, ["421 4.4.2"]),
    }
    began_s = time.monotonic()
    ended_s: dict[str, float] = {}
    next_octet_s = 0.0

    def all_ended() -> bool:
        nonlocal next_octet_s
        now_s = time.monotonic()
        if now_s >= next_octet_s:
            next_octet_s = now_s + TRICKLE_S
            for name, (wire, octets, _) in trickling.items():
                if name not in ended_s:
                    wire.send_in_steps([octets])
        for name, wire in [(name, row[0]) for name, row in (*silent.items(), *trickling.items())]:
            if name not in ended_s and wire.is_closed():
                ended_s[name] = now_s - began_s
        return len(ended_s) == len(silent) + len(trickling)

    # Of the limits above the longest is that of a PROXY header, ten seconds.
    wait_until(all_ended, "all slow clients are sent away", limit_s=20)

    for name, (wire, expected) in silent.items():
        with wire:
            assert expected == codes(wire.rest()), name
    for name, (wire, _, expected) in trickling.items():
        with wire:
            assert expected == codes(wire.rest()), name
    for name in ("greeted", "hello", "content", "starttls", "implicit TLS"):
        assert 0.5 < ended_s[name] < 4, (name, ended_s)
    for name in ("octets of a command", "octets of a line too long"):
        assert 0.5 < ended_s[name] < 4, (name, ended_s)
    assert ended_s["octets of content"] < 8, ended_s
    assert [] == patience.events("trouble")


def test_who_never_reads_replies_costs_little(patience: Pymta) -> None:
    """
    Row 33: input is not read either while output waits, and then the connection is cut.
    """
    before_octets = patience.memory_octets()
    with Wire(patience.port, hello="never-reads.example.net") as wire:
        sent_octets = wire.send_in_steps([b"HELP\r\n" * 20_000] * 1000)
        grown_octets = patience.memory_octets() - before_octets

    assert sent_octets < 60 << 20
    assert grown_octets < 16 << 20
    assert "timed_out" == patience.wait_event("connect", hello="never-reads.example.net")["end"]


def idle_clients(port: int) -> list[socket.socket]:
    found = [socket.create_connection(("127.0.0.1", port), 15) for _ in range(IDLE_COUNT)]
    for client in found:
        assert client.recv(100).startswith(b"220 ")
    return found


def test_idle_clients_cost_little_and_keep_nobody_out(patience: Pymta) -> None:
    """
    Row 33: three hundred that say nothing, while one is served; all of it is given back.
    """
    for client in idle_clients(
        patience.ports["patient"]
    ):  # what a first crowd costs once is not the question
        client.close()
    wait_until(lambda: patience.control.status().connections_open == 0 or None, "the first crowd is gone")
    before_octets = patience.memory_octets()
    clients = idle_clients(patience.ports["patient"])
    grown_octets = patience.memory_octets() - before_octets
    began_s = time.monotonic()
    with smtplib.SMTP("127.0.0.1", patience.ports["trusted"], timeout=10) as one:
        one.sendmail("a@example.net", ["b@us.test"], "Subject: served\r\n\r\nserved\r\n")
    took_s = time.monotonic() - began_s
    assert IDLE_COUNT <= patience.control.status().connections_open
    for client in clients:
        client.close()

    wait_until(lambda: patience.control.status().connections_open == 0 or None, "the crowd is gone")
    assert grown_octets / IDLE_COUNT < IDLE_OCTETS_MAX
    assert took_s < 5


def test_a_crowd_that_resets_leaves_nothing_behind(patience: Pymta) -> None:
    """
    Row 33: connections that end by a reset, before and after they were greeted, and in the middle of a command.
    """
    for octets in (
        b"",
        b"EHLO x\r\n",
        b"MAIL FR",
        b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@us.test>\r\nDATA\r\nx",
    ):
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", patience.port), 15) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.sendall(octets)

    wait_until(lambda: patience.control.status().connections_open == 0 or None, "all are gone")
    assert [] == patience.events("trouble")
    assert "" == patience.program.text()
