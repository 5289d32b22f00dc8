"""
The servers that bench/imap.py asks by IMAP and POP3, each with a copy of the same Maildirs: pymta, and Debian's Dovecot.
"""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.processes import end, find_program, free_port, wait_listening
from pymta.auth.schemes import HashCost, stored_forms
from pymta.directory.editor import DirectoryEditor

__all__ = ["ACCOUNT", "PASSWORD", "STORES", "Store", "dovecot_version", "fill", "message"]

ACCOUNT, PASSWORD = "user@example.test", "secret"
DAY_OF_ALL = 1_790_000_000
#: Debian has it in a package of its own, dovecot-pop3d.
DOVECOT_POP3 = Path("/usr/lib/dovecot/pop3-login")

PYMTA = """
[server]
hostname = "mail.example.test"
data_folder = "data"
[[listeners]]
name = "imap"
address = "127.0.0.1:{port}"
role = "imap"
limits = {{ connections_per_address_max = 3000, connections_max = 4000 }}
[[listeners]]
name = "pop3"
address = "127.0.0.1:{pop3_port}"
role = "pop3"
[auth]
in_the_clear = "loopback"
[imap]
sessions_per_account_max = 3000
[http]
enabled = false
[log]
file = "log"
"""

DOVECOT = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = {protocols}
ssl = no
disable_plaintext_auth = no
first_valid_uid = 0
default_internal_user = root
default_internal_group = root
default_login_user = nobody
mail_uid = {user}
mail_gid = {group}
mail_location = maildir:{folder}/mail
mail_max_userip_connections = 3000
mail_fsync = optimized
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/home
}}
service imap-login {{
  chroot =
  service_count = 0
  client_limit = 4000
  inet_listener imap {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  chroot =
  service_count = 0
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {pop3_port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service imap {{
  process_limit = 4000
}}
service anvil {{
  chroot =
  client_limit = 9000
}}
service auth {{
  client_limit = 9000
}}
service stats {{
  chroot =
}}
default_vsz_limit = 0
"""


@dataclass(frozen=True)
class Store:
    """One that runs."""

    port: int
    #: None where it is not installed.
    pop3_port: int | None
    pid: int
    maildir: Path


def message(number: int, octets: int) -> bytes:
    """One of many, with the fields that mail has nowadays."""
    name = f"person{number % 997}"
    head = (
        f"Return-Path: <{name}@example.net>\nReceived: from mx.example.net by mail.example.test with ESMTPS; "
        f"Mon, 2 Nov 2026 10:00:00 +0000\nFrom: {name} <{name}@example.net>\nTo: User <{ACCOUNT}>\n"
        f"Subject: about subject {number % 5003} of many\nDate: Mon, 2 Nov 2026 10:{number % 60:02}:00 +0000\n"
        f"Message-ID: <{number}.bench@example.net>\nIn-Reply-To: <{number // 4}.bench@example.net>\n"
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\n\n"
    )
    line = f"word{number % 7919} the quick brown fox jumps over the lazy dog again and again\n"
    return (head + line * (max(octets - len(head), 0) // len(line) + 1)).encode()


def fill(maildir: Path, count: int, octets: int) -> None:
    """A Maildir with so many messages, all seen."""
    for part in ("tmp", "new", "cur"):
        (maildir / part).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        file = maildir / "cur" / f"{DAY_OF_ALL + number}.M{number}P1.bench:2,S"
        file.write_bytes(message(number, octets))
        os.utime(file, (DAY_OF_ALL + number, DAY_OF_ALL + number))


@contextmanager
def pymta(folder: Path, maildir: Path) -> Iterator[Store]:
    """A server of one process."""
    port, pop3_port = free_port(), free_port()
    home = folder / "data" / "mail" / "example.test" / "user"
    home.parent.mkdir(parents=True)
    shutil.move(maildir, home)
    (folder / "pymta.toml").write_text(PYMTA.format(port=port, pop3_port=pop3_port), encoding="utf-8")
    editor = DirectoryEditor(folder / "data" / "directory.db")
    editor.add_domain("example.test")
    editor.add_account(ACCOUNT, stored_forms(PASSWORD, HashCost(), scram=False))
    editor.close()
    server = subprocess.Popen(
        [sys.executable, "-m", "pymta", "serve", "--config", folder / "pymta.toml"], stdout=subprocess.DEVNULL
    )
    try:
        wait_listening(port, server)
        wait_listening(pop3_port, server)
        yield Store(port, pop3_port, server.pid, home)
    finally:
        end(server)


@contextmanager
def dovecot(folder: Path, maildir: Path) -> Iterator[Store]:
    """Its master and what it starts; as it comes, on the same file system."""
    nobody = pwd.getpwnam("nobody")  # root it reads for nobody
    port, pop3_port = free_port(), free_port()
    has_pop3 = DOVECOT_POP3.exists()
    for name in ("run", "state", "home"):
        (folder / name).mkdir()
    folder.chmod(0o755)
    shutil.move(maildir, folder / "mail")
    for path in (folder / "home", folder / "mail", *(folder / "mail").rglob("*")):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    config = folder / "dovecot.conf"
    config.write_text(
        DOVECOT.format(
            folder=folder,
            port=port,
            pop3_port=pop3_port,
            protocols="imap pop3" if has_pop3 else "imap",
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            password=PASSWORD,
        ),
        encoding="utf-8",
    )
    server = subprocess.Popen(
        [find_program("dovecot"), "-F", "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_listening(port, server)
        yield Store(port, pop3_port if has_pop3 else None, server.pid, folder / "mail")
    finally:
        end(server)


def dovecot_version() -> str:
    """From its own mouth."""
    command = [find_program("dovecot"), "--version"]
    return subprocess.run(command, capture_output=True, text=True).stdout.partition(" ")[0]


STORES = {"pymta": pymta, "dovecot": dovecot}
