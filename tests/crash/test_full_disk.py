"""
A disk that is really full, of a few megabytes: new mail is put off, what is there is delivered all the same, and with
that there is room again.
"""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from pymta.admin.control import Selection
from pymta.selfcheck.swarm import Sent
from tests.crash.hop import Hop
from tests.crash.loaded import NO_ROOM, Loaded, finish, start
from tests.partners.ports import free_port
from tests.partners.program import find_program
from tests.partners.pymta import Pymta, next_hop

DISK_OCTETS = 24 << 20
FREE_OCTETS_MIN = 4 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory, mounted for one test."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        [find_program("mount"), "-t", "tmpfs", "-o", f"size={DISK_OCTETS}", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system may be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run([find_program("umount"), "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """Take all that is left; somebody else's file."""
    file = folder / "somebody-else"
    with file.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(1 << 16))
        except OSError:
            return file


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
