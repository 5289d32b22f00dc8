"""
A house with accounts: a server with both doors of submission, and the programs that people come with.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pymta.auth.schemes import HashCost, stored_forms
from pymta.directory.editor import DirectoryEditor
from tests.e2e.our_sink import OurSink
from tests.partners.ca import CertificateAuthority, Issued
from tests.partners.mail_clients import Clients
from tests.partners.pymta import Pymta, next_hop

HOST = "mail.example.test"
PASSWORD = "correct horse"
CHEAP = HashCost(memory_kib=1024, passes=1, scram_iterations=4096)
# What is cheap must not be made dear at the first login, nor may a wrong password take long.
AUTH = {"hash_memory_octets": 1 << 20, "hash_passes": 1, "scram_iterations": 4096, "delay_s_max": 0}


@dataclass(frozen=True)
class House:
    """The server, whom it sends to, and who comes."""

    server: Pymta
    sink: OurSink
    clients: Clients
    editor: DirectoryEditor
    issued: Issued

    def logins(self, outcome: str) -> list[dict[str, Any]]:
        """The lines about logins with that outcome."""
        return self.server.events("auth", outcome=outcome)


@pytest.fixture
def start_house(
    tmp_path: Path,
    start_pymta: Callable[..., Pymta],
    our_sink: OurSink,
    authority: CertificateAuthority,
) -> Iterator[Callable[..., House]]:
    """Start one with accounts alice and bob in example.test; arguments are `Pymta`'s; *submission* is for the listeners, *accounts* for [submission]."""
    editors: list[DirectoryEditor] = []

    def start(
        *,
        submission: dict[str, Any] | None = None,
        accounts: dict[str, Any] | None = None,
        auth: dict[str, Any] | None = None,
        **given: Any,
    ) -> House:
        issued = authority.issue(HOST)
        tls = {"certificate_file": issued.certificate_file, "key_file": issued.key_file, "role": "submission"}
        tls |= submission or {}
        server = start_pymta(
            listener={"trusted_networks": []},
            listeners=[
                {"name": "submission", "tls": "starttls", **tls},
                {"name": "submissions", "tls": "implicit", **tls},
            ],
            routes=[next_hop(our_sink.port)],
            auth={**AUTH, **(auth or {})},
            **({"submission": accounts} if accounts else {}),
            **given,
        )
        editor = DirectoryEditor(server.data / "directory.db")
        editors.append(editor)
        editor.add_domain("example.test")
        for name in ("alice", "bob"):
            editor.add_account(f"{name}@example.test", stored_forms(PASSWORD, CHEAP, scram=True))
        folder = tmp_path / "clients"
        folder.mkdir(exist_ok=True)
        ports = server.ports
        clients = Clients(folder, authority.ca_file, HOST, ports["submission"], ports["submissions"])
        return House(server, our_sink, clients, editor, issued)

    yield start
    for editor in editors:
        editor.close()
