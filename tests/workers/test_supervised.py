"""
One worker as its supervisor sees it, where it never gets far: a program that ends at once stands in for it.
"""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from pymta.app import supervised
from pymta.app.supervised import Supervised
from pymta.app.told import Assignment, Configuration
from pymta.observe.log import Log
from pymta.runtime.channel import Channel, ChannelLost, Declined, NoAnswer
from pymta.runtime.restarts import Restarts
from pymta.spool.shards import Place

ENDS = 3


class Impatient(Restarts):
    """Waits for nothing, and gives up soon."""

    def wait_s(self, ran_s: float) -> float | None:
        self.count += 1
        return None if self.count > ENDS else 0.0


def assignment(number: int, sockets: Any) -> Assignment:
    configuration = Configuration((), Path("/"), Path("/"))
    fds = tuple(one.fileno() for one in sockets)
    return Assignment(Place(number, 2), configuration, "1", "json", fds, fds[0])


@pytest.fixture
def given_up() -> list[Supervised]:
    return []


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given_up: list[Supervised]) -> Any:
    async def make() -> tuple[Supervised, socket.socket, Log]:
        monkeypatch.setattr(supervised, "Restarts", Impatient)
        monkeypatch.setattr(supervised.sys, "executable", "/bin/false")
        listening, log = socket.socket(), Log.open(file=tmp_path / "log", format="json")
        one = Supervised(
            1,
            [listening],
            assignment=assignment,
            log=log,
            tell_others=lambda *_: None,
            on_gone=lambda _: None,
            on_given_up=given_up.append,
        )
        return one, listening, log

    return make


async def test_who_ends_too_often_is_given_up_and_lets_nobody_in(
    worker: Any, given_up: list[Supervised], tmp_path: Path
) -> None:
    one, listening, log = await worker()
    one.started.set_result("")  # it did start, once

    one.start()
    async with asyncio.timeout(20):
        while not given_up:  # noqa: ASYNC110 - it is told by a callback
            await asyncio.sleep(0)
    assert [one] == given_up
    assert "given up" == one.state
    assert -1 == listening.fileno()
    assert one.why_not_ready is None
    with pytest.raises(ChannelLost, match="given up"):
        await one.ask("status")
    await one.stop(1)
    log.close()
    text = (tmp_path / "log").read_text()
    assert ENDS == text.count('"worker ended"')
    assert 1 == text.count("is given up")


async def test_who_ends_before_it_has_started_ends_the_start(worker: Any, given_up: list[Supervised]) -> None:
    one, listening, log = await worker()

    one.start()
    async with asyncio.timeout(20):
        assert "worker 1 ended with status 1 while it started" == await one.started
    assert [] == given_up
    await one.stop(1)
    log.close()
    listening.close()


async def ends(handle: Any) -> tuple[Channel, Channel, asyncio.Event]:
    """Both ends of a channel; *handle* answers at the second. The event is set when the first has lost it."""
    left, right = socket.socketpair()
    lost = asyncio.Event()
    channels = (
        Channel(left, handle=handle, on_lost=lost.set),
        Channel(right, handle=handle, on_lost=lambda: None),
    )
    for channel in channels:
        await channel.start()
    return *channels, lost


async def test_answers_find_their_questions_whatever_their_order() -> None:
    async def handle(question: str, arguments: tuple[Any, ...]) -> Any:
        for _ in range(arguments[0]):
            await asyncio.sleep(0)
        return arguments[0]

    one, other, _ = await ends(handle)
    counts = [30, 0, 7, 20, 1]
    assert counts == await asyncio.gather(*(one.ask("wait", count, wait_s_max=10) for count in counts))
    assert 5 == await other.ask("wait", 5, wait_s_max=10)
    await one.close()
    await other.close()


async def test_what_cannot_be_answered_is_told() -> None:
    async def handle(question: str, arguments: tuple[Any, ...]) -> Any:
        if question == "raise":
            raise ValueError("no such thing")
        await asyncio.Event().wait()

    one, other, lost = await ends(handle)
    with pytest.raises(Declined, match="no such thing") as declined:
        await one.ask("raise", wait_s_max=10)
    assert "ValueError" == declined.value.kind
    with pytest.raises(NoAnswer):
        await one.ask("for ever", wait_s_max=0.01)
    waiting = asyncio.ensure_future(one.ask("for ever", wait_s_max=10))
    await asyncio.sleep(0)
    await other.close()
    with pytest.raises(ChannelLost):
        await waiting
    await asyncio.wait_for(lost.wait(), 10)
    with pytest.raises(ChannelLost):
        await one.ask("raise", wait_s_max=10)
    await one.close()
