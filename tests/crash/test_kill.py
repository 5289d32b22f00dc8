"""
`kill -9` at random moments under load: every message that got its 250 arrives, undamaged.

It is `pymta selfcheck crash` that does it, as an operator would (pymta/selfcheck/crash.py). A kill leaves the kernel's
cache alone, so this is about our order of doing things; what a power failure may take is tried on the spool's simulated
disk (rust/pymta-spool). Duplicates are allowed (ARCHITECTURE.md, "Delivery is at least once"), but each must be explained
by a kill, and they are printed.

PYMTA_CRASH_SEED repeats a run.
"""

import asyncio
from pathlib import Path
from random import Random

import pytest

from pymta.selfcheck.crash import CONNECTIONS_PER_SITE_MAX, CrashCheck, Options


def kill_and_start(folder: Path, random: Random, rounds: int) -> None:
    folder.mkdir()
    options = Options(folder=folder, rounds=rounds, seed=random.randrange(1 << 32))
    report = asyncio.run(CrashCheck(options).run())
    print(report)
    assert report.ok, report
    assert rounds == report.rounds
    assert rounds * 5 < report.messages_accepted, "hardly any load"
    assert report.recipients.duplicates <= rounds * 2 * CONNECTIONS_PER_SITE_MAX


@pytest.mark.timeout(240)
def test_every_message_that_got_its_250_arrives(tmp_path: Path, random: Random) -> None:
    """
    Fifty kills, each 50 to 700 ms into the load, while what the kill before left behind is being delivered.
    """
    kill_and_start(tmp_path / "check", random, 50)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_every_message_that_got_its_250_arrives_a_thousand_times(tmp_path: Path, random: Random) -> None:
    kill_and_start(tmp_path / "check", random, 1000)
