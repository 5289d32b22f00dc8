"""
What is said in the clear around STARTTLS (attacks.md, rows 3, 4, 5, 12 and the downgrade of row 34).
"""

import asyncio
import base64
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from pymta.testing import ScriptedPeer
from tests.e2e.attacks.hop import RecordingHop
from tests.e2e.attacks.wire import Wire, codes
from tests.partners.ca import CertificateAuthority
from tests.partners.pymta import Pymta, next_hop
from tests.partners.waiting import wait_until

LOGIN = base64.b64encode(b"\0account\0password").decode()


# ---- to us ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "injected",
    [
        "EHLO evil.example.org\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@us.test>\r\nDATA\r\n",
        "NOOP\r\n",
        "x",
        "MAIL FROM:<evil@example.org>",
    ],
)
def test_what_follows_starttls_in_its_segment_is_dropped(attacked: Pymta, injected: str) -> None:
    """
    Row 3: it is not obeyed, nothing answers it, and the session begins anew after the handshake.
    """
    with Wire(attacked.port, hello="injected.example.net") as wire:
        assert "220 2.0.0 Ready to start TLS" == wire.ask("STARTTLS\r\n", injected.removesuffix("\r\n"))
        wire.start_tls()
        replies = wire.all_replies("MAIL FROM:<a@example.net>\r\nEHLO again.example.net\r\n")

    assert ["503 5.5.1", "250", "221 2.0.0"] == codes(replies)
    assert "STARTTLS" not in replies[1]
    connect = attacked.wait_event("connect", hello="again.example.net", violations=2)
    assert "quit" == connect["end"]


def test_what_follows_starttls_in_a_segment_of_its_own_is_no_command(attacked: Pymta) -> None:
    """
    Row 3: clear text where the handshake belongs ends the connection; it is never obeyed.
    """
    with Wire(attacked.port, hello="late-injection.example.net") as wire:
        assert wire.ask("STARTTLS").startswith("220 ")
        replies = wire.all_replies("EHLO evil.example.org\r\nMAIL FROM:<evil@example.org>\r\n")

    assert [] == replies
    assert "tls_failed" == attacked.wait_event("connect", hello="late-injection.example.net")["end"]


def test_a_client_that_speaks_with_its_last_handshake_message_is_heard(attacked: Pymta) -> None:
    """
    Row 3, the other side of it: EHLO in the segment of the Finished message is behind the handshake, not injected.
    """
    said = all_in_one_segment(attacked.port)

    assert said.startswith(b"250-mail.example.test\r\n")
    assert 0 == attacked.wait_event("connect", hello="eager-again.example.net").get("violations", 0)


def test_a_client_that_speaks_with_its_last_handshake_message_is_heard_without_uvloop(
    start_pymta: Callable[..., Pymta], authority: CertificateAuthority, without_uvloop: dict[str, str]
) -> None:
    """
    asyncio's own loop hands the EHLO over before it says that the handshake is over.
    """
    server = start_pymta(listener=starttls(authority), environment=without_uvloop)

    assert all_in_one_segment(server.port).startswith(b"250-mail.example.test\r\n")


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_handshake_that_is_reset_or_never_comes_is_not_counted_for_ever(
    start_pymta: Callable[..., Pymta],
    authority: CertificateAuthority,
    without_uvloop: dict[str, str],
    loop: str,
) -> None:
    """
    Row 33: neither loop says that such a connection is lost, and whoever is still counted keeps others out.
    """
    server = start_pymta(
        listener={"trusted_networks": [], **starttls(authority)},
        limits={"tls_handshake_s_max": 1, "connections_per_address_max": 2},
        environment=without_uvloop if loop == "asyncio" else {},
    )
    for number, reset in enumerate((True, True, False, False), start=1):
        with Wire(server.port, hello="broken-off.example.net") as wire:
            assert wire.ask("STARTTLS").startswith("220 ")
            if reset:
                wire.reset()
            assert "tls_failed" == server.wait_events(number, "connect")[-1]["end"]

    assert 0 == server.control.status().connections_open
    with Wire(server.port, hello="next.example.net") as wire:
        assert wire.ask("NOOP").startswith("250 ")


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_who_does_not_shake_hands_counts_as_a_connection(
    start_pymta: Callable[..., Pymta],
    authority: CertificateAuthority,
    without_uvloop: dict[str, str],
    loop: str,
) -> None:
    """
    Row 33: where TLS comes first, silent connections would otherwise be as many as there are file descriptors.
    """
    server = start_pymta(
        listener={"trusted_networks": [], **starttls(authority), "tls": "implicit"},
        limits={"tls_handshake_s_max": 3, "connections_per_address_max": 2},
        environment=without_uvloop if loop == "asyncio" else {},
    )
    address = ("127.0.0.1", server.port)
    with socket.create_connection(address, 10), socket.create_connection(address, 10):
        with socket.create_connection(address, 10) as one_too_many:
            assert b"" == one_too_many.recv(1)
        assert "connection limit" == server.wait_event("refuse", stage="connect")["cause"]

    def greeting() -> bytes:
        # Each of the two that are allowed is a place for a session, during its handshake and after it.
        with socket.create_connection(address, 10) as connection:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            try:
                with (
                    context.wrap_socket(connection) as secured,
                    context.wrap_socket(socket.create_connection(address, 10)) as another,
                ):
                    return secured.recv(4)[:4] + another.recv(4)[:4]
            except OSError:  # the two before are not gone yet
                return b""

    assert b"220 220 " == wait_until(greeting, "both places are free again")


def starttls(authority: CertificateAuthority) -> dict[str, object]:
    """The options of a listener with STARTTLS."""
    issued = authority.issue("mail.example.test")
    return {"tls": "starttls", "certificate_file": issued.certificate_file, "key_file": issued.key_file}


def all_in_one_segment(port: int) -> bytes:
    """What is answered to Finished, EHLO and QUIT in one segment."""
    with Wire(port, hello="eager.example.net") as wire:
        assert wire.ask("STARTTLS").startswith("220 ")
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                wire.send(outgoing.read())
                incoming.write(wire.hear_any())
        tls.write(b"EHLO eager-again.example.net\r\nQUIT\r\n")
        wire.send(outgoing.read())
        said = b""
        while b"221 " not in said:
            try:
                said += tls.read(65536)
            except ssl.SSLWantReadError:
                incoming.write(wire.hear_any())
    return said


def test_nothing_said_in_the_clear_survives_the_handshake(attacked: Pymta) -> None:
    """
    Row 5: no login in the clear, no STARTTLS within a transaction, and EHLO, MAIL and RCPT are forgotten.
    """
    with Wire(attacked.port, hello="fixed.example.net") as wire:
        assert "AUTH" not in wire.ask("EHLO fixed.example.net")
        assert wire.ask(f"AUTH PLAIN {LOGIN}").startswith("538 5.7.11")
        assert wire.ask("MAIL FROM:<a@example.net>").startswith("250 ")
        assert wire.ask("RCPT TO:<b@us.test>").startswith("250 ")
        assert wire.ask("STARTTLS").startswith("503 5.5.1")
        assert wire.ask("RSET").startswith("250 ")
        assert wire.ask("STARTTLS").startswith("220 ")
        wire.start_tls()
        assert wire.ask("RCPT TO:<b@us.test>").startswith("503 5.5.1")
        assert wire.ask("DATA").startswith("503 5.5.1")
        assert wire.ask("EHLO fixed.example.net").startswith("250-")
        assert wire.ask("RCPT TO:<a@ext.test>").startswith("503 5.5.1")
        assert wire.ask("STARTTLS").startswith("503 5.5.1")
        assert wire.ask("MAIL FROM:<a@example.net>").startswith("250 ")
        assert wire.ask("RCPT TO:<a@ext.test>").startswith("550 5.7.1")


def test_a_login_counts_for_its_own_session_only(attacked: Pymta) -> None:
    """
    Rows 5 and 18: under TLS a login lets mail out, and the next session begins as a stranger.
    """
    for logs_in, expected in ((True, "250 2.1.5"), (False, "550 5.7.1")):
        with Wire(attacked.port, hello="login.example.net") as wire:
            wire.ask("STARTTLS")
            wire.start_tls()
            wire.ask("EHLO login.example.net")
            if logs_in:
                assert wire.ask(f"AUTH PLAIN {LOGIN}").startswith("235 2.7.0")
            wire.ask("MAIL FROM:<a@example.net>")
            assert [expected] == codes([wire.ask("RCPT TO:<a@ext.test>")])


PLACEHOLDER = "a" * 63 + "." + "b" * 63 + "." + "c" * 63 + ".test"


@pytest.mark.parametrize(
    "name",
    [
        b"/",
        b"../../../etc/passwd",
        b"\0",
        b"\xff\xfe\xc3",
        b"%s%n",
        b"\r\nX: y",
        b"\x1b[31m",
        b"${run{id}}",
        b"\\",
        b"a" * 200,
    ],
    ids=lambda name: ascii(name[:20]),
)
def test_a_server_name_is_compared_and_nothing_else(attacked: Pymta, name: bytes) -> None:
    """
    Row 12: whatever is in the name that a client asks for, it costs that handshake at most; nothing is printed.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=PLACEHOLDER)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    wanted = (name * (len(PLACEHOLDER) // len(name) + 1))[: len(PLACEHOLDER)]
    assert PLACEHOLDER.encode() in hello

    with Wire(attacked.port, hello="sni.example.net") as wire:
        assert wire.ask("STARTTLS").startswith("220 ")
        wire.send(hello.replace(PLACEHOLDER.encode(), wanted))
        wire.hear_any()  # a ServerHello, or the end
    with Wire(attacked.port, hello="sni.example.net") as wire:
        wire.ask("STARTTLS")
        assert "TLSv1.3" == wire.start_tls()


# ---- from us -------------------------------------------------------------------------------------------------------

OFFER = """
    S: 220 hop.example.test
    C: EHLO .*
    S: 250-hop.example.test
    S: 250 STARTTLS
    C: STARTTLS
"""
INJECTED = (
    OFFER
    + r"""
    S: 220 2.0.0 go\r\n250-hop.example.test\r\n250 AUTH PLAIN\r\n
    C: <end>
"""
)
REFUSED = (
    OFFER
    + """
    S: 454 4.7.0 not now
    C: QUIT
    S: 221 bye
"""
)
NOT_OFFERED = """
    S: 220 hop.example.test
    C: EHLO .*
    S: 250 hop.example.test
    C: QUIT
    S: 221 bye
"""


@pytest.mark.parametrize(
    ("mode", "transcript"),
    [
        ("opportunistic", INJECTED),
        ("required", INJECTED),
        ("required", REFUSED),
        ("required", NOT_OFFERED),
        ("verified", NOT_OFFERED),
        ("verified", INJECTED),
    ],
    ids=[
        "injected",
        "injected-required",
        "refused",
        "not-offered",
        "not-offered-verified",
        "injected-verified",
    ],
)
async def test_mail_waits_where_its_next_hop_spoils_starttls(
    folder: Path, mode: str, transcript: str
) -> None:
    """
    Rows 4 and 34: replies in front of the handshake are not believed, and what needs TLS never goes in the clear.
    """
    async with ScriptedPeer.listening(transcript) as peer:

        def deliver() -> tuple[str, str]:
            with Pymta(folder, routes=[next_hop(peer.port, tls=mode)]) as server:
                with server.client() as client:
                    client.sendmail("a@example.net", ["b@us.test"], "Subject: x\r\n\r\nx\r\n")
                attempt = server.wait_event("attempt")
                return attempt["outcome"], attempt["reply"]

        outcome, reply = await asyncio.to_thread(deliver)

    assert "deferred" == outcome
    assert reply.startswith("4")
    assert [] == [line for line in peer.heard if line.upper().startswith("MAIL")]
    assert [] == peer.contents


def test_a_certificate_of_nobody_is_not_verified(folder: Path, tmp_path: Path) -> None:
    """
    Row 34: a next hop that is not who it says gets no mail where that is asked for.
    """
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    ours, theirs = CertificateAuthority(tmp_path / "ours"), CertificateAuthority(tmp_path / "theirs")
    issued = theirs.issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate_file, issued.key_file)
    with RecordingHop("PIPELINING", "STARTTLS") as hop:
        hop.tls = context
        routes = [next_hop(hop.port, tls="verified")]
        with Pymta(folder, routes=routes, delivery={"ca_file": ours.ca_file}) as server:
            with server.client() as client:
                client.sendmail("a@example.net", ["b@us.test"], "Subject: x\r\n\r\nx\r\n")
            attempt = server.wait_event("attempt")

        assert "deferred" == attempt["outcome"]
        assert "certificate" in attempt["reply"]
        assert [] == hop.taken
        assert b"MAIL" not in hop.wire()
