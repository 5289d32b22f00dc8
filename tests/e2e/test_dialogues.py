"""
The dialogues of the server session, over a socket to a real server with TLS, a spool and a policy, on both loops.

In Rust they run against the session alone (rust/pymta-smtp/tests/dialogues.rs); here is what the driver, the intake and
the loop may add or spoil. One server for all of them, with a listener for each sort of settings.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.dialogue import Dialogue, Message, Player, dialogues
from tests.partners.ca import CertificateAuthority
from tests.partners.pymta import PYTHON, Pymta

LOOPBACK = ["127.0.0.0/8"]

# Takes every login, keeps what comes in a file, and lets nothing go on.
POLICY = """
import json
from pymta.policy import *

def auth(session, credentials):
    return accept()

def message(session, message):
    paths = [str(message.reverse_path or "<>"), ",".join(str(path) for path in message.forward_paths)]
    with open("KEPT", "a") as file:
        file.write(json.dumps([*paths, message.content(10**6).hex()]) + "\\n")
    return discard()
"""

# What a dialogue says of the session alone, and this server in its own words: it has an auth hook at every listener.
ITS_OWN_WORDS = {
    "S: 250 2.0.0 taken": "S: 250 2.0.0",
    "S: 250 LIMITS": "S: 250 AUTH PLAIN LOGIN",
}
NOT_THIS_SERVERS = {"54-auth-not-offered.dlg"}
DIALOGUES = [dialogue for dialogue in dialogues() if dialogue.name not in NOT_THIS_SERVERS]


def options_of(dialogue: Dialogue, tls: dict[str, Any]) -> dict[str, Any]:
    """The listener that the dialogue's settings mean."""
    options: dict[str, Any] = {"name": dialogue.listener, "trusted_networks": LOOPBACK}
    limits = {}
    for word in dialogue.words:
        name, _, value = word.partition("=")
        if name == "lmtp":
            options["role"] = "lmtp"
        elif name in ("starttls", "secure"):
            options |= {"tls": "implicit" if name == "secure" else "starttls", **tls}
        elif name == "xclient":
            options["xclient_networks"] = LOOPBACK
        elif name == "normalise":
            options["normalise_line_endings_networks"] = LOOPBACK
        elif name.startswith("limit."):
            limits[name.removeprefix("limit.")] = int(value)
        else:
            assert name in ("auth", "whole"), word
    return options | ({"limits": limits} if limits else {})


class Server:
    """One for all dialogues, and the messages that it has taken."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        issued = CertificateAuthority(folder).issue("mx.example.test")
        tls = {"certificate_file": issued.certificate_file, "key_file": issued.key_file}
        tables = {dialogue.listener: options_of(dialogue, tls) for dialogue in DIALOGUES}
        self._kept = folder / "kept"
        self._seen = 0
        self.pymta = Pymta(
            folder / "server",
            listeners=list(tables.values()),
            policy=POLICY.replace("KEPT", str(self._kept)),
            server={"hostname": "mx.example.test"},
            directory={"postmaster": "postmaster@mx.example.test"},
            environment=environment,
        )

    def taken(self) -> list[Message]:
        """What came since the last time."""
        lines = self._kept.read_text().splitlines() if self._kept.exists() else []
        fresh, self._seen = lines[self._seen :], len(lines)
        messages = (json.loads(line) for line in fresh)
        return [Message(paths[0], paths[1], bytes.fromhex(content)) for *paths, content in messages]


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp(request.param)
    environment = {}
    if request.param == "asyncio":
        (folder / "without").mkdir()
        (folder / "without" / "uvloop.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
        environment = {"PYTHONPATH": f"{folder / 'without'}:{PYTHON}"}
    server = Server(folder, environment)
    with server.pymta:
        yield server


WAYS = [
    pytest.param(dialogue, octet_by_octet, id=f"{dialogue.name}-{'octets' if octet_by_octet else 'whole'}")
    for dialogue in DIALOGUES
    for octet_by_octet in ([False] if dialogue.is_whole else [False, True])
]


@pytest.mark.parametrize(("dialogue", "octet_by_octet"), WAYS)
def test_a_dialogue_goes_as_written_over_a_socket(
    server: Server, dialogue: Dialogue, octet_by_octet: bool
) -> None:
    dialogue.lines = [ITS_OWN_WORDS.get(line, line) for line in dialogue.lines]
    player = Player(dialogue, server.pymta.ports[dialogue.listener], octet_by_octet=octet_by_octet)

    player.play()

    taken = [Message(one.reverse_path, one.forward_paths, one.content) for one in server.taken()]
    assert player.expected == taken
    assert [] == server.pymta.events("trouble")
