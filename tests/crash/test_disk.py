"""
A disk in trouble under load: calls that fail, calls that take long. What got its 250 arrives, what got a 4yz does not,
nothing hangs, and all goes on when the trouble is over.

The server is a real one in a process of its own, on a real disk; only the system calls are tampered with (`faults`).
"""

import asyncio
import time
from pathlib import Path
from random import Random

import pytest

from pymta.selfcheck.swarm import Sent
from tests.crash.faults import SYNC, WRITE, calls, injected
from tests.crash.hop import Hop
from tests.crash.loaded import BUSY, NO_ROOM, NOT_STORED, Loaded, finish, start
from tests.partners.pymta import Pymta

pytestmark = pytest.mark.timeout(240)

# A sweep looks at the limit about once a second; and others share the processors.
SWEEP_S_MAX = 5.0


async def in_trouble(
    server: Pymta, sent: Sent, random: Random, output: Path, names: str, how: str, *, all_fail: bool
) -> None:
    """Load it, let calls fail until that was felt, go on without."""
    async with Loaded(server, output.name, sent, random) as loaded:
        with calls(server.pid, names, how, output):
            if all_fail:
                await loaded.more_deferred(40)
            else:
                await loaded.more_accepted(100)
        await loaded.more_accepted(50)
    # A log that is known to be broken is tried again only now and then.
    assert injected(output) >= (1 if all_fail else 3), "hardly any trouble"


@pytest.mark.parametrize(
    ("names", "how", "all_fail", "replies"),
    [
        pytest.param(SYNC, "error=EIO", True, {NOT_STORED, BUSY}, id="no-sync-works"),
        pytest.param(SYNC, "error=EIO:when=2+5", False, {NOT_STORED, BUSY}, id="some-syncs-fail"),
        pytest.param(WRITE, "error=EIO", True, {NOT_STORED, BUSY}, id="no-write-works"),
        pytest.param(WRITE, "error=ENOSPC", True, {NO_ROOM}, id="no-room-to-write"),
        pytest.param(WRITE, "error=EIO:when=2+5", False, {NOT_STORED, BUSY}, id="some-writes-fail"),
        pytest.param(WRITE, "error=ENOSPC:when=2+5", False, {NO_ROOM}, id="some-writes-find-no-room"),
    ],
)
def test_calls_that_fail_lose_nothing_and_deliver_nothing_that_was_refused(
    tmp_path: Path,
    hop: Hop,
    random: Random,
    names: str,
    how: str,
    all_fail: bool,
    replies: set[str],
) -> None:
    sent = Sent()
    server = start(tmp_path / "pymta", hop)
    try:
        asyncio.run(in_trouble(server, sent, random, tmp_path / "strace", names, how, all_fail=all_fail))
    except BaseException:
        server.kill()
        raise
    finish(server, hop, sent)
    assert sent.replies.keys() <= replies
    assert server.events("trouble", where="spool"), "nobody was told"


@pytest.mark.parametrize(
    ("names", "how"),
    [
        pytest.param(SYNC, "error=EIO", id="no-sync-works"),
        pytest.param(SYNC, "error=EIO:when=2+3", id="some-syncs-fail"),
        pytest.param(WRITE, "error=ENOSPC:when=2+3", id="some-writes-find-no-room"),
    ],
)
def test_a_kill_in_the_middle_of_disk_trouble_loses_nothing(
    tmp_path: Path, hop: Hop, random: Random, names: str, how: str
) -> None:
    sent = Sent()
    server = start(tmp_path / "pymta", hop)

    async def killed_in_trouble() -> None:
        async with Loaded(server, "1", sent, random) as loaded:
            with calls(server.pid, names, how, tmp_path / "strace"):
                await loaded.more_deferred(15)
                server.program.process.kill()
                await asyncio.to_thread(server.program.process.wait, 10)
            await asyncio.to_thread(server.start)
            await loaded.more_accepted(50)

    try:
        asyncio.run(killed_in_trouble())
    except BaseException:
        server.kill()
        raise
    finish(server, hop, sent, killed=True)


async def stalled(
    server: Pymta, sent: Sent, random: Random, output: Path, *, stall_s: float, commit_s_max: float
) -> None:
    """
    While no sync returns, clients are told to come back, others are listened to, and nothing piles up.
    """
    async with Loaded(server, "1", sent, random) as loaded:
        with calls(server.pid, SYNC, f"delay_enter={stall_s:g}s", output):
            began_s = time.monotonic()
            # Those that are in the middle of a message, and the first MAIL of each that came back.
            await loaded.more_deferred(16, limit_s=commit_s_max + SWEEP_S_MAX)
            assert time.monotonic() - began_s >= commit_s_max
            with await asyncio.to_thread(server.client, timeout_s=2) as client:
                client.ehlo()
                assert (451, b"4.3.0 storage is busy, try again later") == client.docmd("MAIL FROM:<>")
            assert await asyncio.to_thread(server.queue) is not None
            assert time.monotonic() - began_s < stall_s, "the stall was over before it was looked at"
        await loaded.more_accepted(50, limit_s=stall_s + 30)


def see_a_stall_through(
    folder: Path, hop: Hop, random: Random, *, stall_s: float, limits: dict[str, int], commit_s_max: float
) -> None:
    sent = Sent()
    server = start(folder / "pymta", hop, limits=limits)
    try:
        asyncio.run(
            stalled(server, sent, random, folder / "strace", stall_s=stall_s, commit_s_max=commit_s_max)
        )
    except BaseException:
        server.kill()
        raise
    finish(server, hop, sent)
    assert sent.replies.keys() <= {NOT_STORED, BUSY}
    assert 8 >= sent.replies[NOT_STORED], "one for each client: nobody is let in while the disk stalls"
    late = [event for event in server.events("refuse") if "the disk has not taken it in" in event["cause"]]
    assert sent.replies[NOT_STORED] == len(late)


def test_a_disk_that_stalls_costs_a_451_in_time_and_what_was_refused_does_not_arrive(
    tmp_path: Path, hop: Hop, random: Random
) -> None:
    see_a_stall_through(tmp_path, hop, random, stall_s=8, limits={"commit_s_max": 1}, commit_s_max=1)


@pytest.mark.soak
@pytest.mark.timeout(240)
def test_a_disk_that_stalls_for_thirty_seconds_with_the_limits_as_they_are(
    tmp_path: Path, hop: Hop, random: Random
) -> None:
    see_a_stall_through(tmp_path, hop, random, stall_s=30, limits={}, commit_s_max=20)
