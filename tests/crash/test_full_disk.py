"""
A disk that is really full, of a few megabytes: new mail is put off, what is there is delivered all the same, and with
that there is room again.
"""

import asyncio
from pathlib import Path
from random import Random

import pytest

from pymta.admin.control import Selection
from pymta.selfcheck.swarm import Sent
from tests.crash.hop import Hop
from tests.crash.loaded import NO_ROOM, Loaded, fill, finish, start
from tests.partners.ports import free_port
from tests.partners.pymta import Pymta, next_hop

FREE_OCTETS_MIN = 4 << 20


async def fill_and_drain(server: Pymta, disk: Path, hop: Hop, sent: Sent, random: Random) -> None:
    """Nothing can be delivered until the disk is full, and then all of it."""
    async with Loaded(server, "1", sent, random) as loaded:
        await loaded.more_deferred(40, limit_s=60)
        rest = await asyncio.to_thread(fill, disk)
        accepted = sent.messages_accepted
        await loaded.more_deferred(40)
        assert accepted == sent.messages_accepted, "new mail on a full disk"
        server.configure(routes=[next_hop(hop.port)])
        await asyncio.to_thread(server.reload)
        await asyncio.to_thread(server.control.act, "retry", Selection(all=True))
        await asyncio.to_thread(hop.wait_arrivals, len(sent.accepted) // 2)
        rest.unlink()
        await loaded.more_accepted(50, limit_s=60)


@pytest.mark.timeout(180)
def test_a_full_disk_puts_new_mail_off_and_delivers_what_is_there(
    tmp_path: Path, small_disk: Path, hop: Hop, random: Random
) -> None:
    """
    First there is less than `spool.free_octets_min` left, then nothing at all.
    """
    sent = Sent()
    server = start(
        tmp_path / "pymta",
        hop,
        routes=[next_hop(free_port())],
        server={"data_folder": small_disk / "data"},
        spool={"segment_octets": 2 << 20, "spill_octets": 64 << 10, "free_octets_min": FREE_OCTETS_MIN},
        delivery={"suspend_s_min": 1, "suspend_s_max": 1},
    )
    try:
        asyncio.run(fill_and_drain(server, small_disk, hop, sent, random))
    except BaseException:
        server.kill()
        raise
    finish(server, hop, sent)
    assert {NO_ROOM} == sent.replies.keys()
