"""
Cyrus' lmtpd as the mail store behind us: an instance of its own, without a way to read but its files.

Not an IMAP server here: Debian's has to have that one alone on a host, and what was delivered is in files, too. It needs root,
and then becomes the user `cyrus`, who comes with the package. Mailboxes are made at the first delivery.
"""

import os
import pwd
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.partners.ports import free_port
from tests.partners.program import Program
from tests.partners.waiting import wait_until

__all__ = ["Cyrus"]

PROGRAMS = "/usr/lib/cyrus/bin"
_IMAPD = """\
configdirectory: {folder}/conf
proc_path: {folder}/proc
mboxname_lockpath: {folder}/lock
defaultpartition: default
partition-default: {folder}/mail
temp_path: {folder}/temp
sievedir: {folder}/sieve
lmtpsocket: {folder}/lmtp
idlesocket: {folder}/idle
notifysocket: {folder}/notify
virtdomains: userid
unixhierarchysep: yes
lmtp_downcase_rcpt: yes
lmtp_fuzzy_mailbox_match: no
autocreate_post: yes
autocreate_users: {users}
autocreate_quota: 0
duplicatesuppression: no
hashimapspool: no
mailbox_legacy_dirs: yes
fulldirhash: no
allowplaintext: yes
sasl_pwcheck_method: auxprop
cyrus_user: cyrus
syslog_prefix: {name}
"""
_MASTER = """\
START {{
  recover cmd="ctl_cyrusdb -C {folder}/imapd.conf -r"
}}
SERVICES {{
  lmtp cmd="lmtpd -a -C {folder}/imapd.conf" listen="127.0.0.1:{port}" prefork=1
}}
EVENTS {{
}}
"""


class Cyrus:
    """A running Cyrus; a context manager that stops it and removes its folder."""

    def __init__(self, *addresses: str) -> None:
        """
        Args:
            addresses: Addresses that exist.
        """
        assert os.geteuid() == 0, "only root may start Cyrus"
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="pymta-cyrus-"))
        owner = pwd.getpwnam("cyrus")
        folders = [
            "conf",
            "conf/db",
            "conf/socket",
            "conf/log",
            "conf/msg",
            "proc",
            "lock",
            "mail",
            "temp",
            "sieve",
        ]
        for path in (self.folder, *(self.folder / name for name in folders)):
            path.mkdir(exist_ok=True)
            os.chown(path, owner.pw_uid, owner.pw_gid)
        given = {
            "folder": self.folder,
            "name": self.folder.name,
            "port": self.port,
            "users": " ".join(addresses),
        }
        (self.folder / "imapd.conf").write_text(_IMAPD.format(**given), encoding="utf-8")
        (self.folder / "cyrus.conf").write_text(_MASTER.format(**given), encoding="utf-8")
        self._program = Program(
            f"{PROGRAMS}/master", "-C", self.folder / "imapd.conf", "-M", self.folder / "cyrus.conf",
            "-p", self.folder / "pid",
            output=self.folder / "output",
        )  # fmt: skip
        try:
            self._program.wait_listening(self.port)
        except AssertionError:
            self.stop()
            raise

    @staticmethod
    def is_installed() -> bool:
        """Whether there is one to start."""
        return shutil.which("lmtpd", path=PROGRAMS) is not None

    def messages(self, address: str) -> list[bytes]:
        """What was delivered to an address, with CRLF lines as Cyrus keeps them."""
        local, _, domain = address.partition("@")
        files = self.folder.glob(f"mail/domain/{domain}/user/{local}/[0-9]*.")
        return [path.read_bytes() for path in sorted(files)]

    def wait_messages(self, address: str, count: int = 1, *, limit_s: float = 20) -> list[bytes]:
        """`messages`, when there are at least *count*."""
        return wait_until(
            lambda: found if len(found := self.messages(address)) >= count else None,
            f"{count} messages for {address} in Cyrus",
            limit_s=limit_s,
        )

    def stop(self) -> None:
        """Stop it and remove all it has."""
        self._program.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
