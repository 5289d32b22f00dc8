"""
The next hop of this folder's tests: the counting sink of `pymta selfcheck`, and what it wrote down.
"""

from typing import NamedTuple

from pymta.selfcheck.arrivals import Arrivals
from tests.partners.waiting import wait_until


class Hop(NamedTuple):
    """Where it listens, and what came."""

    port: int
    arrivals: Arrivals

    def wait_arrivals(self, count: int, *, limit_s: float = 40) -> None:
        """Return when so many recipients have something."""
        wait_until(lambda: len(self.arrivals.read().by_key) >= count, f"{count} arrivals", limit_s=limit_s)
