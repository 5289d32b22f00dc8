"""
A session that is over leaves nothing to Python's collector, which comes by seldom: what is freed at once is used again.

What it would find is told by a hook in the server's own process.
"""

import smtplib
import ssl
from pathlib import Path

import pytest

from tests.partners.ca import CertificateAuthority
from tests.partners.pymta import Pymta

SESSIONS = 10

POLICY = """
import gc
from pymta.policy import *

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

        def told(name: str) -> str:
            with server.client(listener="asked") as client:
                return client.ehlo(name)[1].decode()

        a_session(server, tls, quits)
        server.wait_event("connect", listener="relay")
        told("begin")
        for _ in range(SESSIONS):
            a_session(server, tls, quits)
        server.wait_events(SESSIONS + 1, "connect", listener="relay")
        assert int(told("end").split()[0]) < SESSIONS
