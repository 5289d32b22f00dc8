"""
How much a site may be asked at once: adaptive concurrency, rate, suspension with back-off. Numbers only.

No sockets, no messages, no clock: instants are arguments, in seconds of the loop's monotonic time.
"""

from pymta.config.settings.delivery import DeliverySettings

__all__ = ["AdaptiveLimit", "RateLimit", "ReadyLimit", "Suspension"]


# Who has waited as long as told has a token, whatever fractions do.
ALMOST_ONE = 1.0 - 1e-9


class AdaptiveLimit:
    """
    How many connections a site gets: one more for each round of successes, half when it says it is too much.

    Additive increase, multiplicative decrease, as TCP does, because a receiver's limit is unknown and changes.
    """

    __slots__ = ("_connections_now", "_max")

    def __init__(self, start: int, connections_max: int) -> None:
        self._connections_now = float(min(start, connections_max))
        self._max = float(connections_max)

    @property
    def connections_max(self) -> int:
        """Connections allowed now; at least 1."""
        return int(self._connections_now)

    def succeeded(self) -> None:
        """A delivery went well."""
        if self._connections_now < self._max:
            self._connections_now = min(self._connections_now + 1.0 / self._connections_now, self._max)

    def pushed_back(self) -> None:
        """The site said 421, or took too long."""
        self._connections_now = max(self._connections_now / 2.0, 1.0)


class RateLimit:
    """A token bucket that holds at most a second's worth, so that a minute's rate is not spent in a burst."""

    __slots__ = ("_at_s", "_per_s", "_tokens")

    def __init__(self, per_min_max: int) -> None:
        self._per_s = per_min_max / 60.0
        self._tokens = max(self._per_s, 1.0)
        self._at_s = 0.0

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all."""
        return self._per_s > 0

    def wait_s(self, now_s: float) -> float:
        """0 where one may go now (and counts it); else how long to wait."""
        if self._per_s == 0:
            return 0.0
        burst = max(self._per_s, 1.0)
        self._tokens = min(burst, self._tokens + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._tokens > ALMOST_ONE:
            self._tokens = max(self._tokens - 1.0, 0.0)
            return 0.0
        return (1.0 - self._tokens) / self._per_s


class ReadyLimit:
    """
    How many messages a site may have in hand, and how long those wait that are one too many.

    A site that does not get to its mail while all else waits for room gets a quarter of what it had, and doubles its
    wait; one that has got through all that it had may soon have as much as any.
    """

    __slots__ = ("_settings", "messages_max", "wait_s")

    def __init__(self, settings: DeliverySettings) -> None:
        self._settings = settings
        self.messages_max = settings.ready_max
        self.wait_s = float(settings.suspend_s_min)

    def overstayed(self, ready_count: int) -> float:
        """
        Some of *ready_count* messages have waited for too long.

        Returns:
            For how long they are to go back to the schedule, in seconds.
        """
        wait_s = self.wait_s
        self.messages_max = max(min(ready_count, self.messages_max) // 4, 1)
        self.wait_s = min(wait_s * 2.0, float(self._settings.suspend_s_max))
        return wait_s

    def got_through(self) -> None:
        """Nothing is ready any more; asked about once a second."""
        if self.messages_max < self._settings.ready_max:
            self.messages_max = min(self.messages_max * 2, self._settings.ready_max)
            self.wait_s = float(self._settings.suspend_s_min)


class Suspension:
    """After connection failures in a row nothing is tried for a while, which doubles with each further failure."""

    __slots__ = ("_failures", "_settings", "until_s")

    def __init__(self, settings: DeliverySettings) -> None:
        self._settings = settings
        self._failures = 0
        self.until_s = 0.0

    def failed(self, now_s: float) -> float:
        """
        No host of the site could be used.

        Returns:
            For how long the site is left alone, in seconds; 0 where it may be tried again at once.
        """
        settings = self._settings
        self._failures += 1
        beyond = self._failures - settings.suspend_after_failures
        if beyond < 0:
            return 0.0
        # The exponent is bounded, because a site may be dead for years.
        wait_s = min(settings.suspend_s_min * 2.0 ** min(beyond, 32), float(settings.suspend_s_max))
        self.until_s = now_s + wait_s
        return wait_s

    def succeeded(self) -> None:
        """A connection got through."""
        self._failures = 0
        self.until_s = 0.0

    def lift(self) -> None:
        """An operator wants it tried now; the count of failures stays."""
        self.until_s = 0.0
