"""
Whether a mailbox is full, asked at RCPT: so that mail which cannot be kept is refused while its author can still be told.

It reads what the store writes (`maildirsize`, rust/pymta-maildir/src/quota.rs) and never writes it. An estimate: it is
not believed when it is old, because readers that know nothing of it may have removed mail; the delivery then counts.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pymta._core import Reply
from pymta.config.settings.directory import MailboxesSettings
from pymta.deliver.maildir import FULL
from pymta.directory import Account

__all__ = ["MailboxQuota"]

_FILE: Final = "maildirsize"
_FILE_OCTETS_MAX: Final = 16 * 1024
# As the store has it: how long a file that says "over quota" is believed.
_BELIEVED_S_MAX: Final = 15 * 60


class MailboxQuota:
    """The mailboxes below one root."""

    def __init__(
        self, folder: Path, settings: MailboxesSettings, *, now_s: Callable[[], float] = time.time
    ) -> None:
        """
        Args:
            folder: The root.
            settings: What is said of a full mailbox.
            now_s: The clock, in seconds since 1970 UTC, as the file system has it.
        """
        self._folder = folder
        self._settings = settings
        self._now_s = now_s

    def why_full(self, account: Account, size_octets: int) -> Reply | None:
        """
        What is said where a message of that size does not fit; None where it does, or where nobody knows.

        Costs the reading of one small file, and nothing for an account without a quota.
        """
        octets_max, messages_max = account.quota_octets, account.quota_messages
        if octets_max is None and messages_max is None:
            return None
        full = FULL[self._settings.over_quota]
        if octets_max is not None and size_octets > octets_max:  # however empty it is
            return full
        used = self._used(self._folder / account.mail_folder / _FILE)
        if used is None:
            return None
        octets, messages = used
        fits = octets_max is None or octets + max(size_octets, 1) <= octets_max
        return None if fits and (messages_max is None or messages < messages_max) else full

    def _used(self, file: Path) -> tuple[int, int] | None:
        """Octets and messages, the sums of the lines after the first; None where there is no file, an old one, or one of another form."""
        try:
            with file.open("rb") as stream:
                text = stream.read(_FILE_OCTETS_MAX + 1)
            if len(text) > _FILE_OCTETS_MAX or self._now_s() - file.stat().st_mtime > _BELIEVED_S_MAX:
                return None
            lines = [line.split() for line in text.splitlines()[1:] if line.strip()]
            return sum(int(line[0]) for line in lines), sum(int(line[1]) for line in lines)
        except (OSError, ValueError, IndexError):
            return None
