"""
Whether a mailbox is full, asked at RCPT: so that mail which cannot be kept is refused while its author can still be told.

It reads what the store writes (`maildirsize`, rust/pymta-maildir/src/quota.rs) and never writes it. An estimate: it is
not believed when it is old, because readers that know nothing of it may have removed mail; the delivery then counts.

Others may write below the root (an account's own user, say), and it is read on the event loop: so no link is followed
there, as the store follows none, and nothing is opened that can make one wait.
"""

import os
import stat
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
# The root is the operator's own path and may go through links; what lies below it may not.
_ROOT: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_BELOW: Final = _ROOT | os.O_NOFOLLOW
# Never waits for the other end of a FIFO.
_PLAIN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


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
        used = self._used(account.mail_folder)
        if used is None:
            return None
        octets, messages = used
        fits = octets_max is None or octets + max(size_octets, 1) <= octets_max
        return None if fits and (messages_max is None or messages < messages_max) else full

    def _used(self, mail_folder: str) -> tuple[int, int] | None:
        """Octets and messages, the sums of the lines after the first; None where there is no file, an old one, or one of another form."""
        try:
            text, modified_s = _read(self._folder, mail_folder)
            if len(text) > _FILE_OCTETS_MAX or self._now_s() - modified_s > _BELIEVED_S_MAX:
                return None
            lines = [line.split() for line in text.splitlines()[1:] if line.strip()]
            return sum(int(line[0]) for line in lines), sum(int(line[1]) for line in lines)
        except (OSError, ValueError, IndexError):
            return None


def _read(root: Path, mail_folder: str) -> tuple[bytes, float]:
    """
    What the file of a mailbox says, up to one octet more than it may have, and when it was written.

    Raises:
        OSError: There is none, or something else than a plain file in a plain folder.
        ValueError: The mailbox is not below the root.
    """
    at = os.open(root, _ROOT)
    try:
        for name in mail_folder.split("/"):
            if name in ("", ".", ".."):
                raise ValueError(mail_folder)
            below = os.open(name, _BELOW, dir_fd=at)
            os.close(at)
            at = below
        file = os.open(_FILE, _PLAIN, dir_fd=at)
    finally:
        os.close(at)
    try:
        status = os.fstat(file)
        # Two names: somebody else's file may have been linked here.
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise FileNotFoundError(mail_folder)
        return os.read(file, _FILE_OCTETS_MAX + 1), status.st_mtime
    finally:
        os.close(file)
