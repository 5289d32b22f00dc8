"""
The cache is bounded, forgets in time, and lets go first of what was used longest ago.
"""

from hypothesis import given
from hypothesis import strategies as st

from pymta.dns.cache import TtlCache

ENTRIES_MAX = 4
# (put or get, key, instant or lifetime): small ranges, so that keys meet and entries expire.
steps = st.lists(
    st.tuples(st.sampled_from(["put", "get"]), st.integers(0, 7), st.integers(0, 20)), max_size=60
)


@given(steps)
def test_it_agrees_with_a_slow_model(script: list[tuple[str, int, int]]) -> None:
    """The model is a list in order of use, oldest first; time goes on by one with each step."""
    cache: TtlCache[int, int] = TtlCache(ENTRIES_MAX)
    model: list[tuple[int, int, int]] = []
    for now_ms, (action, key, lifetime_ms) in enumerate(script):
        here = next((entry for entry in model if entry[0] == key), None)
        if action == "put":
            cache.put(key, now_ms, now_ms + lifetime_ms)
            model = [entry for entry in model if entry[0] != key] + [(key, now_ms, now_ms + lifetime_ms)]
            model = model[-ENTRIES_MAX:]
            continue
        expected = None
        if here is not None:
            model.remove(here)
            if here[2] > now_ms:
                model.append(here)
                expected = here[1]
        assert expected == cache.get(key, now_ms)
        assert len(model) == len(cache)


def test_an_entry_is_gone_at_its_end_not_after_it() -> None:
    cache: TtlCache[str, str] = TtlCache(1)
    cache.put("key", "value", 1_000)

    assert "value" == cache.get("key", 999)
    assert None is cache.get("key", 1_000)
    assert 0 == len(cache)
