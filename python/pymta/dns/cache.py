"""
A bounded memory of values that each have an end: the DNS cache and the router's fast path are two of them.

It owns no clock and asks nobody: what is not there, or over, is None. Rule: never more than `entries_max` entries.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class TtlCache(Generic[K, V]):
    """Values by key until a given instant; when full, what was used longest ago goes first."""

    __slots__ = ("_entries", "_entries_max", "evicted_count", "hit_count", "missed_count")

    def __init__(self, entries_max: int) -> None:
        if entries_max < 1:
            raise ValueError("a cache holds at least one entry")
        self._entries: OrderedDict[K, tuple[int, V]] = OrderedDict()
        self._entries_max = entries_max
        self.hit_count = 0
        self.missed_count = 0
        self.evicted_count = 0

    def get(self, key: K, now_ms: int) -> V | None:
        """The value, or None where there is none whose end is after *now_ms*."""
        entry = self._entries.get(key)
        if entry is None:
            self.missed_count += 1
            return None
        expires_ms, value = entry
        if expires_ms <= now_ms:
            del self._entries[key]
            self.missed_count += 1
            return None
        self._entries.move_to_end(key)
        self.hit_count += 1
        return value

    def put(self, key: K, value: V, expires_ms: int) -> None:
        """Keep *value* until *expires_ms*, in place of what the key had."""
        self._entries[key] = (expires_ms, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._entries_max:
            self._entries.popitem(last=False)
            self.evicted_count += 1

    def clear(self) -> None:
        """Forget everything; the counters stay."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)
