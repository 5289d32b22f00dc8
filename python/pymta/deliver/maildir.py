"""
Into an account's Maildir: which mailbox, which folder, under which quota; and what the store's answers mean.

It does not know aliases or who an address is for; the queue asks the directory. Nothing here waits: a delivery is put
into the store, and `settle`, which is called when the store's eventfd says so, calls back.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from pymta._core import MaildirStore, QueuedMessage, Reply
from pymta.config.settings.directory import MailboxesSettings
from pymta.directory import LocalDelivery

__all__ = ["FULL", "MaildirDelivery", "Settled"]

_DELIVERED: Final = Reply(250, "2.0.0", "delivered to the mailbox")
FULL: Final = {
    "refuse": Reply(552, "5.2.2", "mailbox full"),
    "defer": Reply(452, "4.2.2", "mailbox full, trying again later"),
}
# What the disk says is for the operator; whoever wrote the message learns that it is ours and passes.
_TROUBLE: Final = Reply(451, "4.3.0", "local trouble while delivering, trying again later")
_BAD_FOLDER: Final = Reply(451, "4.3.5", "the account's mail folder cannot be used")

# A folder's name may be this long; the rest of the 200 octets is for what others put around it.
_FOLDER_OCTETS_MAX: Final = 100


class Settled(Protocol):
    """Who hears what became of a delivery."""

    def __call__(self, reply: Reply) -> None: ...


class MaildirDelivery:
    """The mailboxes below one root. All methods run on the loop's thread."""

    def __init__(
        self,
        folder: Path,
        settings: MailboxesSettings,
        *,
        hostname: str,
        now_ms: Callable[[], int],
        trouble: Callable[[str, str], None],
    ) -> None:
        """
        Args:
            folder: The root; made, for its owner only, where it is missing.
            settings: What to do with details and with full mailboxes.
            hostname: Our name in names of files.
            now_ms: The clock.
            trouble: Told what went wrong on the disk, with the spool id of the message.

        Raises:
            OSError: The root cannot be used.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._settings = settings
        self._now_ms = now_ms
        self._trouble = trouble
        self._waiting: dict[int, tuple[str, Settled]] = {}
        self.store = MaildirStore(str(folder), hostname=hostname, process=os.getpid())

    def use_settings(self, settings: MailboxesSettings) -> None:
        """After a reload."""
        self._settings = settings

    def deliver(
        self, message: QueuedMessage, recipient: int, delivery: LocalDelivery, settled: Settled
    ) -> None:
        """
        Put a message into the account's mailbox; *settled* is called once, later or at once.

        Args:
            message: In hand.
            recipient: Index of the recipient that it is delivered for: Delivered-To names it.
            delivery: Whose mailbox, with which detail.
            settled: Told the reply.
        """
        account = delivery.account
        try:
            token = self.store.deliver(
                message,
                recipient,
                account.mail_folder,
                now_ms=self._now_ms(),
                folder=self._folder_for(delivery.detail),
                makes_folder=self._settings.detail_folder == "made",
                quota_octets=account.quota_octets,
                quota_messages=account.quota_messages,
            )
        except ValueError as error:
            self._trouble(f"account {account.name}: {error}", message.id)
            settled(_BAD_FOLDER)
            return
        self._waiting[token] = (message.id, settled)

    @property
    def wake_fd(self) -> int:
        """Readable when `settle` has something to do."""
        return self.store.wake_fd

    def settle(self) -> None:
        """Tell everybody whose delivery has ended."""
        self.store.drain_wake()
        for token, word, cause in self.store.completions():
            spool_id, settled = self._waiting.pop(token)
            if word == "delivered":
                settled(_DELIVERED)
            elif word == "over_quota":
                settled(FULL[self._settings.over_quota])
            else:
                self._trouble(cause, spool_id)
                settled(_TROUBLE)

    def close(self) -> None:
        """Deliver what waits, and tell. Waits for the disk."""
        self.store.close()
        self.settle()

    def _folder_for(self, detail: str) -> str | None:
        """The folder that a detail names; None is the inbox."""
        if not detail or self._settings.detail_folder == "inbox":
            return None
        return detail if is_folder_name(detail) else None


def is_folder_name(text: str) -> bool:
    """Whether a detail can be the name of a Maildir++ folder: printable ASCII, in parts between dots, none empty."""
    return (
        len(text) <= _FOLDER_OCTETS_MAX
        and text.isascii()
        and text.isprintable()
        and not any(sign in text for sign in "/\\")
        and all(text.split("."))
    )
