"""
The memory of decisions: complete for the latest, bounded for all.
"""

from pymta.observe.trace import Trace


def test_decisions_about_a_message_come_back_in_order() -> None:
    trace = Trace()
    trace.note("a", 1, "policy", "accept")
    trace.note("b", 2, "route", "mx")
    trace.note("a", 3, "route", "smtp", "rule 2")

    assert [(1, "policy", "accept", ""), (3, "route", "smtp", "rule 2")] == [
        tuple(d[1:]) for d in trace.about("a")
    ]
    assert [] == trace.about("c")


def test_it_forgets_the_oldest_and_cuts_the_long() -> None:
    trace = Trace(decisions_max=3)
    for number in range(10):
        trace.note("a", number, "who", "what", "x" * 10_000)

    assert [7, 8, 9] == [decision.at_ms for decision in trace.about("a")]
    assert all(len(decision.why) <= 512 for decision in trace.about("a"))
