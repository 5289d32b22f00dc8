"""
The first rule in the file that matches is taken, whatever its form.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymta.config.values import DomainPattern
from pymta.route import RouteTable, Rule


@pytest.mark.parametrize(
    ("domain", "pattern"),
    [
        ("example.org", "example.org"),
        ("sub.example.org", ".example.org"),
        ("a.sub.example.org", ".example.org"),
        ("other.org", "*"),
        ("notexample.org", "*"),
        ("[192.0.2.1]", "*"),
    ],
)
def test_exactly_below_or_all(domain: str, pattern: str) -> None:
    table = RouteTable([Rule(pattern="example.org"), Rule(pattern=".example.org"), Rule(pattern="*")])

    found = table.find(domain)

    assert found is not None
    assert pattern == found.pattern


def test_an_empty_table_has_nothing() -> None:
    assert None is RouteTable().find("example.org")
    assert None is RouteTable([Rule(pattern="example.org")]).find("sub.example.org")


labels = st.sampled_from(["a", "b", "c"])
domains = st.lists(labels, min_size=1, max_size=4).map(".".join)
patterns = st.one_of(domains, domains.map(lambda domain: f".{domain}"), st.just("*"))


@given(st.lists(patterns, max_size=8), domains)
def test_it_agrees_with_reading_the_file_from_the_top(written: list[str], domain: str) -> None:
    expected = next((pattern for pattern in written if DomainPattern.parse(pattern).matches(domain)), None)

    found = RouteTable([Rule(pattern=pattern) for pattern in written]).find(domain)

    assert expected == (found.pattern if found else None)
