"""
A histogram of durations: log-linear, bounded, exact to about one percent.

Values are microseconds. Below 128 each has a bucket; above, each power of two is cut into 64. So the memory is fixed
(1,920 counters up to 9.5 hours), and a percentile is off by at most 1/64 of itself, whatever the values were.
"""

from array import array
from collections.abc import Iterator
from typing import Final

__all__ = ["US_MAX", "Histogram"]

_LINEAR_BITS: Final = 7
_STEPS: Final = 1 << (_LINEAR_BITS - 1)
US_MAX: Final = (1 << 35) - 1
"""The longest duration that is told from a longer one: 9.5 hours."""

_BUCKETS: Final = ((35 - _LINEAR_BITS) + 2) * _STEPS


def bucket_of(us: int) -> int:
    """Which bucket *us* (0 to US_MAX) is counted in."""
    shift = us.bit_length() - _LINEAR_BITS
    return us if shift <= 0 else (shift << (_LINEAR_BITS - 1)) + (us >> shift)


def highest_of(bucket: int) -> int:
    """The largest value that is counted in *bucket*: a percentile never says less than was measured."""
    if bucket < 2 * _STEPS:
        return bucket
    shift = bucket // _STEPS - 1
    return ((bucket - (shift << (_LINEAR_BITS - 1)) + 1) << shift) - 1


class Histogram:
    """Counts durations."""

    __slots__ = ("_counts", "count", "max_us", "min_us", "sum_us")

    def __init__(self) -> None:
        self._counts = array("Q", bytes(8 * _BUCKETS))
        self.count = 0
        self.sum_us = 0
        self.min_us = 0
        self.max_us = 0

    def record_ns(self, ns: int) -> None:
        """Count one duration, in nanoseconds; what is negative or too long counts as the nearest that is not."""
        us = ns // 1000
        if us > US_MAX:
            us = US_MAX
        elif us < 0:
            us = 0
        # `bucket_of`, written out: this runs four times a message.
        shift = us.bit_length() - _LINEAR_BITS
        self._counts[us if shift <= 0 else (shift << (_LINEAR_BITS - 1)) + (us >> shift)] += 1
        if not self.count or us < self.min_us:
            self.min_us = us
        if us > self.max_us:
            self.max_us = us
        self.count += 1
        self.sum_us += us

    @property
    def mean_us(self) -> float:
        """The mean, exact; 0 where nothing was counted."""
        return self.sum_us / self.count if self.count else 0.0

    def percentiles_us(self, shares: tuple[float, ...]) -> list[int]:
        """
        For each of *shares* (0 to 1, ascending) the least duration that so large a share was not longer than.

        All 0 where nothing was counted.
        """
        if not self.count:
            return [0] * len(shares)
        found: list[int] = []
        seen = 0
        for bucket, counted in self._counted():
            seen += counted
            while len(found) < len(shares) and seen >= shares[len(found)] * self.count:
                found.append(max(self.min_us, min(highest_of(bucket), self.max_us)))
            if len(found) == len(shares):
                break
        return found

    def _counted(self) -> Iterator[tuple[int, int]]:
        return ((bucket, counted) for bucket, counted in enumerate(self._counts) if counted)
