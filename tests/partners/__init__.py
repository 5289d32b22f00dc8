"""
The real programs that pymta is tried against: each starts as an instance of its own, on loopback, in a folder of its own.

Not fakes (those are `pymta.testing`) and not fixtures (tests/conftest.py has them). Rule: every partner has a test of its
own that shows it doing, without pymta, what other tests rely on; every wait has a limit and a condition.
"""
