"""
Numbers of several processes as one: what counts adds up for ever, what measures the moment only while its process lives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

from pymta.observe.metrics import SOURCES, Metrics

__all__ = ["Counted", "total"]


@dataclass(slots=True)
class Counted:
    """All numbers of one process, as they were at one moment."""

    metrics: Metrics = field(default_factory=Metrics)
    spool_stats: Mapping[str, int] = field(default_factory=dict)
    dns_counts: Mapping[str, int] = field(default_factory=dict)
    hop_connections: int = 0
    log_lines_dropped: int = 0

    def retired(self) -> Counted:
        """What stays of a process that has ended: without it a sum would go back, which no counter may."""
        kept = total([self])
        for definition in fields(kept.metrics):
            if definition.metadata["kind"] == "gauge":
                setattr(kept.metrics, definition.name, 0)
        return Counted(
            metrics=kept.metrics,
            spool_stats=_counters(self.spool_stats, "spool_"),
            dns_counts=_counters(self.dns_counts, "dns_cache_") | _counters(self.dns_counts, "dns_"),
            log_lines_dropped=self.log_lines_dropped,
        )


def total(parts: Iterable[Counted]) -> Counted:
    """The sum of *parts*, none of which it changes."""
    metrics = Metrics()
    spool_stats: Counter[str] = Counter()
    dns_counts: Counter[str] = Counter()
    result = Counted(metrics, spool_stats, dns_counts)
    for part in parts:
        for definition in fields(metrics):
            name = definition.name
            value = getattr(part.metrics, name)
            if definition.metadata["kind"] in ("counter", "gauge"):
                setattr(metrics, name, getattr(metrics, name) + value)
            else:
                getattr(metrics, name).add_all(value)
        spool_stats.update(part.spool_stats)
        dns_counts.update(part.dns_counts)
        result.hop_connections += part.hop_connections
        result.log_lines_dropped += part.log_lines_dropped
    return result


def _counters(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    """Those of *counts* that are counters and no gauges, as the documentation of the metrics has it."""
    return {
        name: value for name, value in counts.items() if SOURCES.get(prefix + name, ("", ""))[0] == "counter"
    }
