"""
Messages that end at nearly the same time share a sync, and none waits for long.
"""

import asyncio

from pymta.accept.gathering import GATHER_S_MAX, Gathering


class Spool:
    """Counts how often it is to write, and how many messages each time."""

    def __init__(self) -> None:
        self.waiting = 0
        self.batches: list[int] = []

    def gather(self) -> None:
        assert not self.waiting, "begun twice"

    def write_gathered(self) -> None:
        self.batches.append(self.waiting)
        self.waiting = 0


class Door:
    """Where messages end; its clock stands still unless it is told otherwise."""

    def __init__(self) -> None:
        self.now_s = 5.0
        self.spool = Spool()
        self.gathering = Gathering(self.spool, now_s=lambda: self.now_s)

    def message_ends(self) -> None:
        self.gathering.expect()
        self.spool.waiting += 1


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_messages_of_turns_that_follow_each_other_share_a_sync() -> None:
    """
    It begins when a turn has brought no more.
    """
    door = Door()
    for _ in range(3):
        door.message_ends()
        door.message_ends()
        await turns(1)
    assert [] == door.spool.batches

    await turns(2)
    assert [6] == door.spool.batches

    door.message_ends()
    await turns(3)
    assert [6, 1] == door.spool.batches


async def test_messages_that_do_not_end_wait_no_longer_than_told() -> None:
    """
    However busy the server is, the first of a batch has its limit.
    """
    door = Door()
    for _ in range(10):
        door.message_ends()
        door.now_s += GATHER_S_MAX / 4
        await turns(1)
    assert [4, 4] == door.spool.batches


async def test_a_message_that_ends_alone_waits_for_one_turn() -> None:
    """
    One that waits for nothing.
    """
    door = Door()
    door.message_ends()
    await turns(2)
    assert [1] == door.spool.batches
