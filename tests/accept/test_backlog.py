"""
The system's backlog: who waits there is taken soon, and left there while accepting pauses.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import cast

import pytest
import uvloop

from pymta.accept.backlog import WATCHERS, Backlog

CLIENTS = 3 * WATCHERS
# The first look, the servers' own steps and the last connection's.
TURNS_MORE = 4

Waiting = tuple[Backlog, list[asyncio.Transport]]


class Taken(asyncio.Protocol):
    """Says that it was made."""

    def __init__(self, taken: list[asyncio.Transport]) -> None:
        self._taken = taken

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._taken.append(self._transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._taken.remove(self._transport)


@asynccontextmanager
async def waiting(count: int) -> AsyncIterator[Waiting]:
    """A backlog in which so many clients wait, and the list of those that are taken."""
    taken: list[asyncio.Transport] = []
    with ExitStack() as stack:
        bound = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=count))
        bound.setblocking(False)
        for _ in range(count):
            stack.enter_context(socket.create_connection(bound.getsockname()))
        backlog = Backlog(bound, lambda: Taken(taken), clients_max=count)
        try:
            yield backlog, taken
        finally:
            backlog.close()
            for transport in taken:
                transport.abort()
            while taken:  # noqa: ASYNC110 - a turn or two
                await asyncio.sleep(0)


async def turns_until(taken: list[asyncio.Transport], count: int, *, turns_max: int) -> int:
    """How many turns of the loop go by until so many are taken."""
    turns = 0
    while len(taken) < count and turns < turns_max:
        await asyncio.sleep(0)
        turns += 1
    return turns


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_those_who_wait_together_are_taken_together(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """
    With one a turn the loop would go round once for each client, however much it has to do for the others.
    """

    async def take_all() -> int:
        async with waiting(CLIENTS) as (backlog, taken):
            await backlog.resume()
            turns = await turns_until(taken, CLIENTS, turns_max=CLIENTS * 2)
            assert CLIENTS == len(taken)
            return turns

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(take_all()) <= CLIENTS / WATCHERS + TURNS_MORE


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_pause_leaves_clients_where_they_are(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """
    They are neither taken nor reset, and those that are in stay.
    """

    async def pause_and_go_on() -> None:
        async with waiting(CLIENTS) as (backlog, taken):
            await backlog.resume()
            await turns_until(taken, 1, turns_max=CLIENTS)
            backlog.pause()
            await turns_until(
                taken, CLIENTS, turns_max=TURNS_MORE
            )  # uvloop tells a turn later of whom it took
            inside = len(taken)
            await turns_until(taken, inside + 1, turns_max=CLIENTS)
            assert inside == len(taken)
            await backlog.resume()
            await backlog.resume()  # twice is as good as once
            await turns_until(taken, CLIENTS, turns_max=CLIENTS * 2)
            assert CLIENTS == len(taken)
            assert not any(transport.is_closing() for transport in taken)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(pause_and_go_on())
