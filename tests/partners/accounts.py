"""
The directory and the mailboxes of a server under test, from outside: entries by the editor that the command line uses,
mail as the files that a reader would find.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

from pymta.directory.editor import DirectoryEditor
from tests.partners.waiting import wait_until


class Accounts:
    """Domains, accounts and aliases in the data folder of a server, which may run or not."""

    def __init__(self, data: Path) -> None:
        """
        Args:
            data: The server's data folder; made where it is missing.
        """
        data.mkdir(parents=True, exist_ok=True)
        self.mailboxes = data / "mail"
        self._file = data / "directory.db"

    def add(self, *addresses: str, **options: Any) -> None:
        """Accounts, and the domains that they need."""
        with self._editing() as editor:
            known = {domain.name for domain, _, _ in editor.domains()}
            for address in addresses:
                domain = address.rpartition("@")[2]
                if domain not in known:
                    known.add(editor.add_domain(domain).name)
                editor.add_account(address, **options)

    def change(self, address: str, **options: Any) -> None:
        """Options of an account that exists."""
        with self._editing() as editor:
            editor.set_account(address, **options)

    def remove(self, address: str) -> None:
        """An account; its mail stays."""
        with self._editing() as editor:
            editor.remove_account(address)

    def alias(self, address: str, *targets: str) -> None:
        """An alias, a group, or a forward."""
        with self._editing() as editor:
            domain = address.rpartition("@")[2]
            if domain not in {domain.name for domain, _, _ in editor.domains()}:
                editor.add_domain(domain)
            editor.add_alias(address, targets)

    def catch_all(self, domain: str, *targets: str) -> None:
        """Where mail for unknown addresses of a domain goes."""
        with self._editing() as editor:
            editor.set_domain(domain, catch_all=targets, suspended=None)

    def suspend_domain(self, domain: str) -> None:
        """No mail for any of its addresses."""
        with self._editing() as editor:
            editor.set_domain(domain, catch_all=None, suspended=True)

    def mailbox(self, address: str, folder: str | None = None) -> Path:
        """The Maildir of an account, or of one of its Maildir++ folders."""
        local, _, domain = address.rpartition("@")
        inbox = self.mailboxes / domain / local
        return inbox if folder is None else inbox / f".{folder}"

    def messages(self, address: str, folder: str | None = None) -> list[bytes]:
        """What a reader finds in the mailbox, in order of arrival."""
        mailbox = self.mailbox(address, folder)
        files = sorted([*mailbox.glob("new/*"), *mailbox.glob("cur/*")], key=lambda file: file.name)
        found = []
        for file in files:
            # A delivery whose folder could not be synced is taken back, perhaps between the listing and the reading.
            with suppress(FileNotFoundError):
                found.append(file.read_bytes())
        return found

    def wait(
        self, address: str, count: int = 1, *, folder: str | None = None, limit_s: float = 20
    ) -> list[bytes]:
        """`messages`, when there are at least *count*."""
        return wait_until(
            lambda: found if len(found := self.messages(address, folder)) >= count else None,
            f"{count} messages for {address}",
            limit_s=limit_s,
        )

    def _editing(self) -> "_Editing":
        return _Editing(self._file)


class _Editing:
    """An editor while a change lasts."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> DirectoryEditor:
        self._editor = DirectoryEditor(self._file)
        return self._editor

    def __exit__(self, *_: object) -> None:
        self._editor.close()
