"""
Programs that people read and keep their mail with: curl, mbsync, OfflineIMAP, InterIMAP, doveadm, neomutt, fetchmail,
getmail.
"""

import os
import pwd
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.imap.conftest import ALICE, HOST, PASSWORD, Reading, message, ok
from tests.partners.program import run_to_end, secret_file
from tests.partners.terminal import Terminal
from tests.partners.waiting import wait_until

Start = Callable[..., Reading]
COUNT = 5


@pytest.fixture
def reading(start_reading: Start) -> Reading:
    """A server where alice has an inbox of five messages, the first one flagged, and a folder with one more."""
    reading = start_reading()
    for number in range(COUNT):
        reading.put(f"{number}.a", message(number))
    with reading.client() as imap:
        ok(imap.create("Archive"))
        ok(imap.append("Archive", "(\\Seen)", None, wire(message(9))))
        ok(imap.select())
        ok(imap.store("1", "+FLAGS", "(\\Flagged)"))
    return reading


def wire(content: bytes) -> bytes:
    """As it goes over the wire."""
    return content.replace(b"\n", b"\r\n")


def found(maildir: Path) -> list[bytes]:
    """What a Maildir holds, with the lines that its program has."""
    files = [*maildir.glob("new/*"), *maildir.glob("cur/*")]
    return sorted(file.read_bytes().replace(b"\r\n", b"\n") for file in files)


def without_added_fields(content: bytes) -> bytes:
    """Some programs note in the header section where they have it from, or how long it is."""
    added = (b"x-tuid", b"x-offlineimap", b"content-length:", b"lines:")
    lines = content.splitlines(keepends=True)
    return b"".join(line for line in lines if not line.lower().startswith(added))


def states(reading: Reading, mailbox: str = "INBOX") -> list[bytes]:
    """Flags and subjects as the server has them."""
    with reading.client() as imap:
        ok(imap.select(mailbox, readonly=True))
        answer = ok(imap.fetch("1:*", "(UID FLAGS)"))
        return sorted(line for line in answer if isinstance(line, bytes))


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_curl(reading: Reading, tmp_path: Path, tls: str) -> None:
    url = f"{'imaps' if tls == 'implicit' else 'imap'}://{HOST}:{reading.port(tls)}"
    common = (
        "curl", "--silent", "--show-error", "--max-time", "20", "--ssl-reqd", "--cacert", str(reading.ca_file),
        "--user", f"{ALICE}:{PASSWORD}",
    )  # fmt: skip
    assert {"INBOX", "Archive"} <= {
        line.rpartition(" ")[2].strip('"') for line in run_to_end(*common, url, folder=tmp_path).splitlines()
    }
    assert message(1) == run_to_end(*common, f"{url}/INBOX;MAILINDEX=2", folder=tmp_path).encode().replace(
        b"\r\n", b"\n"
    )
    new = tmp_path / "new"
    new.write_bytes(wire(message(7)))
    run_to_end(*common, "--upload-file", str(new), f"{url}/Archive", folder=tmp_path)
    assert 2 == len(states(reading, "Archive"))
    assert "* SEARCH 1" in run_to_end(*common, "--request", "SEARCH FLAGGED", f"{url}/INBOX", folder=tmp_path)


def mbsync_config(reading: Reading, folder: Path) -> Path:
    """Both ways, all mailboxes, removals too."""
    (folder / "local").mkdir()
    return secret_file(
        folder,
        "mbsyncrc",
        f"""\
IMAPStore there
Host {HOST}
Port {reading.port()}
User {ALICE}
Pass "{PASSWORD}"
SSLType IMAPS
CertificateFile {reading.ca_file}

MaildirStore here
Path {folder}/local/
Inbox {folder}/local/INBOX
SubFolders Verbatim

Channel all
Far :there:
Near :here:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
CopyArrivalDate yes
""",
    )


def test_mbsync_goes_both_ways_and_then_has_nothing_to_do(reading: Reading, tmp_path: Path) -> None:
    config = mbsync_config(reading, tmp_path)

    def sync() -> str:
        return run_to_end("mbsync", "-c", str(config), "-a", "-V", folder=tmp_path)

    sync()
    inbox = tmp_path / "local" / "INBOX"
    assert sorted(message(number) for number in range(COUNT)) == sorted(
        map(without_added_fields, found(inbox))
    )
    assert [message(9)] == list(map(without_added_fields, found(tmp_path / "local" / "Archive")))
    before = states(reading)
    files = sorted(inbox.glob("*/*"))
    sync()
    assert (before, files) == (states(reading), sorted(inbox.glob("*/*")))

    # A message that is new here, one that is removed here, one that is marked here; a new one there.
    (inbox / "new" / "99.b").write_bytes(message(8))
    flagged = next(file for file in inbox.glob("*/*") if "F" in file.name.partition(":2,")[2])
    flagged.unlink()
    unseen = next(file for file in inbox.glob("*/*") if b"Subject: n3\n" in file.read_bytes())
    unseen.rename(inbox / "cur" / f"{unseen.name.partition(':')[0]}:2,RS")
    reading.put("6.a", message(6))
    sync()
    with reading.client() as imap:
        assert [str(COUNT + 1).encode()] == ok(imap.select())
        assert 1 == len(ok(imap.search(None, "ANSWERED", "SUBJECT", "n3"))[0].split())
        assert b"" == ok(imap.search(None, "FLAGGED"))[0]
    assert COUNT + 1 == len(found(inbox))


def test_offlineimap_goes_both_ways(reading: Reading, tmp_path: Path) -> None:
    config = secret_file(
        tmp_path,
        "offlineimaprc",
        f"""\
[general]
accounts = a
metadata = {tmp_path}/metadata
[Account a]
localrepository = l
remoterepository = r
[Repository l]
type = Maildir
localfolders = {tmp_path}/local
[Repository r]
type = IMAP
remotehost = {HOST}
remoteport = {reading.port()}
remoteuser = {ALICE}
remotepass = {PASSWORD}
ssl = yes
sslcacertfile = {reading.ca_file}
""",
    )

    def sync() -> None:
        run_to_end("offlineimap", "-c", str(config), "-o", "-u", "basic", folder=tmp_path)

    sync()
    inbox = tmp_path / "local" / "INBOX"
    assert COUNT == len(found(inbox))
    before, files = states(reading), sorted(inbox.glob("*/*"))
    sync()
    assert (before, files) == (states(reading), sorted(inbox.glob("*/*")))
    (inbox / "new" / "99.b").write_bytes(message(8))
    next(file for file in inbox.glob("*/*") if b"Subject: n2\n" in file.read_bytes()).unlink()
    sync()
    with reading.client() as imap:
        assert [str(COUNT).encode()] == ok(imap.select())
        assert b"" == ok(imap.search(None, "SUBJECT", "n2"))[0]
        assert b"" != ok(imap.search(None, "SUBJECT", "n8"))[0]


DOVECOT = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
ssl = no
ssl_client_ca_file = {folder}/ca.pem
first_valid_uid = 0
first_valid_gid = 0
mail_uid = {user}
mail_gid = {group}
default_internal_user = root
default_internal_group = root
default_login_user = nobody
mail_location = maildir:{folder}/mail
mail_home = {folder}/home
imapc_host = 127.0.0.1
imapc_port = {port}
imapc_user = {account}
imapc_password = {password}
imapc_ssl = imaps
imapc_ssl_verify = no
imapc_features = rfc822.size fetch-headers
namespace {{
  inbox = yes
  separator = /
}}
"""


@pytest.fixture
def dovecot(reading: Reading) -> Iterator[Path]:
    """The folder of a Dovecot without a server: its programs are started one by one, and work for nobody."""
    if os.geteuid() != 0:
        pytest.skip("only root may start Dovecot's programs")
    nobody = pwd.getpwnam("nobody")
    folder = Path(tempfile.mkdtemp(prefix="pymta-dovecot-"))
    folder.chmod(0o755)
    (folder / "ca.pem").write_bytes(reading.ca_file.read_bytes())
    (folder / "dovecot.conf").write_text(
        DOVECOT.format(
            folder=folder,
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            port=reading.port(),
            account=ALICE,
            password=PASSWORD,
        ),
        encoding="utf-8",
    )
    for name in ("run", "state", "home", "mail"):
        (folder / name).mkdir()
        os.chown(folder / name, nobody.pw_uid, nobody.pw_gid)
    yield folder
    shutil.rmtree(folder)


def test_doveadm_backs_up(dovecot: Path, tmp_path: Path) -> None:
    config = dovecot / "dovecot.conf"
    for _ in range(2):
        run_to_end("doveadm", "-c", str(config), "backup", "-R", "imapc:", folder=tmp_path, USER="nobody")
        assert sorted(message(number) for number in range(COUNT)) == found(dovecot / "mail")
        assert [message(9)] == found(dovecot / "mail" / ".Archive")


def test_interimap_goes_both_ways(reading: Reading, dovecot: Path, tmp_path: Path) -> None:
    """It needs QRESYNC, and tells apart what was removed from what was never there."""
    (tmp_path / "interimap").mkdir()
    secret_file(
        tmp_path / "interimap",
        "config",
        f"""\
database = state.db
[local]
type = tunnel
command = /usr/lib/dovecot/imap -c {dovecot}/dovecot.conf | cat
null-stderr = no
[remote]
type = imaps
host = {HOST}
port = {reading.port()}
username = {ALICE}
password = {PASSWORD}
SSL_CAfile = {reading.ca_file}
""",
    )

    def sync() -> None:
        run_to_end(
            "interimap", "--config", str(tmp_path / "interimap" / "config"), folder=tmp_path,
            USER="nobody", XDG_DATA_HOME=str(tmp_path),
        )  # fmt: skip

    sync()
    maildir = dovecot / "mail"
    assert sorted(message(number) for number in range(COUNT)) == found(maildir)
    before = states(reading)
    sync()
    assert before == states(reading)
    next(file for file in maildir.glob("*/*") if b"Subject: n2\n" in file.read_bytes()).unlink()
    (maildir / "new" / "99.b").write_bytes(message(8))
    with reading.client() as imap:
        ok(imap.select())
        ok(imap.store("1", "+FLAGS", "(\\Deleted)"))
        ok(imap.expunge())
    sync()
    with reading.client() as imap:
        ok(imap.select())
        assert b"" == ok(imap.search(None, "SUBJECT", "n2"))[0]
        assert b"" != ok(imap.search(None, "SUBJECT", "n8"))[0]
    assert COUNT - 1 == len(found(maildir))


def test_neomutt_shows_copies_flags_and_removes(reading: Reading, tmp_path: Path) -> None:
    config = secret_file(
        tmp_path,
        "neomuttrc",
        f"""\
set folder = "imaps://{HOST}:{reading.port()}/"
set spool_file = "+INBOX"
set imap_user = "{ALICE}"
set imap_pass = "{PASSWORD}"
set certificate_file = "{reading.ca_file}"
set ssl_force_tls = yes
set confirmappend = no
set mbox_type = Maildir
set move = no
set copy = no
set confirmcreate = no
set delete = yes
set quit = yes
set sort = subject
""",
    )
    with Terminal("neomutt", "-n", "-F", config, folder=tmp_path) as neomutt:
        listed = neomutt.wait_for(*(f"n{number}" for number in range(COUNT)), f"Msgs:{COUNT}")
        assert ["n0"] == [line.split()[-1] for line in listed.splitlines() if "!" in line.partition("Ann")[0]]
        neomutt.press("T")
        neomutt.wait_for("Tag messages matching:")
        neomutt.press("~A", "Enter", ";", "C")
        neomutt.wait_for("Copy tagged to mailbox")
        neomutt.press("C-u", f"{tmp_path}/got", "Enter")
        wait_until(lambda: COUNT == len(found(tmp_path / "got")), "all are copied")

        neomutt.press("/", "~s n3", "Enter", "Enter")
        neomutt.wait_for("Subject: n3", "body 3")
        neomutt.press("d", "c", "+Archive", "Enter")
        neomutt.wait_for("n9", "Msgs:1")
        neomutt.press("F", "q")
        neomutt.wait_ended()
    assert sorted(message(number) for number in range(COUNT)) == sorted(
        map(without_added_fields, found(tmp_path / "got"))
    )
    with reading.client() as imap:
        assert [str(COUNT - 1).encode()] == ok(imap.select())
        assert b"" == ok(imap.search(None, "SUBJECT", "n3"))[0]
    assert all(b"\\Flagged" in line for line in states(reading, "Archive"))


def test_fetchmail(reading: Reading, tmp_path: Path) -> None:
    config = secret_file(
        tmp_path,
        "fetchmailrc",
        f"poll {HOST} protocol IMAP port {reading.port()}\n"
        f'  user "{ALICE}" password "{PASSWORD}" ssl sslproto "TLS1.2+" sslcertfile {reading.ca_file}\n'
        f"  nokeep fetchall mda \"sh -c 'cat >> {tmp_path}/got'\"\n",
    )
    run_to_end("fetchmail", "-f", str(config), "--nodetach", "--nosyslog", folder=tmp_path)
    got = (tmp_path / "got").read_bytes()
    assert [1] * COUNT == [got.count(b"\nbody %d\n" % number) for number in range(COUNT)]
    with reading.client() as imap:
        assert [b"0"] == ok(imap.select())


def test_getmail(reading: Reading, tmp_path: Path) -> None:
    # Where its program ends before getmail waits for it, getmail waits for a minute and calls the delivery failed.
    until_it_waits = "until grep -q '^State:.S' /proc/$PPID/status; do :; done"
    secret_file(
        tmp_path,
        "getmailrc",
        f"[retriever]\ntype = SimpleIMAPSSLRetriever\nserver = {HOST}\nport = {reading.port()}\n"
        f"username = {ALICE}\npassword = {PASSWORD}\nca_certs = {reading.ca_file}\n[destination]\ntype = MDA_external\n"
        f"path = /bin/sh\narguments = ('-c', \"cat >> '{tmp_path}/got'; {until_it_waits}\")\nallow_root_commands = true\n"
        "[options]\nverbose = 2\ndelete = true\ndelivered_to = false\nreceived = false\n",
    )
    run_to_end("getmail", "--getmaildir", str(tmp_path), folder=tmp_path)
    got = (tmp_path / "got").read_bytes()
    assert [1] * COUNT == [got.count(b"\nbody %d\n" % number) for number in range(COUNT)]
