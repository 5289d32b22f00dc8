"""
Postfix as the host before us or behind us: an instance of its own with its own queue, log and ports.

Not Postfix's load tools (smtp_tools.py). It needs root, as `postfix start` does. Every instance is a whole Postfix with
the services of master.cf below, so that what it does to a message is what Debian's does.
"""

import json
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.partners.ports import free_port, wait_listening
from tests.partners.program import find_program
from tests.partners.waiting import wait_until

# Debian's master.cf without chroot; one door, on a port of ours.
MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

MAIN_CF = {
    "compatibility_level": "3.6",
    "myhostname": "postfix.test",
    "mydestination": "",
    "mynetworks": "127.0.0.0/8",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "alias_maps": "",
    "alias_database": "",
    "smtputf8_enable": "yes",
    "smtp_dns_support_level": "disabled",
    "smtp_host_lookup": "native",
    "smtpd_recipient_restrictions": "permit_mynetworks, reject",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    # A test does not wait for five minutes until a deferred message is tried again.
    "queue_run_delay": "1s",
    "minimal_backoff_time": "1s",
    "maximal_backoff_time": "2s",
}


class Postfix:
    """
    A running Postfix; a context manager that stops it and removes its folder.

    Use `relay` or `next_hop`, which give it the settings of either role.
    """

    def __init__(self, **settings: str) -> None:
        """Start with *settings* (names and values of postconf(5)) over the ones above."""
        assert os.geteuid() == 0, "only root may start Postfix"
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="pymta-postfix-"))
        self.folder.chmod(0o755)  # its daemons run as the user postfix and must get through
        self._configuration = self.folder / "etc"
        self._log_file = self.folder / "log" / "maillog"
        self._write(settings)
        self._run("postfix", "start")
        wait_listening(self.port)

    @classmethod
    def relay(cls, next_hop_port: int, **settings: str) -> Self:
        """A Postfix that takes anything from loopback and passes all of it to 127.0.0.1:*next_hop_port*."""
        return cls(relayhost=f"[127.0.0.1]:{next_hop_port}", **settings)

    @classmethod
    def next_hop(
        cls,
        domain: str = "example.test",
        *,
        deferred: dict[str, str] | None = None,
        refused: dict[str, str] | None = None,
        policy_port: int | None = None,
        **settings: str,
    ) -> Self:
        """
        A Postfix that is the final host of *domain*: every local-part exists, and all share one Maildir, see `messages`.

        Which recipient a copy is for is in its field X-Original-To.

        Args:
            domain: What it takes mail for; other domains are refused as relaying.
            deferred: Addresses that get a 4yz reply, with the reply ("450 4.2.0 later").
            refused: Addresses that get a 5yz reply, with the reply.
            policy_port: Where a policy service on loopback (policy_service.py) is asked about each recipient.
            settings: More of postconf(5).
        """
        replies = {**(deferred or {}), **(refused or {})}
        table = " ".join(f"{{ {address} = {reply} }}" for address, reply in replies.items())
        restrictions = [f"check_recipient_access inline:{{ {table} }}"] if replies else []
        if policy_port is not None:
            restrictions.append(f"check_policy_service inet:127.0.0.1:{policy_port}")
        nobody = pwd.getpwnam("nobody")
        return cls(
            virtual_mailbox_domains=domain,
            virtual_mailbox_maps="static:inbox/",
            virtual_uid_maps=f"static:{nobody.pw_uid}",
            virtual_gid_maps=f"static:{nobody.pw_gid}",
            smtpd_recipient_restrictions=", ".join(["reject_unauth_destination", *restrictions, "permit"]),
            **settings,
        )

    # ---- what it did -----------------------------------------------------------------------------------------------

    def log(self) -> str:
        """Its whole log so far."""
        return self._log_file.read_text(encoding="utf-8") if self._log_file.exists() else ""

    def wait_log(self, pattern: str, *, limit_s: float = 20) -> re.Match[str]:
        """The first match of *pattern* in its log, when there is one."""
        return wait_until(
            lambda: re.search(pattern, self.log()), f"{pattern!r} in Postfix's log", limit_s=limit_s
        )

    def queue(self) -> list[dict[str, object]]:
        """What is in its queue, as `postqueue -j` tells it: queue_name, queue_id, sender, recipients and more."""
        shown = self._run("postqueue", "-j").splitlines()
        return [json.loads(line) for line in shown]

    def retry(self) -> None:
        """Try all that is deferred at once."""
        self._run("postqueue", "-f")

    def messages(self) -> list[bytes]:
        """What was delivered to the Maildir of a next hop, in order of arrival, with LF lines as Postfix keeps them."""
        files = self.folder.glob("mail/inbox/new/*")
        return [file.read_bytes() for file in sorted(files, key=lambda file: file.stat().st_mtime_ns)]

    def wait_messages(self, count: int, *, limit_s: float = 20) -> list[bytes]:
        """`messages`, when there are at least *count*."""
        return wait_until(
            lambda: found if len(found := self.messages()) >= count else None,
            f"{count} messages at the next hop",
            limit_s=limit_s,
        )

    # ---- its life --------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop it and remove all it has."""
        if self.folder.exists():
            self._run("postfix", "stop")
            shutil.rmtree(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _write(self, settings: dict[str, str]) -> None:
        postfix = pwd.getpwnam("postfix")
        for name in ("etc", "queue", "data", "mail", "log"):
            (self.folder / name).mkdir()
        os.chown(self.folder / "data", postfix.pw_uid, postfix.pw_gid)
        nobody = pwd.getpwnam("nobody")
        os.chown(self.folder / "mail", nobody.pw_uid, nobody.pw_gid)
        main_cf = {
            **MAIN_CF,
            "queue_directory": str(self.folder / "queue"),
            "data_directory": str(self.folder / "data"),
            "virtual_mailbox_base": str(self.folder / "mail"),
            "maillog_file": str(self._log_file),
            "maillog_file_prefixes": str(self.folder),
            **settings,
        }
        lines = "".join(f"{name} = {value}\n" for name, value in main_cf.items())
        (self._configuration / "main.cf").write_text(lines, encoding="utf-8")
        (self._configuration / "master.cf").write_text(MASTER_CF.format(port=self.port), encoding="ascii")
        for name in ("dynamicmaps.cf", "dynamicmaps.cf.d", "postfix-files"):
            shipped = Path("/etc/postfix") / name
            if shipped.exists():
                (self._configuration / name).symlink_to(shipped)

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [find_program(program), "-c", str(self._configuration), *arguments],
            capture_output=True,
            text=True,
        )
        assert 0 == done.returncode, f"{program} {arguments}: {done.stderr}\n{self.log()}"
        return done.stdout
