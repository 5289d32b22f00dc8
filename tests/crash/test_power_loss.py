"""
The power fails under load, again and again: what got its 250, or its OK, was synced and is there.

The whole server runs on a file system of its own, which loses at a random instant all that was not synced (filesystem.py).
A kill (test_kill.py) leaves the kernel's cache alone; here it is lost, and the kernel's own journal with it.
PYMTA_CRASH_SEED repeats a run, but for the instants.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from pymta.selfcheck.swarm import Sent, Swarm
from tests.crash.filesystem import FileSystem, Kind, file_system
from tests.crash.hop import Hop
from tests.crash.loaded import LIMIT_S, finish, start
from tests.crash.mailboxes import Mailboxes
from tests.partners.pymta import Pymta
from tests.partners.waiting import wait_until_async

AFTER_S_MIN, AFTER_S_MAX = 0.05, 0.7
KINDS = ("ext4", "xfs")
ROUNDS = 4
ROUNDS_OF_SOAK = 100
ROUNDS_EACH = [
    pytest.param(ROUNDS, marks=pytest.mark.timeout(240)),
    pytest.param(ROUNDS_OF_SOAK, marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
]


@pytest.fixture(params=KINDS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FileSystem]:
    kind: Kind = request.param
    with file_system(tmp_path, kind) as made:
        yield made


def power_returns(server: Pymta, disk: FileSystem) -> None:
    """The machine is off and comes up again; the server is not started yet."""
    server.kill()
    disk.unmount()
    disk.mount()


async def load_until_the_power_fails(
    server: Pymta, disk: FileSystem, sent: Sent, random: Random, name: str
) -> None:
    swarm = Swarm(server.port, name, sent, random)
    running = asyncio.create_task(swarm.run())
    await asyncio.wait_for(swarm.first_accepted.wait(), 20)
    await asyncio.wait({running}, timeout=random.uniform(AFTER_S_MIN, AFTER_S_MAX))
    disk.lose_power()
    heard = sent.deferred_count
    await wait_until_async(
        lambda: running.done() or sent.deferred_count >= heard + 5, "clients hear of it", limit_s=LIMIT_S
    )
    await asyncio.to_thread(server.kill)
    await asyncio.wait_for(running, 20)


@pytest.mark.parametrize("rounds", ROUNDS_EACH)
def test_every_message_that_got_its_250_arrives(
    tmp_path: Path, disk: FileSystem, hop: Hop, random: Random, rounds: int
) -> None:
    server = start(tmp_path / "pymta", hop, server={"data_folder": disk.folder / "data"})
    sent = Sent()
    try:
        for number in range(rounds):
            asyncio.run(load_until_the_power_fails(server, disk, sent, random, str(number)))
            power_returns(server, disk)
            server.start()
    except BaseException:
        server.kill()
        raise
    finish(server, hop, sent, killed=True)
    assert rounds * 5 < sent.messages_accepted, "hardly any load"


@pytest.mark.parametrize("rounds", ROUNDS_EACH)
def test_what_got_its_250_is_in_its_mailbox_and_nothing_half_is_visible(
    tmp_path: Path, disk: FileSystem, hop: Hop, random: Random, rounds: int
) -> None:
    mailboxes = Mailboxes(tmp_path / "pymta", hop, disk.folder / "data")
    sent = Sent()
    try:
        for number in range(rounds):
            asyncio.run(load_until_the_power_fails(mailboxes.server, disk, sent, random, str(number)))
            power_returns(mailboxes.server, disk)
            mailboxes.check_readers()
            mailboxes.server.start()
    except BaseException:
        mailboxes.server.kill()
        raise
    mailboxes.finish(sent, killed=True)
    assert rounds * 5 < sent.messages_accepted, "hardly any load"
