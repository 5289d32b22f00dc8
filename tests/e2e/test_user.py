"""
A server that was started by root and becomes somebody with less power: everything still works, and nothing is left of root.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.partners.accounts import Accounts
from tests.partners.pymta import Pymta
from tests.partners.waiting import wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

USER = "nobody"
ANN = "ann@example.test"
CONTENT = b"From: author@example.net\r\nSubject: hello\r\n\r\nhello\r\n"


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that the user may pass through; nobody but root passes through pytest's own."""
    made = Path(tempfile.mkdtemp(prefix="pymta-user-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def reachable() -> bool:
    """Whether the user may start this interpreter; workers are started by it. One in root's own folder is not."""
    try:
        return subprocess.run([sys.executable, "-c", ""], user=USER, timeout=20).returncode == 0
    except PermissionError:
        return False


def processes(pid: int) -> list[int]:
    """That process and its children."""
    children = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return [pid, *children]


def powers(pid: int) -> tuple[set[str], set[str], str]:
    """The user's four numbers, the group's, and the capabilities that a process may use."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return set(status["Uid"].split()), set(status["Gid"].split()), status["CapEff"].strip()


def send(server: Pymta) -> None:
    with server.client() as client:
        assert {} == client.sendmail("author@example.net", [ANN], CONTENT)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_of_another_user_does_everything_without_root(
    folder: Path, workers: int, reachable: bool
) -> None:
    if workers > 1 and not reachable:
        pytest.skip("the user cannot start this interpreter")
    entry = pwd.getpwnam(USER)
    accounts = Accounts(folder / "pymta" / "data")
    accounts.add(ANN)
    with Pymta(folder / "pymta", server={"user": USER, "workers": workers}) as server:
        pids = processes(server.pid)
        assert (1 if workers == 1 else 1 + workers) == len(pids)
        for pid in pids:
            assert ({str(entry.pw_uid)}, {str(entry.pw_gid)}, "0" * 16) == powers(pid)
        send(server)
        accounts.wait(ANN)
        assert {entry.pw_uid} == {path.stat().st_uid for path in (server.log_file, *server.data.rglob("*"))}

        # What root changes in the running server's data is used, and a reload needs no root.
        accounts.add("bob@example.test")
        server.reload()
        with server.client() as client:
            assert {} == client.sendmail("author@example.net", ["bob@example.test"], CONTENT)
        accounts.wait("bob@example.test")

        # Root made the log; at SIGHUP the user opens it again.
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: len(server.events("admin", action="reload", worker="")) == 2, "it was heard")
        assert [] == server.events("trouble")

        server.kill()
        server.start()
        send(server)
        wait_until(lambda: 2 == len(accounts.messages(ANN)), "the second message is there")
