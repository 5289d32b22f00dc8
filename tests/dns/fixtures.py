"""
Fixtures of the tests that need a DNS: one Knot for all tests of a process; each test has its own resolver and clock.

They are made known by conftest.py here and in tests/route.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pymta.dns import ResolverSettings, StubResolver
from tests.dns import zones
from tests.partners.dns import Knot


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms

    def forward(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def knot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Knot]:
    """Authoritative for the zones of zones.py."""
    folder: Path = tmp_path_factory.mktemp("knot")
    with Knot(folder, zones.ZONES, broken=zones.BROKEN, negative_ttl_s=zones.NEGATIVE_TTL_S) as running:
        yield running


@pytest.fixture
def make_resolver(knot: Knot, clock: Clock) -> Callable[..., StubResolver]:
    """A resolver that asks *knot*; keyword arguments are `ResolverSettings`."""

    def make(**settings: object) -> StubResolver:
        told = {"servers": ((knot.address, knot.port),), "timeout_s": 2.0, "lookup_s_max": 5.0, **settings}
        return StubResolver(ResolverSettings(**told), now_ms=clock)

    return make


@pytest.fixture
def resolver(make_resolver: Callable[..., StubResolver]) -> StubResolver:
    return make_resolver()
