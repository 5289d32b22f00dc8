"""
`kill -9` at random moments while mail is delivered into Maildirs: what got its 250 is in its mailbox, and no reader ever
sees half a message, not even in the moment after the kill.

What a power failure may take is tried on the simulated file system of rust/pymta-maildir. A message may be there twice
where the kill came between its delivery and the record of it.
"""

import asyncio
import hashlib
import re
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from pymta.selfcheck.swarm import Sent, Swarm
from tests.partners.accounts import Accounts
from tests.partners.pymta import Pymta

KILL_S_MIN, KILL_S_MAX = 0.05, 0.7
RECIPIENTS = [f"r{number}@d{number}.example" for number in range(3)]

# What may be delivered and not yet recorded when the process dies: the recipients that are in hand (queue/local.py).
IN_HAND_MAX = 500

_FIELDS = re.compile(
    rb"Return-Path: <>\nDelivered-To: (?P<path>\S+)\n.*^Message-ID: <(?P<id>\S+)>\nX-Digest: (?P<digest>\S+)\n\n",
    re.DOTALL | re.MULTILINE,
)

Key = tuple[str, str]


def visible(accounts: Accounts) -> Counter[Key]:
    """Every message that a reader finds, by Message-ID and recipient; AssertionError where one is not whole."""
    found: Counter[Key] = Counter()
    for address in RECIPIENTS:
        for content in accounts.messages(address):
            match = _FIELDS.match(content)
            assert match is not None, content[:300]
            body = content[match.end() :].replace(b"\n", b"\r\n")
            assert hashlib.sha256(body).hexdigest().encode() == match["digest"], "half a message"
            assert address == match["path"].decode()
            found[match["id"].decode(), address] += 1
    return found


async def load_and_kill(server: Pymta, sent: Sent, random: Random, name: str) -> None:
    swarm = Swarm(server.port, name, sent, random)
    running = asyncio.create_task(swarm.run())
    await asyncio.wait_for(swarm.first_accepted.wait(), 20)
    await asyncio.wait({running}, timeout=random.uniform(KILL_S_MIN, KILL_S_MAX))
    server.kill()
    await asyncio.wait_for(running, 20)


def kill_and_start(folder: Path, random: Random, rounds: int) -> None:
    accounts = Accounts(folder / "data")
    accounts.add(*RECIPIENTS)
    server = Pymta(
        folder,
        queue={"retry_s_min": 1, "retry_s_max": 1},
        spool={"segment_octets": 2 << 20, "spill_octets": 64 << 10},
    )
    sent = Sent()
    try:
        for number in range(rounds):
            asyncio.run(load_and_kill(server, sent, random, str(number)))
            visible(accounts)
            server.start()
        server.wait_queue_empty(limit_s=60)
        assert 0 == server.stop()
    finally:
        server.kill()

    found = visible(accounts)
    twice = sum(count - 1 for count in found.values())
    print(f"{sent.messages_accepted} messages got their 250 in {rounds} rounds, {twice} copies more than one")
    assert set() == sent.accepted - found.keys(), "lost"
    assert set() == found.keys() - sent.accepted - sent.unanswered, "never sent"
    assert twice <= rounds * IN_HAND_MAX
    assert rounds * 5 < sent.messages_accepted, "hardly any load"
    assert [] == server.events("trouble")
    assert [] == server.events("report")


@pytest.mark.timeout(240)
def test_what_got_its_250_is_in_its_mailbox_and_nothing_half_is_visible(
    tmp_path: Path, random: Random
) -> None:
    kill_and_start(tmp_path / "server", random, 12)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_what_got_its_250_is_in_its_mailbox_after_five_hundred_kills(tmp_path: Path, random: Random) -> None:
    kill_and_start(tmp_path / "server", random, 500)
