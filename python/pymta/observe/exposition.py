"""
The numbers as Prometheus wants them: a collector for prometheus_client, which does the format.

Nothing is counted here. What the spool and the log count themselves is asked for at the scrape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from pymta.observe.metrics import SOURCES, Metrics

__all__ = ["CONTENT_TYPE", "Exposition"]

PREFIX: Final = "pymta_"
CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_1_0_0

_STATES: Final = ("incoming", "active", "deferred", "hold", "corrupt")
_DNS: Final = {
    "entries": "dns_cache_entries",
    "hits": "dns_cache_hits",
    "misses": "dns_cache_misses",
    "evictions": "dns_cache_evictions",
    "queries": "dns_queries",
    "waiting": "dns_waiting",
}
_SPOOL: Final = (
    "segments",
    "disk_octets",
    "live_octets",
    "index_octets",
    "pending_octets",
    "commits",
    "commit_batches",
)


class Exposition:
    """
    Makes the text of /metrics.

    Args:
        metrics: What the server counts.
        version: For `pymta_build_info`.
        start_time_s: When the process started, in seconds since 1970.
        spool_stats: `Spool.stats`, or None where there is no spool.
        dns_counts: `StubResolver.cache_counts`, or None where there is no resolver.
        hop_connections: Connections to next hops that are open.
        log_lines_dropped: Asks the log's writer.
        certificates: (file, first name, end in seconds since 1970) of those that are shown to clients.
        workers: Workers by state, and how often any was started again; None where one process does all.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        version: str,
        start_time_s: float,
        spool_stats: Callable[[], Mapping[str, int]] | None = None,
        dns_counts: Callable[[], Mapping[str, int]] | None = None,
        hop_connections: Callable[[], int] = lambda: 0,
        log_lines_dropped: Callable[[], int] = lambda: 0,
        certificates: Callable[[], Iterable[tuple[str, str, float]]] = tuple,
        workers: tuple[Mapping[str, int], int] | None = None,
    ) -> None:
        self._metrics = metrics
        self._version = version
        self._start_time_s = start_time_s
        self._spool_stats = spool_stats
        self._dns_counts = dns_counts
        self._hop_connections = hop_connections
        self._log_lines_dropped = log_lines_dropped
        self._certificates = certificates
        self._workers = workers
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """All numbers as they are now, in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client asks a collector for."""
        for definition in fields(self._metrics):
            name, value = definition.name, getattr(self._metrics, definition.name)
            doc = definition.metadata["doc"]
            match definition.metadata["kind"]:
                case "counter":
                    yield CounterMetricFamily(PREFIX + name, doc, value=value)
                case "gauge":
                    yield GaugeMetricFamily(PREFIX + name, doc, value=value)
                case "counts":
                    family = CounterMetricFamily(PREFIX + name, doc, labels=[definition.metadata["label"]])
                    for label, count in value.items():
                        family.add_metric([label], count)
                    yield family
                case "histogram":
                    yield HistogramMetricFamily(
                        PREFIX + name, doc, buckets=value.buckets(), sum_value=value.sum
                    )
        yield from self._from_sources()

    def _from_sources(self) -> Iterator[Metric]:
        stats = self._spool_stats() if self._spool_stats is not None else {}
        messages = GaugeMetricFamily(
            PREFIX + "queue_messages", SOURCES["queue_messages"][1], labels=["state"]
        )
        for state in _STATES:
            if state in stats:
                messages.add_metric([state], stats[state])
        yield messages
        for name in _SPOOL:
            if name in stats:
                yield _single(f"spool_{name}", stats[name])
        for key, count in (self._dns_counts() if self._dns_counts is not None else {}).items():
            if key in _DNS:
                yield _single(_DNS[key], count)
        yield _single("hop_connections", self._hop_connections())
        yield _single("log_lines_dropped", self._log_lines_dropped())
        ends = GaugeMetricFamily(
            PREFIX + "certificate_end_time_s", SOURCES["certificate_end_time_s"][1], labels=["file", "name"]
        )
        for file, certificate_name, end_s in self._certificates():
            ends.add_metric([file, certificate_name], end_s)
        yield ends
        if self._workers is not None:
            by_state = GaugeMetricFamily(PREFIX + "workers", SOURCES["workers"][1], labels=["state"])
            for state, count in self._workers[0].items():
                by_state.add_metric([state], count)
            yield by_state
            yield _single("worker_restarts", self._workers[1])
        yield _single("start_time_s", self._start_time_s)
        info = GaugeMetricFamily(PREFIX + "build_info", SOURCES["build_info"][1], labels=["version"])
        info.add_metric([self._version], 1)
        yield info


def _single(name: str, value: float) -> Metric:
    kind, doc = SOURCES[name]
    family = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
    return family(PREFIX + name, doc, value=value)
