"""
`pymta selfcheck crash` itself: what it says of a server that is well, and that it finds out one that is not.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pymta.selfcheck.arrivals import Arrival, Arrivals
from pymta.selfcheck.crash import CrashCheck, Options
from pymta.selfcheck.process import CheckFailed, ServerProcess
from pymta.selfcheck.swarm import Sent
from pymta.selfcheck.verdict import count
from tests.partners.ports import is_listening
from tests.partners.program import Program
from tests.partners.pymta import PYTHON
from tests.partners.waiting import wait_until

pytestmark = pytest.mark.timeout(240)

A, B = ("1@swarm.example.test", "a@d.example"), ("2@swarm.example.test", "b@d.example")


def selfcheck(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pymta", "selfcheck", "crash", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={**os.environ, "PYTHONPATH": str(PYTHON)},
    )


def test_a_server_that_is_well_is_found_well_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = selfcheck("--folder", tmp_path, "--rounds", "2", "--seed", "7")

    assert 0 == done.returncode, done.stderr + done.stdout
    assert "killed 2 times" in done.stdout
    assert "--seed 7" in done.stdout
    assert "Nothing that got its 250 was lost." in done.stdout
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_that_is_stopped_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "on").mkdir()
    with Program(
        sys.executable, "-m", "pymta", "selfcheck", "crash", "--folder", tmp_path / "on", "--rounds", "1000",
        output=tmp_path / "output", environment={"PYTHONPATH": str(PYTHON)},
    ) as running:  # fmt: skip
        ready = wait_until(
            lambda: re.findall(r"relay at 127\.0\.0\.1:(\d+)", log_of(tmp_path / "on")), "a server"
        )
        running.process.send_signal(number)
        assert 1 == running.process.wait(20)
    assert "stopped; nothing is proven" in running.text()
    assert not any(is_listening(int(port)) for port in ready)
    assert [] == list((tmp_path / "on").iterdir())


def log_of(folder: Path) -> str:
    return "".join(file.read_text(encoding="utf-8") for file in folder.glob("*/log"))


def test_its_result_is_json_for_programs_and_its_folder_is_kept_when_told(tmp_path: Path) -> None:
    done = selfcheck("--folder", tmp_path, "--rounds", "1", "--json", "--keep")

    assert 0 == done.returncode, done.stderr
    report = json.loads(done.stdout)
    assert (True, 1, 0) == (report["ok"], report["rounds"], report["recipients"]["lost"])
    assert report["recipients"]["accepted"] >= report["messages_accepted"] > 0
    assert (Path(report["folder"]) / "data" / "spool").is_dir()


def test_a_server_that_forgets_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whatever waits in its spool is gone with each kill.
    """
    kill = ServerProcess.kill

    async def kill_and_forget(self: ServerProcess) -> float:
        at_s = await kill(self)
        shutil.rmtree(self.folder / "data" / "spool", ignore_errors=True)
        return at_s

    monkeypatch.setattr(ServerProcess, "kill", kill_and_forget)

    report = asyncio.run(CrashCheck(Options(folder=tmp_path, rounds=3, seed=1)).run())

    assert not report.ok
    assert report.recipients.lost > 0
    assert report.recipients.examples[0].startswith("lost: ")


def test_a_server_that_does_not_start_is_told_with_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pymta.selfcheck.process.CONFIGURATION", "[nonsense]\n")

    with pytest.raises(CheckFailed, match="nonsense"):
        asyncio.run(CrashCheck(Options(folder=tmp_path, rounds=1)).run())


def test_a_folder_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    assert 2 == selfcheck("--folder", tmp_path / "missing").returncode


# ---- the count -------------------------------------------------------------------------------------------------------


def arrived(*arrivals: tuple[tuple[str, str], float, str]) -> Arrivals:
    found = Arrivals(Path("unused"))
    for key, at_s, spool_id in arrivals:
        found.by_key[key].append(Arrival(at_s, spool_id))
    return found


def test_what_arrived_once_is_well() -> None:
    sent = Sent(accepted={A}, unanswered={B})

    assert count(sent, arrived((A, 1.0, "x")), []).ok
    assert count(sent, arrived((A, 1.0, "x"), (B, 1.0, "y")), [2.0]).unanswered_arrived == 1


def test_what_did_not_arrive_or_should_not_have_is_not_well() -> None:
    assert 1 == count(Sent(accepted={A, B}), arrived((A, 1.0, "x")), []).lost
    assert 1 == count(Sent(accepted={A}), arrived((A, 1.0, "x"), (B, 1.0, "y")), []).strangers
    assert 1 == count(Sent(refused={A}), arrived((A, 1.0, "x")), []).strangers
    damaged = arrived((A, 1.0, "x"))
    damaged.damaged.append("a line")
    assert not count(Sent(accepted={A}), damaged, []).ok


@pytest.mark.parametrize(
    ("second", "kills_s", "is_explained"),
    [
        pytest.param((A, 3.0, "x"), [1.01], True, id="a-kill-just-after-the-first"),
        pytest.param((A, 3.0, "x"), [], False, id="no-kill"),
        pytest.param((A, 3.0, "x"), [2.5], False, id="a-kill-long-after-the-first"),
        pytest.param((A, 3.0, "x"), [4.0], False, id="a-kill-after-the-second"),
        pytest.param((A, 3.0, "y"), [1.01], False, id="spooled-twice"),
    ],
)
def test_a_copy_needs_a_kill_just_after_the_one_before(
    second: tuple[tuple[str, str], float, str], kills_s: list[float], is_explained: bool
) -> None:
    found = count(Sent(accepted={A}), arrived((A, 1.0, "x"), second), kills_s)

    assert 1 == found.duplicates
    assert is_explained == found.ok
