"""
A house whose people read their mail by IMAP: a server with both doors, and accounts with mail.
"""

import imaplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pymta.auth.schemes import HashCost, stored_forms
from tests.partners.accounts import Accounts
from tests.partners.ca import CertificateAuthority
from tests.partners.pymta import Pymta

HOST = "localhost"
ALICE = "alice@example.test"
BOB = "bob@example.test"
PASSWORD = "correct horse"
CHEAP = HashCost(memory_kib=1024, passes=1, scram_iterations=4096)
AUTH = {"hash_memory_octets": 1 << 20, "hash_passes": 1, "scram_iterations": 4096, "delay_s_max": 0}


def message(number: int, *, subject: str | None = None, octets: int = 0) -> bytes:
    """One that is easily told from the others."""
    return (
        b"From: Ann <a@example.net>\nTo: alice@example.test\nSubject: %b\nMessage-ID: <n%d@example.net>\n"
        b"Date: Mon, 2 Nov 2026 10:00:%02d +0100\n\nbody %d\n%b"
        % (
            (subject or f"n{number}").encode(),
            number,
            number % 60,
            number,
            (b"x" * 70 + b"\n") * (octets // 71),
        )
    )


@dataclass(frozen=True)
class Reading:
    """The server and its accounts."""

    server: Pymta
    accounts: Accounts
    ca_file: Path

    def port(self, tls: str = "implicit") -> int:
        """Of the door with STARTTLS or with implicit TLS."""
        return self.server.ports["imaps" if tls == "implicit" else "imap"]

    def put(
        self,
        name: str,
        content: bytes,
        *,
        account: str = ALICE,
        folder: str = "new",
        mailbox: str | None = None,
    ) -> None:
        """A message as another program would put it there."""
        maildir = self.accounts.mailbox(account, mailbox)
        for part in ("tmp", "new", "cur"):
            (maildir / part).mkdir(parents=True, exist_ok=True)
        (maildir / "tmp" / name).write_bytes(content)
        (maildir / "tmp" / name).rename(maildir / folder / name)

    def context(self) -> ssl.SSLContext:
        """A client's that believes the authority."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    @contextmanager
    def client(
        self, account: str = ALICE, *, tls: str = "implicit", password: str = PASSWORD
    ) -> Iterator[imaplib.IMAP4]:
        """imaplib, logged in; logged out in the end where it still can."""
        imap: imaplib.IMAP4
        if tls == "implicit":
            imap = imaplib.IMAP4_SSL(HOST, self.port(tls), ssl_context=self.context(), timeout=20)
        else:
            imap = imaplib.IMAP4(HOST, self.port(tls), timeout=20)
            imap.starttls(self.context())
        try:
            imap.login(account, password)
            yield imap
        finally:
            with suppress(OSError, imaplib.IMAP4.error):
                imap.logout()
            with suppress(OSError):
                imap.shutdown()


@pytest.fixture
def start_reading(
    start_pymta: Callable[..., Pymta], authority: CertificateAuthority
) -> Callable[..., Reading]:
    """Start one with accounts alice and bob; arguments are `Pymta`'s, *imap_listener* is for both listeners."""

    def start(
        *, auth: dict[str, Any] | None = None, imap_listener: dict[str, Any] | None = None, **given: Any
    ) -> Reading:
        issued = authority.issue(HOST)
        door = {
            "role": "imap",
            "certificate_file": issued.certificate_file,
            "key_file": issued.key_file,
            **(imap_listener or {}),
        }
        server = start_pymta(
            listeners=[
                {"name": "imap", "tls": "starttls", **door},
                {"name": "imaps", "tls": "implicit", **door},
            ],
            auth={**AUTH, **(auth or {})},
            **given,
        )
        accounts = Accounts(server.data)
        accounts.add(ALICE, BOB, stored_passwords=stored_forms(PASSWORD, CHEAP, scram=True))
        return Reading(server, accounts, authority.ca_file)

    return start


def ok(answer: tuple[str, list[Any]]) -> list[Any]:
    """What a command said that succeeded."""
    assert "OK" == answer[0], answer
    return answer[1]
