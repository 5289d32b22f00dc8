"""
The doors by which mail is read, and the threads that read it; loaded where a listener needs them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from pymta._core import MaildirStore
from pymta.access.door import House, ReadingDoor
from pymta.access.maildrops import Maildrops
from pymta.access.pop3.door import Pop3Door
from pymta.config.settings import ListenerSettings, Settings
from pymta.observe.log import Log
from pymta.runtime.board import Board
from pymta.tls.server import ServerTls

if TYPE_CHECKING:
    from pymta.access.imap.mailboxes import Mailboxes

__all__ = ["ROLES", "Readers"]

ROLES = ("pop3", "imap")


class Readers:
    """One instance a process."""

    def __init__(
        self,
        settings: Settings,
        store: MaildirStore,
        *,
        log: Log,
        now_ms: Callable[[], int],
        board: Board | None,
    ) -> None:
        """
        Args:
            settings: Where the mailboxes are, which no reload changes.
            store: They, as POP3 has them.
            log: Told of trouble.
            now_ms: The clock.
            board: Counts the sessions of all workers together, where there are several.
        """
        self._settings = settings
        self._log = log
        self._now_ms = now_ms
        self._board = board
        self._maildrops = Maildrops(store, now_ms)
        self._mailboxes: Mailboxes | None = None

    def door(
        self, listener: ListenerSettings, settings: Settings, house: House, tls: ServerTls | None
    ) -> ReadingDoor:
        """The one that a listener of one of `ROLES` is for."""
        limits = settings.limits_of(listener)
        if listener.role == "pop3":
            return Pop3Door(listener, limits, settings.pop3, house, maildrops=self._maildrops, tls=tls)
        from pymta.access.imap.door import ImapDoor

        return ImapDoor(listener, limits, settings.imap, house, mailboxes=self._open_mailboxes(), tls=tls)

    def close(self) -> None:
        """The server stops."""
        self._maildrops.close()
        if self._mailboxes is not None:
            self._mailboxes.close()

    def _open_mailboxes(self) -> Mailboxes:
        from pymta._core import ImapAccounts
        from pymta.access.imap.chores import Chores
        from pymta.access.imap.idle import Wakes
        from pymta.access.imap.mailboxes import Mailboxes

        if self._mailboxes is None:
            settings = self._settings
            accounts = ImapAccounts(
                str(settings.mailboxes_folder),
                hostname=settings.server.hostname.name,
                process=os.getpid(),
                full_text=settings.imap.full_text,
            )
            self._mailboxes = Mailboxes(
                accounts,
                Wakes(self._log),
                self._now_ms,
                chores=Chores(accounts, self._now_ms, self._log),
                board=self._board,
            )
        return self._mailboxes
