"""A clock that a test owns. It stands still until it is told otherwise."""

__all__ = ["FakeClock"]


class FakeClock:
    """
    Milliseconds since 1970 UTC, from `clock()` or `clock.now_ms`; seconds for durations from `clock.monotonic()`.

    Give the clock itself where a `Callable[[], int]` is wanted.
    """

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self.now_ms = now_ms
        self._began_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return (self.now_ms - self._began_ms) / 1000

    def advance(self, seconds: float) -> None:
        """Let time pass; it never goes back."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self.now_ms += round(seconds * 1000)
