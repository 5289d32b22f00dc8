"""
When messages fall due: by the clock, however late a connection is free.
"""

import pytest

from pymta.load.pace import Pace

S = 1_000_000_000
T0 = 5 * S


def open_loop(**changes: float | int | None) -> Pace:
    settings = {"messages_max": 100, "duration_s": None, "rate_per_s": 10.0, **changes}
    return Pace(T0, **settings)  # type: ignore[arg-type]  # a dict of keywords


def test_open_loop_counts_from_when_a_message_was_due() -> None:
    """
    After a stall of a second, the messages that fell due meanwhile have the instants at which they should have gone.
    """
    pace = open_loop()
    assert T0 == pace.take(T0)

    late = T0 + S
    assert 10 == pace.due(late)
    assert [T0 + tenth * S // 10 for tenth in range(1, 11)] == [pace.take(late) for _ in range(10)]
    assert pace.take(late) is None
    assert T0 + 11 * S // 10 == pace.next_due_ns()


def test_open_loop_is_not_ahead_of_the_clock() -> None:
    """The second message of ten a second is not there before a tenth of a second."""
    pace = open_loop()
    pace.take(T0)

    assert pace.take(T0 + S // 10 - 1) is None
    assert T0 + S // 10 == pace.take(T0 + S // 10)


def test_open_loop_has_what_falls_due_within_the_duration() -> None:
    """And hands it out even after it, because a server that was slow still owes it."""
    pace = open_loop(messages_max=None, duration_s=0.5)
    after = T0 + 60 * S

    assert 5 == pace.planned
    assert 5 == sum(pace.take(after) is not None for _ in range(20))
    assert 0 == pace.left(after)
    assert pace.next_due_ns() is None


@pytest.mark.parametrize(
    ("messages_max", "duration_s", "planned"), [(3, 10.0, 3), (100, 0.5, 5), (7, None, 7)]
)
def test_open_loop_ends_by_count_or_duration(
    messages_max: int, duration_s: float | None, planned: int
) -> None:
    """Whichever is less."""
    assert planned == open_loop(messages_max=messages_max, duration_s=duration_s).planned


def test_closed_loop_has_one_whenever_asked_until_the_count() -> None:
    """Due is when it is taken."""
    pace = Pace(T0, messages_max=2, duration_s=None, rate_per_s=None)

    assert [T0 + 1, T0 + 9, None] == [pace.take(T0 + 1), pace.take(T0 + 9), pace.take(T0 + 10)]


def test_closed_loop_ends_at_the_duration() -> None:
    """Nothing more is begun at its end."""
    pace = Pace(T0, messages_max=None, duration_s=2.0, rate_per_s=None)

    assert pace.planned is None
    assert T0 + 2 * S - 1 == pace.take(T0 + 2 * S - 1)
    assert pace.take(T0 + 2 * S) is None
    assert 0 == pace.left(T0 + 2 * S)
