"""
Each limit of [limits] over a socket: at the limit nothing happens, one more gives exactly the documented reply.

One server, a listener for each limit with a value small enough to reach. The table is complete: a limit without a row fails.
What slow clients cost is in test_slow.py; here only that each of their limits is kept.
"""

import base64
from collections.abc import Callable, Iterator

import msgspec
import pytest

from pymta.config.settings.limits import LimitsSettings
from tests.e2e.attacks.hop import RecordingHop
from tests.e2e.attacks.wire import Wire, codes
from tests.partners.ca import CertificateAuthority
from tests.partners.pymta import Pymta, next_hop
from tests.partners.waiting import wait_until

LOGIN = "AUTH PLAIN " + base64.b64encode(b"\0account\0wrong").decode()
TO_DATA = "MAIL FROM:<a@example.net>\r\nRCPT TO:<b@us.test>\r\nDATA\r\n"
TAKEN = ["250 2.1.0", "250 2.1.5", "354", "250 2.0.0"]


def said(server: Pymta, listener: str, *pieces: str, secured: bool = False) -> list[str]:
    """All replies behind that to EHLO, but for the 221."""
    with Wire(server.ports[listener], hello="client.example.net") as wire:
        if secured:
            wire.ask("STARTTLS")
            wire.start_tls()
            wire.ask("EHLO client.example.net")
        replies = codes(wire.all_replies(*pieces))
    return replies[:-1] if replies[-1:] == ["221 2.0.0"] else replies


def message(text: str) -> str:
    return f"{TO_DATA}{text}.\r\n"


def nobody_is_connected(server: Pymta) -> None:
    wait_until(lambda: server.control.status().connections_open == 0 or None, "earlier clients are gone")


# ---- one function a limit: it is named as the limit, and so is its listener --------------------------------------------


def command_line_octets_max(server: Pymta, listener: str) -> None:
    assert ["250 2.0.0"] == said(server, listener, "NOOP " + "x" * 505 + "\r\n")
    assert ["500 5.5.2", "250 2.0.0"] == said(server, listener, "NOOP " + "x" * 506 + "\r\nNOOP\r\n")


def auth_line_octets_max(server: Pymta, listener: str) -> None:
    for octets, expected in ((508, "501 5.5.2"), (512, "500 5.5.2")):
        assert ["334", expected] == said(
            server, listener, "AUTH PLAIN\r\n" + "A" * octets + "\r\n", secured=True
        )


def text_line_octets_max(server: Pymta, listener: str) -> None:
    assert TAKEN == said(server, listener, message("\r\n" + "x" * 998 + "\r\n"))
    assert [*TAKEN[:3], "550 5.6.0"] == said(server, listener, message("\r\n" + "x" * 999 + "\r\n"))


def message_octets_max(server: Pymta, listener: str) -> None:
    assert TAKEN == said(server, listener, message("\r\n" + ("x" * 98 + "\r\n") * 9 + "x" * 96 + "\r\n"))
    assert [*TAKEN[:3], "552 5.3.4"] == said(
        server, listener, message("\r\n" + ("x" * 98 + "\r\n") * 9 + "x" * 97 + "\r\n")
    )
    assert ["250 2.1.0", "250 2.0.0", "552 5.3.4"] == said(
        server,
        listener,
        "MAIL FROM:<a@example.net> SIZE=1000\r\nRSET\r\nMAIL FROM:<a@example.net> SIZE=1001\r\n",
    )
    assert ["250 2.1.0", "250 2.1.5", "552 5.3.4"] == said(
        server, listener, TO_DATA.removesuffix("DATA\r\n"), "BDAT 1001 LAST\r\n" + "x" * 1001
    )


def recipients_max(server: Pymta, listener: str) -> None:
    recipients = "".join(f"RCPT TO:<b{n}@us.test>\r\n" for n in range(4))
    assert ["250 2.1.0", *["250 2.1.5"] * 2, *["452 4.5.3"] * 2, "354", "250 2.0.0"] == said(
        server, listener, f"MAIL FROM:<a@example.net>\r\n{recipients}DATA\r\n\r\nx\r\n.\r\n"
    )


def transactions_max(server: Pymta, listener: str) -> None:
    assert [*TAKEN, *TAKEN, "421 4.7.0"] == said(server, listener, message("\r\nx\r\n") * 3)


def idle_commands_max(server: Pymta, listener: str) -> None:
    # EHLO is the first of them; a message starts the count anew.
    assert ["250 2.0.0"] * 2 + TAKEN + ["250 2.0.0"] * 3 + ["421 4.7.0"] == said(
        server, listener, "NOOP\r\nRSET\r\n", message("\r\nx\r\n"), "NOOP\r\n" * 5
    )


def refusals_max(server: Pymta, listener: str) -> None:
    refused = "".join(f"RCPT TO:<b{n}@ext.test>\r\n" for n in range(5))
    assert ["250 2.1.0", *["550 5.7.1"] * 3, "421 4.7.0"] == said(
        server, listener, "MAIL FROM:<a@example.net>\r\n", refused
    )


def auth_failures_max(server: Pymta, listener: str) -> None:
    assert ["535 5.7.8", "535 5.7.8", "421 4.7.0"] == said(server, listener, f"{LOGIN}\r\n" * 4, secured=True)


def header_octets_max(server: Pymta, listener: str) -> None:
    # The empty line counts.
    assert TAKEN == said(server, listener, message("A: " + "x" * 993 + "\r\n\r\nx\r\n"))
    assert [*TAKEN[:3], "552 5.3.4"] == said(server, listener, message("A: " + "x" * 994 + "\r\n\r\nx\r\n"))


def header_fields_max(server: Pymta, listener: str) -> None:
    assert TAKEN == said(server, listener, message("A: b\r\n" * 3 + "\r\nx\r\n"))
    assert [*TAKEN[:3], "554 5.6.0"] == said(server, listener, message("A: b\r\n" * 4 + "\r\nx\r\n"))


def received_hops_max(server: Pymta, listener: str) -> None:
    assert TAKEN == said(server, listener, message("Received: x; y\r\n" * 2 + "\r\nx\r\n"))
    assert [*TAKEN[:3], "554 5.4.6"] == said(
        server, listener, message("Received: x; y\r\n" * 3 + "\r\nx\r\n")
    )


def violations_max(server: Pymta, listener: str) -> None:
    assert ["500 5.5.2", "503 5.5.1", "501 5.1.7", "421 4.7.0"] == said(
        server, listener, "XYZZY\r\nDATA\r\nMAIL FROM:<bad\r\nNOOP\r\n".replace("DATA", "RCPT TO:<a@us.test>")
    )


def commands_max(server: Pymta, listener: str) -> None:
    assert ["250 2.0.0"] * 3 + ["421 4.7.0"] == said(server, listener, "NOOP\r\n" * 10)


def connections_max(server: Pymta, listener: str) -> None:
    nobody_is_connected(server)
    port = server.ports[listener]
    with Wire(port), Wire(port), Wire(port, greeted=False) as wire:
        assert ["421 too many connections, try again later"] == wire.rest()
    nobody_is_connected(server)
    with Wire(port):
        pass  # there is room again


def connections_per_address_max(server: Pymta, listener: str) -> None:
    nobody_is_connected(server)
    with Wire(server.ports[listener]), Wire(server.ports[listener]):
        with Wire(server.ports[listener], greeted=False) as wire:
            assert ["421 too many connections from your address"] == wire.rest()
        with Wire(server.ports["trusted"]):
            pass  # does not count for trusted networks


def command_wait_s_max(server: Pymta, listener: str) -> None:
    with Wire(server.ports[listener], hello="client.example.net") as wire:
        assert ["421 4.4.2"] == codes(wire.rest())


def content_wait_s_max(server: Pymta, listener: str) -> None:
    with Wire(server.ports[listener], hello="client.example.net") as wire:
        wire.send(TO_DATA, "Subject: x\r\n")
        assert [*TAKEN[:3], "421 4.4.2"] == codes(wire.rest())


def output_wait_s_max(server: Pymta, listener: str) -> None:
    with Wire(server.ports[listener], hello="unread.example.net") as wire:
        wire.send_in_steps([b"HELP\r\n" * 10_000] * 200)
    assert "timed_out" == server.wait_event("connect", hello="unread.example.net")["end"]


def tls_handshake_s_max(server: Pymta, listener: str) -> None:
    with Wire(server.ports[listener], hello="no-handshake.example.net") as wire:
        assert wire.ask("STARTTLS").startswith("220 ")
        assert [] == wire.rest()
    assert "tls_failed" == server.wait_event("connect", hello="no-handshake.example.net")["end"]


def session_s_max(server: Pymta, listener: str) -> None:
    with Wire(server.ports[listener], hello="client.example.net") as wire:
        assert ["421 4.4.2"] == codes(wire.rest())


# name: the value of its listener, and what reaches it.
TABLE: dict[str, tuple[int, Callable[[Pymta, str], None]]] = {
    "command_line_octets_max": (512, command_line_octets_max),
    "auth_line_octets_max": (512, auth_line_octets_max),
    "text_line_octets_max": (1000, text_line_octets_max),
    "message_octets_max": (1000, message_octets_max),
    "recipients_max": (2, recipients_max),
    "transactions_max": (2, transactions_max),
    "idle_commands_max": (3, idle_commands_max),
    "refusals_max": (2, refusals_max),
    "auth_failures_max": (2, auth_failures_max),
    "header_octets_max": (1000, header_octets_max),
    "header_fields_max": (3, header_fields_max),
    "received_hops_max": (2, received_hops_max),
    "violations_max": (3, violations_max),
    "commands_max": (4, commands_max),
    "connections_max": (2, connections_max),
    "connections_per_address_max": (2, connections_per_address_max),
    "command_wait_s_max": (1, command_wait_s_max),
    "content_wait_s_max": (1, content_wait_s_max),
    "output_wait_s_max": (1, output_wait_s_max),
    "tls_handshake_s_max": (1, tls_handshake_s_max),
    "session_s_max": (1, session_s_max),
}
# What no client reaches, but a disk: tests/crash/test_disk.py.
ELSEWHERE = {"commit_s_max"}
# What lets a client come so far that its listener's limit is the one that it meets.
BESIDE = {"output_wait_s_max": {"idle_commands_max": 10_000_000, "commands_max": 100_000_000}}

POLICY = """
def auth(session, credentials):
    return None
"""


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pymta]:
    """A server with a listener for each limit."""
    folder = tmp_path_factory.mktemp("limited")
    issued = CertificateAuthority(folder).issue("mail.example.test")
    tls = {"tls": "starttls", "certificate_file": issued.certificate_file, "key_file": issued.key_file}
    listeners = [
        {"name": name, "limits": {name: value, **BESIDE.get(name, {})}, **tls}
        for name, (value, _) in TABLE.items()
    ]
    with (
        RecordingHop() as hop,
        Pymta(
            folder / "server",
            routes=[next_hop(hop.port)],
            listener={"trusted_networks": []},
            listeners=[*listeners, {"name": "trusted", "trusted_networks": ["127.0.0.0/8"]}],
            policy=POLICY,
            domains={"relay_domains": ["us.test"]},
        ) as server,
    ):
        yield server


def test_every_limit_is_in_the_table() -> None:
    assert {field.name for field in msgspec.structs.fields(LimitsSettings)} == TABLE.keys() | ELSEWHERE


@pytest.mark.parametrize("name", TABLE)
def test_a_limit_gives_the_reply_that_is_documented(limited: Pymta, name: str) -> None:
    """
    docs/configuration.md, [limits]; attacks.md, rows 14, 16, 20, 21, 32 and 33.
    """
    _, reach = TABLE[name]

    reach(limited, name)

    assert [] == limited.events("trouble")
