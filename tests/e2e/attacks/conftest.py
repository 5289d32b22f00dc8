"""
The server that is attacked: one for all tests of this folder in a process, with a listener for each kind of client.

It is not restarted between tests, which is part of what is tested: whatever one attacker did, the next client is served.
What needs a server of its own (short limits, other faces) starts one in its test.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.attacks.hop import RecordingHop
from tests.partners.ca import CertificateAuthority
from tests.partners.pymta import Pymta, next_hop

LOOPBACK = ["127.0.0.0/8"]

POLICY = """
from pymta.policy import *

def auth(session, credentials):
    if credentials.account == "account" and credentials.password.matches("password"):
        return accept()
    return None

def message(session, message):
    if message.field("X-Parts") is None:
        return None
    parts = message.parts
    names = ["".join((part.filename or "").split()).lower().rstrip(".") for part in parts]
    if any(name.endswith(".exe") for name in names):
        return refuse("554 5.7.1 no programs")
    message.tag(parts=str(len(parts)), depth=str(max((part.depth for part in parts), default=0)))
    message.add_field("X-Found", f"{len(parts)} {max((part.depth for part in parts), default=0)}")
    return None
"""


@pytest.fixture(scope="session")
def hop() -> Iterator[RecordingHop]:
    """Where mail of the attacked server goes: takes lines only."""
    with RecordingHop("PIPELINING", "8BITMIME", "SMTPUTF8") as running:
        yield running


@pytest.fixture(scope="session")
def chunking_hop() -> Iterator[RecordingHop]:
    """Where mail for chunks.test goes: takes BDAT too."""
    with RecordingHop("PIPELINING", "8BITMIME", "CHUNKING") as running:
        yield running


@pytest.fixture(scope="session")
def attacked(
    tmp_path_factory: pytest.TempPathFactory, hop: RecordingHop, chunking_hop: RecordingHop
) -> Iterator[Pymta]:
    """
    A server whose listeners are:

        relay       strangers, as the Internet is: mail for us.test and a few more only; STARTTLS and AUTH
        trusted     our own clients
        normalise   our own clients with broken line endings
        patient     strangers, with limits that let one connection try thousands of things
        xclient     a front that says whom it speaks for, and is trusted itself
        proxy       a balancer in front of strangers
        no-proxy    a balancer's listener that is not reached from its network
    """
    folder = tmp_path_factory.mktemp("attacked")
    issued = CertificateAuthority(folder).issue("mail.example.test")
    tls = {
        "tls": "starttls",
        "certificate_file": issued.certificate_file,
        "key_file": issued.key_file,
    }
    many = 1_000_000
    patient = dict.fromkeys(
        ("auth_failures_max", "violations_max", "idle_commands_max", "refusals_max", "commands_max"), many
    )
    with Pymta(
        folder / "server",
        routes=[next_hop(chunking_hop.port, "chunks.test"), next_hop(hop.port)],
        listener={"trusted_networks": [], **tls},
        listeners=[
            {"name": "trusted", "trusted_networks": LOOPBACK},
            {
                "name": "normalise",
                "trusted_networks": LOOPBACK,
                "normalise_line_endings_networks": LOOPBACK,
            },
            {"name": "patient", "limits": patient, **tls},
            {"name": "xclient", "trusted_networks": LOOPBACK, "xclient_networks": LOOPBACK},
            {"name": "proxy", "trusted_networks": ["10.0.0.0/8"], "proxy_networks": LOOPBACK},
            {"name": "no-proxy", "trusted_networks": ["10.0.0.0/8"], "proxy_networks": ["192.0.2.1"]},
        ],
        policy=POLICY,
        http=True,
        domains={"relay_domains": ["us.test", ".sub.us.test", "bücher.test", "kelvin.test", "chunks.test"]},
        directory={"postmaster": "postmaster@us.test"},
        queue={"retry_s_min": 3600, "retry_s_max": 3600},
        # Thousands of attempts are tried here in a row; what stops those who guess has its own test (test_guessing.py).
        auth={"never_banned_networks": LOOPBACK},
    ) as server:
        yield server


@pytest.fixture(autouse=True)
def still_serves(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test of the shared server: it is the same process, no handler of ours raised, every line is JSON."""
    yield
    if "attacked" not in request.fixturenames:
        return
    server: Pymta = request.getfixturevalue("attacked")
    assert server.is_running, server.program.text()
    assert [] == server.events("trouble")
    assert "" == server.program.text(), "nothing but the log is written to"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """For a server of the test's own."""
    return tmp_path / "server"
