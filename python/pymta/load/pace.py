"""
When the next message is due, and how many are left: pure, the clock is an argument.

Closed loop: one is due whenever a connection is free. Open loop: message number i is due at i / rate, and stays due
however late a connection is free for it, so that its latency holds the time that it waited for one. A generator that
sent it late and measured from then would hide exactly the moments at which the server was slow (coordinated omission).
"""

__all__ = ["Pace"]

_NS = 1_000_000_000


class Pace:
    """Hands out the messages of a run. Instants are nanoseconds of a monotonic clock."""

    __slots__ = ("_began_ns", "_count_max", "_ends_ns", "_rate_per_s", "taken")

    def __init__(
        self, began_ns: int, *, messages_max: int | None, duration_s: float | None, rate_per_s: float | None
    ) -> None:
        self._began_ns = began_ns
        self._rate_per_s = rate_per_s
        self._ends_ns = None if duration_s is None else began_ns + int(duration_s * _NS)
        if rate_per_s is not None and duration_s is not None:
            # Open loop: what falls due within the duration, even if it is sent after it.
            due_count = max(1, int(duration_s * rate_per_s))
            messages_max = due_count if messages_max is None else min(messages_max, due_count)
        self._count_max = messages_max
        self.taken = 0
        """Messages handed out so far."""

    @property
    def planned(self) -> int | None:
        """How many messages there are in all; None where only the time decides."""
        return self._count_max

    def left(self, now_ns: int) -> int:
        """How many messages could be taken until the end; as good as endless where only the time decides."""
        if self._rate_per_s is None and self._ends_ns is not None and now_ns >= self._ends_ns:
            return 0
        if self._count_max is None:
            return 1 << 62
        return self._count_max - self.taken

    def due(self, now_ns: int) -> int:
        """How many may be taken now."""
        left = self.left(now_ns)
        if self._rate_per_s is None or left <= 0:
            return left
        fallen_due = int((now_ns - self._began_ns) * self._rate_per_s / _NS) + 1
        return min(left, fallen_due - self.taken)

    def take(self, now_ns: int) -> int | None:
        """The next message: when it was due, from which its latency counts. None where none is due now."""
        if self.due(now_ns) <= 0:
            return None
        number = self.taken
        self.taken = number + 1
        if self._rate_per_s is None:
            return now_ns
        return self._began_ns + int(number * _NS / self._rate_per_s)

    def next_due_ns(self) -> int | None:
        """Open loop: when the next message that was not taken falls due; None where there is none."""
        if self._rate_per_s is None or (self._count_max is not None and self.taken >= self._count_max):
            return None
        return self._began_ns + int(self.taken * _NS / self._rate_per_s)

    @property
    def ends_ns(self) -> int | None:
        """Closed loop with a duration: when no more is taken."""
        return self._ends_ns if self._rate_per_s is None else None
