"""
Programs that people fetch their mail with: curl, fetchmail, mpop, getmail.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from tests.e2e.pop3.conftest import ALICE, HOST, PASSWORD, Reading
from tests.partners.program import run_to_end as run
from tests.partners.program import secret_file as secret

DOORS: tuple[Literal["starttls", "implicit"], ...] = ("starttls", "implicit")


def message(number: int) -> bytes:
    """One that is easily told from the others, with a dot where it hurts."""
    return b"From: a@example.net\nTo: alice@example.test\nSubject: n%d\n\n.\n..%d\n" % (number, number)


def filled(start_reading: Callable[..., Reading]) -> Reading:
    """Three messages wait."""
    reading = start_reading()
    for number in range(3):
        reading.put(f"{number}.a", message(number))
    return reading


@pytest.mark.parametrize("tls", DOORS)
def test_curl(
    start_reading: Callable[..., Reading], tmp_path: Path, tls: Literal["starttls", "implicit"]
) -> None:
    reading = filled(start_reading)
    port = reading.port(tls)
    url = f"{'pop3s' if tls == 'implicit' else 'pop3'}://{HOST}:{port}"
    common = (
        "curl", "--silent", "--show-error", "--max-time", "20", "--ssl-reqd", "--cacert", str(reading.ca_file),
        "--connect-to", f"{HOST}:{port}:127.0.0.1:{port}", "--user", f"{ALICE}:{PASSWORD}",
    )  # fmt: skip
    assert 3 == len(run(*common, url, folder=tmp_path).splitlines())
    assert message(1).decode() == run(*common, f"{url}/2", folder=tmp_path).replace("\r\n", "\n")
    run(*common, "--request", "DELE", "--list-only", f"{url}/2", folder=tmp_path)
    assert ["0.a", "2.a"] == reading.names()


@pytest.mark.parametrize("tls", DOORS)
def test_mpop(
    start_reading: Callable[..., Reading], tmp_path: Path, tls: Literal["starttls", "implicit"]
) -> None:
    reading = filled(start_reading)
    for part in ("tmp", "new", "cur"):
        (tmp_path / "got" / part).mkdir(parents=True)
    config = secret(
        tmp_path,
        "mpoprc",
        f"account default\nhost 127.0.0.1\nport {reading.port(tls)}\ntls on\n"
        f"tls_starttls {'off' if tls == 'implicit' else 'on'}\ntls_trust_file {reading.ca_file}\n"
        f"tls_host_override {HOST}\nuser {ALICE}\npassword {PASSWORD}\ndelivery maildir {tmp_path / 'got'}\n"
        f"uidls_file {tmp_path / 'uidls'}\nkeep on\nreceived_header off\n",
    )
    for _ in range(2):  # what it has got it does not fetch again
        run("mpop", "-C", str(config), folder=tmp_path)
        got = sorted(file.read_bytes() for file in (tmp_path / "got" / "new").iterdir())
        assert [message(number) for number in range(3)] == got
    run("mpop", "-C", str(config), "--keep=off", folder=tmp_path)
    assert [] == reading.names()


def test_fetchmail(start_reading: Callable[..., Reading], tmp_path: Path) -> None:
    reading = filled(start_reading)
    config = secret(
        tmp_path,
        "fetchmailrc",
        f"poll 127.0.0.1 protocol POP3 port {reading.port('implicit')} uidl\n"
        f'  user "{ALICE}" password "{PASSWORD}" ssl sslproto "TLS1.2+" no sslcertck\n'
        f"  nokeep mda \"sh -c 'cat >> {tmp_path}/got'\"\n",
    )
    run("fetchmail", "-f", str(config), "--nodetach", "--nosyslog", folder=tmp_path)
    got = (tmp_path / "got").read_bytes()
    assert [1, 1, 1] == [got.count(b"Subject: n%d\n\n.\n..%d\n" % (n, n)) for n in range(3)]
    assert [] == reading.names()


def test_getmail(start_reading: Callable[..., Reading], tmp_path: Path) -> None:
    reading = filled(start_reading)
    secret(
        tmp_path,
        "getmailrc",
        f"[retriever]\ntype = SimplePOP3SSLRetriever\nserver = 127.0.0.1\nport = {reading.port('implicit')}\n"
        f"username = {ALICE}\npassword = {PASSWORD}\n[destination]\ntype = MDA_external\n"
        f"path = /usr/bin/tee\narguments = ('-a', '{tmp_path}/got')\nallow_root_commands = true\n"
        "[options]\nverbose = 2\ndelete = true\ndelivered_to = false\nreceived = false\n",
    )
    run("getmail", "--getmaildir", str(tmp_path), folder=tmp_path)
    got = (tmp_path / "got").read_bytes()
    assert [1, 1, 1] == [got.count(b"Subject: n%d\n\n.\n..%d\n" % (n, n)) for n in range(3)]
    assert [] == reading.names()
