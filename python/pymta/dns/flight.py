"""
Single-flight: who asks for what is already being asked for shares that answer.

It caches nothing: a flight that landed is forgotten. Rule: an asker that is cancelled, or gone, takes nothing away
from the others.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class TooManyFlights(Exception):
    """As many different questions as allowed are open already."""


class SingleFlight(Generic[K, V]):
    """Runs at most one coroutine for a key at a time, and at most *flights_max* in all."""

    __slots__ = ("_flights", "_flights_max")

    def __init__(self, flights_max: int) -> None:
        self._flights: dict[K, asyncio.Task[V]] = {}
        self._flights_max = flights_max

    def __len__(self) -> int:
        return len(self._flights)

    async def share(self, key: K, start: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """
        The result of the flight for *key*, which *start* begins where none is in the air.

        Raises:
            TooManyFlights: It would be one more than *flights_max*.
            Whatever the coroutine raises, for every asker.
        """
        flight = self._flights.get(key)
        if flight is None:
            if len(self._flights) >= self._flights_max:
                raise TooManyFlights
            flight = asyncio.create_task(start())
            self._flights[key] = flight
            flight.add_done_callback(lambda _: self._flights.pop(key, None))
        # The task belongs to nobody in particular: without the shield the first asker's cancellation would reach it.
        return await asyncio.shield(flight)

    async def aclose(self) -> None:
        """End every flight; who still waits is cancelled."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
