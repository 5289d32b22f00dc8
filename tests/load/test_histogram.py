"""
The histogram: every duration has a bucket, and a percentile is off by at most a sixty-fourth.
"""

from hypothesis import given
from hypothesis import strategies as st

from pymta.load.histogram import US_MAX, Histogram, bucket_of, highest_of


def histogram_of(*us: int) -> Histogram:
    histogram = Histogram()
    for value in us:
        histogram.record_ns(value * 1000)
    return histogram


@given(st.integers(0, US_MAX))
def test_a_value_is_in_its_bucket_and_near_its_end(us: int) -> None:
    """The bucket's largest value is never less, and at most a sixty-fourth more."""
    highest = highest_of(bucket_of(us))

    assert us <= highest <= us + us // 64
    assert bucket_of(us) == bucket_of(highest)


@given(st.integers(0, US_MAX - 1))
def test_buckets_follow_one_another(us: int) -> None:
    """A larger value is in the same bucket or in the next one."""
    assert bucket_of(us + 1) - bucket_of(us) in (0, 1)


@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=200))
def test_percentiles_are_those_of_the_sorted_values(values: list[int]) -> None:
    """As many values as asked for are not above the percentile, which is a value's bucket's end."""
    histogram = histogram_of(*values)
    ordered = sorted(values)
    shares = (0.0, 0.25, 0.5, 0.99, 1.0)

    for share, found in zip(shares, histogram.percentiles_us(shares), strict=True):
        exact = next(v for at, v in enumerate(ordered, 1) if at >= share * len(ordered))
        assert exact <= found <= max(exact, min(exact + exact // 64, ordered[-1]))


def test_extremes_and_mean_are_exact() -> None:
    """They are kept beside the buckets."""
    histogram = histogram_of(1000, 1001, 999_999)

    assert (1000, 999_999, 3) == (histogram.min_us, histogram.max_us, histogram.count)
    assert 334_000 == histogram.mean_us
    assert 999_999 == histogram.percentiles_us((1.0,))[0]


def test_what_is_too_long_or_negative_counts_as_the_nearest() -> None:
    """A clock that jumps neither stops a run nor leaves the array."""
    histogram = Histogram()
    histogram.record_ns(-5)
    histogram.record_ns(10**30)

    assert (0, US_MAX) == (histogram.min_us, histogram.max_us)
    assert [0, US_MAX] == histogram.percentiles_us((0.5, 1.0))


def test_nothing_counted_is_all_zeros() -> None:
    """A report of a run in which nothing happened can be made."""
    assert [0, 0] == Histogram().percentiles_us((0.5, 0.99))
    assert 0 == Histogram().mean_us
