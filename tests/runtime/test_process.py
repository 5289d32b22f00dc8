"""
What concerns the whole process, in processes of their own: signals, privileges, limits, the loop.
"""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pymta.runtime.open_files import raise_limit
from pymta.runtime.privileges import UnknownUserError, ids_of

PYTHON = str(Path(__file__).parents[2] / "python")


def start(program: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": PYTHON}
    return subprocess.Popen(
        [sys.executable, "-uc", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


SIGNALLED = """
import asyncio
from pymta.runtime import loop, signals

async def main():
    stop = asyncio.Event()
    def on_stop(name):
        print("stop", name)
        if name == "SIGTERM": stop.set()
    signals.install(asyncio.get_running_loop(), on_stop=on_stop, on_reload=lambda: print("reload"))
    print("ready", type(asyncio.get_running_loop()).__module__)
    await stop.wait()
    return "ended"

print(loop.run(main()))
"""


def test_signals_reload_and_stop() -> None:
    with start(SIGNALLED) as process:
        assert process.stdout is not None
        assert "ready uvloop\n" == process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        assert "reload\n" == process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert "stop SIGINT\n" == process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert "stop SIGTERM\nended\n" == process.stdout.read()
    assert 0 == process.returncode


def test_a_second_interrupt_does_not_wait() -> None:
    with start(SIGNALLED) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert "" == process.stdout.read()
    assert 130 == process.returncode


def test_without_uvloop_asyncio_does_it() -> None:
    program = "import sys; sys.modules['uvloop'] = None\n" + SIGNALLED
    with start(program) as process:
        assert process.stdout is not None
        assert "ready asyncio.unix_events\n" == process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert "stop SIGTERM\nended\n" == process.stdout.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to drop")
def test_dropped_privileges_stay_dropped(tmp_path: Path) -> None:
    """
    The folder is given away, root cannot be had back, and the groups are those of the user.
    """
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "file").touch()
    (tmp_path / "link").symlink_to("/etc/passwd")
    program = f"""
import os
from pathlib import Path
from pymta.runtime.privileges import drop, give_folder, ids_of
uid, gid = ids_of("nobody")
give_folder(Path({str(tmp_path)!r}), uid, gid)
assert drop(uid, gid, "nobody")
assert not drop(uid, gid, "nobody")
try: os.setuid(0)
except PermissionError: print("cannot go back", os.getresuid() == (uid,) * 3, os.getresgid() == (gid,) * 3, 0 in os.getgroups())
"""
    with start(program) as process:
        assert process.stdout is not None
        assert "cannot go back True True False\n" == process.stdout.read()
    uid, _ = ids_of("nobody")
    assert uid == (tmp_path / "spool" / "file").stat().st_uid
    assert 0 == Path("/etc/passwd").stat().st_uid


def test_unknown_users_and_groups_are_named() -> None:
    with pytest.raises(UnknownUserError, match="no-such-user"):
        ids_of("no-such-user")
    with pytest.raises(UnknownUserError, match="no-such-group"):
        ids_of("root", "no-such-group")


def test_the_limit_of_open_files_is_raised_and_never_lowered() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        assert 512 == raise_limit(512)
        assert 512 == raise_limit(100)
        assert 512 == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_more_open_files_than_allowed_is_as_many_as_allowed() -> None:
    program = """
import resource
from pymta.runtime.open_files import raise_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
import os
if os.geteuid() == 0: os.setresuid(65534, 65534, 65534)
print(raise_limit(1000), resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    with start(program) as process:
        assert process.stdout is not None
        assert "200 (200, 200)\n" == process.stdout.read()
