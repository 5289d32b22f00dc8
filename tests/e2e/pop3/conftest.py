"""
A house whose people read their mail by POP3: a server with both doors, and accounts with mail.
"""

import poplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pymta.auth.schemes import HashCost, stored_forms
from tests.partners.accounts import Accounts
from tests.partners.ca import CertificateAuthority
from tests.partners.pymta import Pymta

HOST = "mail.example.test"
ALICE = "alice@example.test"
BOB = "bob@example.test"
PASSWORD = "correct horse"
CHEAP = HashCost(memory_kib=1024, passes=1, scram_iterations=4096)
AUTH = {"hash_memory_octets": 1 << 20, "hash_passes": 1, "scram_iterations": 4096, "delay_s_max": 0}


@dataclass(frozen=True)
class Reading:
    """The server and its accounts."""

    server: Pymta
    accounts: Accounts
    ca_file: Path

    def port(self, tls: str) -> int:
        """Of the door with STLS or with implicit TLS."""
        return self.server.ports["pop3s" if tls == "implicit" else "pop3"]

    def put(self, name: str, content: bytes, *, account: str = ALICE, folder: str = "new") -> None:
        """A message as another program would put it there."""
        mailbox = self.accounts.mailbox(account)
        for part in ("tmp", "new", "cur"):
            (mailbox / part).mkdir(parents=True, exist_ok=True)
        (mailbox / folder / name).write_bytes(content)

    def names(self, account: str = ALICE) -> list[str]:
        """The files of the inbox."""
        mailbox = self.accounts.mailbox(account)
        return sorted(file.name for folder in ("new", "cur") for file in (mailbox / folder).iterdir())

    @contextmanager
    def client(
        self, account: str = ALICE, *, tls: str = "starttls", password: str = PASSWORD
    ) -> Iterator[poplib.POP3]:
        """poplib, logged in. It says QUIT by itself only where the test does."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.check_hostname = False
        pop: poplib.POP3
        if tls == "implicit":
            pop = poplib.POP3_SSL("127.0.0.1", self.port(tls), timeout=20, context=context)
        else:
            pop = poplib.POP3("127.0.0.1", self.port(tls), timeout=20)
            pop.stls(context)
        try:
            pop.user(account)
            pop.pass_(password)
            yield pop
        finally:
            pop.close()


@pytest.fixture
def start_reading(
    tmp_path: Path, start_pymta: Callable[..., Pymta], authority: CertificateAuthority
) -> Callable[..., Reading]:
    """Start one with accounts alice and bob; arguments are `Pymta`'s, *pop3_listener* is for both listeners."""

    def start(
        *, auth: dict[str, Any] | None = None, pop3_listener: dict[str, Any] | None = None, **given: Any
    ) -> Reading:
        issued = authority.issue(HOST)
        door = {
            "role": "pop3",
            "certificate_file": issued.certificate_file,
            "key_file": issued.key_file,
            **(pop3_listener or {}),
        }
        server = start_pymta(
            listeners=[
                {"name": "pop3", "tls": "starttls", **door},
                {"name": "pop3s", "tls": "implicit", **door},
            ],
            auth={**AUTH, **(auth or {})},
            **given,
        )
        accounts = Accounts(server.data)
        accounts.add(ALICE, BOB, stored_passwords=stored_forms(PASSWORD, CHEAP, scram=True))
        return Reading(server, accounts, authority.ca_file)

    return start
