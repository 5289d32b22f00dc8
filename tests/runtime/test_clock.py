"""
The date is set while messages wait: none of them is taken for older than it is.
"""

from hypothesis import given
from hypothesis import strategies as st

from pymta.runtime.clock import Steps

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
START_MS = 1_800_000_000_000


class SetClock:
    """A clock whose date can be set."""

    def __init__(self) -> None:
        self.elapsed = 0
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return START_MS + self.elapsed + self.ahead_ms

    def monotonic(self) -> float:
        return self.elapsed / 1000

    def elapsed_ms(self) -> int:
        return self.elapsed


def watched() -> tuple[SetClock, Steps, list[int]]:
    clock, steps = SetClock(), list[int]()
    return clock, Steps(clock, steps.append), steps


def test_a_step_forward_makes_nothing_older() -> None:
    clock, steps, told = watched()
    spooled_at_ms = clock.now_ms()
    clock.elapsed += 5 * MINUTE_MS
    clock.ahead_ms = 10 * DAY_MS

    assert 5 * MINUTE_MS == clock.now_ms() - steps.moved(spooled_at_ms)
    assert [10 * DAY_MS] == told
    later_ms = clock.now_ms()
    clock.elapsed += MINUTE_MS
    assert MINUTE_MS == clock.now_ms() - steps.moved(later_ms), "what came since is as old as the clock says"


def test_a_step_that_is_taken_back_leaves_nothing_behind() -> None:
    clock, steps, told = watched()
    spooled_at_ms = clock.now_ms()
    clock.ahead_ms = 10 * DAY_MS
    steps.look()
    clock.ahead_ms = 0
    clock.elapsed += 6 * DAY_MS

    assert 6 * DAY_MS == clock.now_ms() - steps.moved(spooled_at_ms)
    assert [10 * DAY_MS, -10 * DAY_MS] == told


def test_a_clock_that_is_slowly_put_right_is_no_step() -> None:
    clock, steps, told = watched()
    spooled_at_ms = clock.now_ms()
    for _ in range(100):
        clock.elapsed += 1000
        clock.ahead_ms += 5000
        steps.look()

    assert [] == told
    assert spooled_at_ms == steps.moved(spooled_at_ms)


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(-20 * DAY_MS, 20 * DAY_MS), st.integers(0, DAY_MS)), max_size=40
    )
)
def test_nothing_is_ever_taken_for_older_than_it_is(events: list[tuple[bool, int, int]]) -> None:
    """
    Whatever the date is set to and how often; it may be taken for younger. Steps of less than a minute count as time.
    """
    clock, steps, _ = watched()
    spooled: list[tuple[int, int]] = []
    small_ms = 0
    for comes, step_ms, passes_ms in events:
        if comes:
            spooled.append((clock.now_ms(), clock.elapsed))
        else:
            clock.ahead_ms += step_ms
            small_ms += abs(step_ms) if abs(step_ms) < MINUTE_MS else 0
        steps.look()
        clock.elapsed += passes_ms
        for spooled_at_ms, elapsed in spooled:
            age_ms = clock.now_ms() - steps.moved(spooled_at_ms)
            assert age_ms <= clock.elapsed - elapsed + small_ms
