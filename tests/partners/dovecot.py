"""
Dovecot as the mail store behind us (LMTP) and as a reader of our Maildirs: an instance of its own, without a login
service. Not a mail client: what it reads is asked of `doveadm`, which uses the same library as its IMAP server.

It needs root, as Dovecot does; all mail belongs to one user of the system.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.partners.ports import free_port, wait_listening
from tests.partners.program import Program, find_program
from tests.partners.waiting import wait_until

CONFIG = """\
base_dir = {folder}/run
state_dir = {folder}/state
instance_name = {name}
log_path = {folder}/log
protocols = lmtp
ssl = no
first_valid_uid = 0
first_valid_gid = 0
default_internal_user = root
default_internal_group = root
default_login_user = nobody
mail_uid = {user}
mail_gid = {group}
mail_location = {location}
mailbox_list_index = no
lmtp_rcpt_check_quota = yes
recipient_delimiter = +
auth_username_format = %Lu
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {folder}/users
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
{more}
"""


class Dovecot:
    """A running Dovecot; a context manager that stops it and removes its folder."""

    def __init__(self, *addresses: str, location: str = "maildir:{folder}/mail/%u", more: str = "") -> None:
        """
        Args:
            addresses: Addresses that exist.
            location: Of mail, as `mail_location` has it; `{folder}` is the instance's own.
            more: Lines of its configuration.
        """
        assert os.geteuid() == 0, "only root may start Dovecot"
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="pymta-dovecot-"))
        self.folder.chmod(0o755)
        nobody = pwd.getpwnam("nobody")
        (self.folder / "mail").mkdir()
        os.chown(self.folder / "mail", nobody.pw_uid, nobody.pw_gid)
        lines = [
            f"{address}::{nobody.pw_uid}:{nobody.pw_gid}::{self.folder}/mail/{address}::\n"
            for address in addresses
        ]
        (self.folder / "users").write_text("".join(lines), encoding="utf-8")
        self.config_file = self.folder / "dovecot.conf"
        self.config_file.write_text(
            CONFIG.format(
                folder=self.folder,
                name=self.folder.name,
                user=nobody.pw_uid,
                group=nobody.pw_gid,
                location=location.format(folder=self.folder),
                port=self.port,
                more=more,
            ),
            encoding="utf-8",
        )
        self._program = Program("dovecot", "-F", "-c", self.config_file, output=self.folder / "output")
        try:
            wait_listening(self.port)
        except AssertionError as error:
            self.stop()
            raise AssertionError(f"{error}\n{self._program.text()}\n{self.log()}") from None

    def log(self) -> str:
        """Its whole log so far."""
        file = self.folder / "log"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def messages(self, address: str) -> list[bytes]:
        """What was delivered to the Maildir of an address, with LF lines as Dovecot keeps them."""
        files = [*self.folder.glob(f"mail/{address}/new/*"), *self.folder.glob(f"mail/{address}/cur/*")]
        return [file.read_bytes() for file in sorted(files)]

    def wait_messages(self, address: str, count: int = 1, *, limit_s: float = 20) -> list[bytes]:
        """`messages`, when there are at least *count*."""
        return wait_until(
            lambda: found if len(found := self.messages(address)) >= count else None,
            f"{count} messages for {address} in Dovecot",
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


def doveadm(mailbox: Path, *arguments: str, stdin: bytes = b"") -> str:
    """
    Run a command of doveadm(1) on a Maildir, without a server; what it prints.

    Dovecot does not work as root: it gets a copy that is nobody's, which then takes the place of the Maildir.
    """
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(prefix="pymta-doveadm-") as name:
        folder = Path(name)
        shutil.copytree(mailbox, folder / "mail")
        config = folder / "dovecot.conf"
        config.write_text(
            f"log_path = /dev/stderr\nfirst_valid_gid = 0\nmail_uid = {nobody.pw_uid}\nmail_gid = {nobody.pw_gid}\n"
            f"base_dir = {folder}\nmail_location = maildir:{folder}/mail:INDEX=MEMORY\nssl = no\n"
            "namespace inbox {\n inbox = yes\n separator = .\n}\n",
            encoding="utf-8",
        )
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        done = subprocess.run(
            [find_program("doveadm"), "-c", str(config), *arguments],
            input=stdin,
            capture_output=True,
            env={**os.environ, "USER": "nobody", "HOME": name},
        )
        assert 0 == done.returncode, done.stderr.decode()
        shutil.rmtree(mailbox)
        shutil.copytree(folder / "mail", mailbox)
    return done.stdout.decode(errors="surrogateescape")


def doveadm_fetch(mailbox: Path, fields: str, *, folder: str = "INBOX") -> list[dict[str, str]]:
    """What Dovecot's library reads in a Maildir: the *fields* ("uid flags size.virtual body") of each message."""
    names = fields.split()
    found = []
    for part in doveadm(mailbox, "-f", "pager", "fetch", fields, "mailbox", folder, "ALL").split("\f\n"):
        if not part:
            continue
        values: dict[str, str] = {}
        for position, name in enumerate(names):
            begin = part.index(f"{name}:") + len(name) + 1
            end = part.index(f"\n{names[position + 1]}:") if position + 1 < len(names) else len(part)
            values[name] = part[begin:end].strip("\n").lstrip(" ")
        found.append(values)
    return found
