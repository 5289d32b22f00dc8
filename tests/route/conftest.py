"""The DNS fixtures of tests/dns, and routers over them."""

from collections.abc import Callable
from random import Random

import pytest

from pymta.dns import Resolver, StubResolver
from pymta.route import Ourselves, Router, RouterSettings
from tests.dns.fixtures import Clock, clock, knot, make_resolver, resolver

__all__ = ["clock", "knot", "make_resolver", "make_router", "resolver"]

# What this server is called in the zones of tests/dns/zones.py, and where it listens there.
OURSELVES = Ourselves(frozenset({"us.example.test"}), frozenset({("192.0.2.99", 25)}))


@pytest.fixture
def make_router(resolver: StubResolver, clock: Clock) -> Callable[..., Router]:
    """A router over the real DNS; keyword arguments are `RouterSettings`, and `seed` for the shuffle."""

    def make(*, over: Resolver = resolver, seed: int = 1, **settings: object) -> Router:
        told = {"ourselves": OURSELVES, **settings}
        return Router(RouterSettings(**told), over, now_ms=clock, random=Random(seed))

    return make
