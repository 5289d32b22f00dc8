"""
Who asks at the same time shares one flight; nobody's end is another's.
"""

import asyncio

import pytest

from pymta.dns.flight import SingleFlight, TooManyFlights


class Tower:
    """Starts flights that land when they are told to."""

    def __init__(self) -> None:
        self.started_count = 0
        self.landing: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def fly(self) -> str:
        self.started_count += 1
        return await asyncio.shield(self.landing)


async def test_all_askers_get_the_one_result() -> None:
    flights: SingleFlight[str, str] = SingleFlight(1)
    tower = Tower()
    askers = [asyncio.create_task(flights.share("key", tower.fly)) for _ in range(3)]
    await asyncio.sleep(0)

    tower.landing.set_result("here")

    assert ["here"] * 3 == await asyncio.gather(*askers)
    assert (1, 0) == (tower.started_count, len(flights))


async def test_a_later_asker_starts_anew() -> None:
    flights: SingleFlight[str, str] = SingleFlight(1)
    tower = Tower()
    tower.landing.set_result("here")

    await flights.share("key", tower.fly)
    await flights.share("key", tower.fly)

    assert 2 == tower.started_count


async def test_the_flight_goes_on_when_every_asker_is_gone() -> None:
    """What was asked is still worth remembering: the query is out already."""
    flights: SingleFlight[str, str] = SingleFlight(1)
    tower = Tower()
    asker = asyncio.create_task(flights.share("key", tower.fly))
    await asyncio.sleep(0)
    asker.cancel()
    await asyncio.gather(asker, return_exceptions=True)

    late = asyncio.create_task(flights.share("key", tower.fly))
    await asyncio.sleep(0)
    tower.landing.set_result("here")

    assert "here" == await late
    assert 1 == tower.started_count


async def test_an_error_reaches_every_asker_and_is_not_kept() -> None:
    flights: SingleFlight[str, str] = SingleFlight(1)
    tower = Tower()
    askers = [asyncio.create_task(flights.share("key", tower.fly)) for _ in range(2)]
    await asyncio.sleep(0)

    tower.landing.set_exception(OSError("no network"))

    for asker in askers:
        with pytest.raises(OSError, match="no network"):
            await asker
    assert 0 == len(flights)


async def test_one_flight_too_many_is_refused() -> None:
    flights: SingleFlight[str, str] = SingleFlight(1)
    tower = Tower()
    first = asyncio.create_task(flights.share("key", tower.fly))
    await asyncio.sleep(0)

    with pytest.raises(TooManyFlights):
        await flights.share("other", tower.fly)

    await flights.aclose()
    with pytest.raises(asyncio.CancelledError):
        await first
