"""
The disk that the mailboxes are on is in trouble: what got its 250 waits and arrives, once and whole, and no reader ever
sees half of a message.
"""

import asyncio
from pathlib import Path
from random import Random

import pytest

from pymta.selfcheck.swarm import Sent
from tests.crash.faults import RENAME, SYNC, calls, injected
from tests.crash.hop import Hop
from tests.crash.loaded import LIMIT_S, Loaded, fill
from tests.crash.mailboxes import Mailboxes
from tests.partners.waiting import wait_until_async

pytestmark = pytest.mark.timeout(240)


@pytest.mark.parametrize(
    ("names", "how"),
    [
        pytest.param(RENAME, "error=ENOSPC", id="no-rename-works"),
        pytest.param(RENAME, "error=EIO:when=2+3", id="some-renames-fail"),
        pytest.param(SYNC, "error=EIO:when=2+3", id="some-syncs-fail"),
    ],
)
@pytest.mark.parametrize("ends", ["goes-on", "is-killed"])
def test_deliveries_that_fail_are_put_off_and_nobody_sees_half_a_message(
    tmp_path: Path, hop: Hop, random: Random, names: str, how: str, ends: str
) -> None:
    sent = Sent()
    mailboxes = Mailboxes(tmp_path / "pymta", hop)
    server = mailboxes.server

    async def troubled() -> None:
        async with Loaded(server, "1", sent, random) as loaded:
            with calls(server.pid, names, how, tmp_path / "strace"):
                before = mailboxes.deferred()
                await wait_until_async(
                    lambda: mailboxes.deferred() >= before + 20, "20 deliveries are put off", limit_s=LIMIT_S
                )
                mailboxes.check_readers()
                if ends == "is-killed":
                    await asyncio.to_thread(server.kill)
            if ends == "is-killed":
                await asyncio.to_thread(server.start)
            await loaded.more_accepted(50)

    try:
        asyncio.run(troubled())
    except BaseException:
        server.kill()
        raise
    mailboxes.finish(sent, killed=ends == "is-killed")
    assert injected(tmp_path / "strace") >= 3, "hardly any trouble"


def test_a_full_disk_puts_deliveries_off_until_there_is_room(
    tmp_path: Path, small_disk: Path, hop: Hop, random: Random
) -> None:
    sent = Sent()
    mailboxes = Mailboxes(tmp_path / "pymta", hop, small_disk / "data")

    async def full() -> None:
        async with Loaded(mailboxes.server, "1", sent, random) as loaded:
            rest = await asyncio.to_thread(fill, small_disk)
            before = mailboxes.deferred()
            await wait_until_async(
                lambda: mailboxes.deferred() > before, "a delivery is put off", limit_s=LIMIT_S
            )
            mailboxes.check_readers()
            rest.unlink()
            loaded.swarm.stop()  # what is in mailboxes stays there: more would fill it again

    try:
        asyncio.run(full())
    except BaseException:
        mailboxes.server.kill()
        raise
    mailboxes.finish(sent)
