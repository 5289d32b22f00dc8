"""
A session that is over leaves nothing to Python's collector, which comes by seldom: what is freed at once is used again.

What it would find is told by a hook in the server's own process.
"""

import smtplib
import socket
import ssl
from contextlib import closing
from pathlib import Path

import pytest

from tests.partners.ca import CertificateAuthority
from tests.partners.pymta import Pymta

SESSIONS = 10

POLICY = """
import asyncio, gc
from pymta.policy import *


async def mail(session, reverse_path):
    if session.hello_name == "waits.example":
        await asyncio.sleep(60)

def hello(session, name):
    if name == "begin":
        gc.collect()
        gc.disable()
    elif name == "end":
        return defer(f"450 4.7.1 {gc.collect()} found")
"""


def a_session(server: Pymta, tls: str, quits: bool) -> None:
    context = ssl._create_unverified_context()
    if tls == "implicit":
        client: smtplib.SMTP = smtplib.SMTP_SSL("127.0.0.1", server.port, context=context, timeout=20)
    else:
        client = server.client()
    if tls == "starttls":
        client.starttls(context=context)
    client.sendmail("a@example.net", ["b@example.test"], "Subject: x\n\nx\n")
    client.quit() if quits else client.close()


def lost_while_a_hook_waits(server: Pymta) -> None:
    with closing(socket.create_connection(("127.0.0.1", server.port), 20)) as client:
        # One packet, answered by one write: when EHLO is answered, MAIL waits. What is not read makes the end a reset.
        assert client.recv(1000).startswith(b"220 ")
        client.sendall(b"EHLO waits.example\r\nMAIL FROM:<a@example.net>\r\n")
        assert client.recv(1, socket.MSG_PEEK)


def told(server: Pymta, name: str) -> int:
    """What the hook answers: the count of objects that the collector found, where *name* is "end"."""
    with server.client(listener="asked") as client:
        answer = client.ehlo(name)[1].decode()
    return int(answer.split()[0]) if name == "end" else 0


def test_a_session_that_is_lost_while_a_hook_waits_leaves_nothing_to_the_collector(tmp_path: Path) -> None:
    with Pymta(
        tmp_path / "server",
        listeners=[{"name": "asked", "trusted_networks": ["127.0.0.0/8"]}],
        policy=POLICY,
    ) as server:
        lost_while_a_hook_waits(server)
        server.wait_event("connect", listener="relay")
        told(server, "begin")
        for _ in range(SESSIONS):
            lost_while_a_hook_waits(server)
        server.wait_events(SESSIONS + 1, "connect", listener="relay")
        assert told(server, "end") < SESSIONS


def test_what_a_reload_replaced_is_gone_when_it_is_over(tmp_path: Path) -> None:
    with Pymta(
        tmp_path / "server",
        listeners=[{"name": "asked", "trusted_networks": ["127.0.0.0/8"]}],
        policy=POLICY,
    ) as server:
        server.reload()  # what was there at the start is not the collector's
        told(server, "begin")
        server.reload()
        assert told(server, "end") < 20


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
@pytest.mark.parametrize("quits", [True, False])
def test_a_session_that_is_over_leaves_nothing_to_the_collector(
    tmp_path: Path, tls: str, quits: bool
) -> None:
    issued = CertificateAuthority(tmp_path).issue("mail.example.test")
    files = {"certificate_file": issued.certificate_file, "key_file": issued.key_file}
    asked = {"name": "asked", "trusted_networks": ["127.0.0.0/8"]}
    with Pymta(
        tmp_path / "server",
        listener={"tls": tls, **(files if tls != "none" else {})},
        listeners=[asked],
        policy=POLICY,
        routes=[{"domain": "*", "transport": "discard"}],
    ) as server:
        a_session(server, tls, quits)
        server.wait_event("connect", listener="relay")
        told(server, "begin")
        for _ in range(SESSIONS):
            a_session(server, tls, quits)
        server.wait_events(SESSIONS + 1, "connect", listener="relay")
        assert told(server, "end") < SESSIONS
