"""
Mailboxes of others, of which a session learns from the directory.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from pymta._core import ImapAccounts, ImapCommandEvent, ImapLoginEvent, ImapSession, ImapSettings, ImapView
from pymta.access.imap.mailboxes import Mailboxes
from pymta.access.imap.others import introduce
from pymta.directory import Account, Directory
from pymta.mail.errors import TemporaryFailure

NOW_MS = 1_764_061_234_000
OWNER = "olga@example.test"
READER = "bob@example.test"
PATHS = {OWNER: "olga", READER: "bob"}


class Sources:
    """A directory that answers, or does not."""

    is_there = True

    def account(self, name: str) -> Account | None:
        if not self.is_there:
            raise TemporaryFailure("the directory does not answer")
        return Account(name=name, mail_folder=PATHS[name]) if name in PATHS else None


class Calls:
    """Calls of a view, at once."""

    async def call(self, _account: str, act: Callable[..., Any], *given: Any) -> Any:
        return act(*given)


class Reader:
    """A session of one account."""

    def __init__(self, accounts: ImapAccounts, name: str, sources: Sources) -> None:
        self._name = name
        self._sources = sources
        self._view: ImapView = accounts.open(PATHS[name], name, NOW_MS, shares=True)
        self._session = ImapSession(ImapSettings(login=True, acl=True), secure=True)
        self._session.greet()
        self._session.receive(b"a LOGIN x y\r\n")
        assert isinstance(self._session.next_event(), ImapLoginEvent)
        self._session.open()

    def say(self, command: str) -> str:
        """What is answered."""
        self._session.receive(f"a {command}\r\n".encode())
        event = self._session.next_event()
        assert isinstance(event, ImapCommandEvent)
        calls, directory = cast(Mailboxes, Calls()), cast(Directory, self._sources)
        asyncio.run(introduce(event.command, self._view, self._name, mailboxes=calls, directory=directory))
        said = self._view.run(event.command, NOW_MS).decode()
        self._session.done(selected=self._view.selected)
        return said


def test_while_the_directory_does_not_answer_no_mailbox_of_others_is_said_to_be_gone(tmp_path: Path) -> None:
    """What it said before in the same session counts; a session of which it said nothing yet is told to come back."""
    accounts, sources = ImapAccounts(str(tmp_path), hostname="h", process=1), Sources()
    owner = Reader(accounts, OWNER, sources)
    assert "a OK" in owner.say(f"SETACL INBOX {READER} lr")
    knows, comes = Reader(accounts, READER, sources), Reader(accounts, READER, sources)
    listed = knows.say('LIST "" *')
    assert f"Other Users/{OWNER}/INBOX" in listed

    sources.is_there = False

    assert listed == knows.say('LIST "" *')
    assert "a NO [UNAVAILABLE]" in comes.say('LIST "" *')
    assert "a NO [UNAVAILABLE]" in comes.say(f'STATUS "Other Users/{OWNER}/INBOX" (MESSAGES)')
    sources.is_there = True
    assert listed == comes.say('LIST "" *')
