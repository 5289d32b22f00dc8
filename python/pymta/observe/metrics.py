"""
The numbers: plain integers that are added to where things happen, read when somebody scrapes.

`metrics.messages_accepted += 1` is all that the hot path pays. Each number is defined once, with its documentation;
docs/metrics.md is generated from here. How they are shown to Prometheus is `exposition.py`.
"""

# ruff: noqa: RUF009 - the functions below are dataclasses.field with the metric's documentation

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Counts", "Histogram", "Metrics"]

SECONDS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
)
"""Upper bounds for what a person waits for: a commit, a hook, a look-up, a delivery."""

AGES_S: Final = (0.01, 0.05, 0.25, 1.0, 5.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 14400.0, 86400.0, 432000.0)
"""Upper bounds for the time from durable to done."""

OCTETS: Final = (1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)

KEYS_MAX: Final = 64
"""Different label values of one metric; what comes later is counted as "other"."""


class Counts:
    """
    A counter for each value of one label. Bounded: a value that a peer could choose must not be one, and if it
    is by mistake, only `KEYS_MAX` of them get a line.
    """

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, value: str, count: int = 1) -> None:
        """Count *count* more for *value*."""
        counts = self._counts
        if value in counts:
            counts[value] += count
        elif len(counts) < KEYS_MAX:
            counts[value] = count
        else:
            counts["other"] = counts.get("other", 0) + count

    def items(self) -> list[tuple[str, int]]:
        """(value, count) in order of value."""
        return sorted(self._counts.items())

    def add_all(self, other: Counts) -> None:
        """Count all that *other* has counted, too."""
        for value, count in other.items():
            self.add(value, count)

    def __getitem__(self, value: str) -> int:
        return self._counts.get(value, 0)


class Histogram:
    """How often a measured value was not above each of some bounds."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one measurement; a clock that went back counts as 0."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value if value > 0 else 0.0

    def add_all(self, other: Histogram) -> None:
        """Count all that *other* has counted, too; it has the same bounds."""
        self._counts = [mine + more for mine, more in zip(self._counts, other._counts, strict=True)]
        self.sum += other.sum

    @property
    def count(self) -> int:
        return sum(self._counts)

    def buckets(self) -> list[tuple[str, int]]:
        """(upper bound as text, measurements not above it), the last one for "+Inf"."""
        total, result = 0, []
        for bound, count in zip((*self._bounds, None), self._counts, strict=True):
            total += count
            result.append(("+Inf" if bound is None else f"{float(bound)!r}", total))
        return result


def _counter(doc: str) -> Any:
    return field(default=0, metadata={"kind": "counter", "doc": doc})


def _gauge(doc: str) -> Any:
    return field(default=0, metadata={"kind": "gauge", "doc": doc})


def _counts(doc: str, *, label: str) -> Any:
    return field(default_factory=Counts, metadata={"kind": "counts", "doc": doc, "label": label})


def _histogram(doc: str, bounds: tuple[float, ...]) -> Any:
    return field(default_factory=lambda: Histogram(bounds), metadata={"kind": "histogram", "doc": doc})


@dataclass(slots=True, eq=False)
class Metrics:
    """
    All numbers of one process. A name here is the name there, with `pymta_` before it, and `_total` after a counter's.
    """

    # ---- accept ------------------------------------------------------------------------------------------------------
    connections_accepted: int = _counter("Connections that clients opened.")
    connections_open: int = _gauge("Sessions in progress.")
    connections_refused: Counts = _counts("Connections refused before the greeting.", label="cause")
    sessions_timed_out: int = _counter("Sessions ended because the client was silent or slow.")
    tls_handshakes: Counts = _counts("TLS handshakes with clients.", label="outcome")
    violations: Counts = _counts("Breaches of grammar, order or a limit by clients.", label="kind")
    logins: Counts = _counts("Attempts to log in that have ended.", label="outcome")
    refusals: Counts = _counts("Commands and messages refused or put off.", label="stage")
    messages_accepted: int = _counter("Messages that are durable and got their 250.")
    recipients_accepted: int = _counter("Recipients of those messages.")
    octets_accepted: int = _counter("Octets of content of those messages.")
    messages_held: int = _counter("Messages that policy put on hold.")
    messages_discarded: int = _counter("Messages that policy accepted and threw away.")
    message_octets: Histogram = _histogram("Size of accepted messages.", OCTETS)
    accept_s: Histogram = _histogram("From the end of the content to the 250.", SECONDS)

    # ---- access ------------------------------------------------------------------------------------------------------
    messages_retrieved: int = _counter("Messages that readers fetched whole.")
    messages_deleted: int = _counter("Messages that readers removed.")
    maildrops_refused: Counts = _counts("Inboxes that could not be opened for a reader.", label="cause")
    imap_commands: Counts = _counts("Commands of IMAP about mailboxes.", label="name")
    imap_command_s: Histogram = _histogram("From such a command to the end of its answer.", SECONDS)
    imap_idle: int = _gauge("Sessions that wait for mail with IDLE.")
    imap_notices: int = _counter("Times that one of those was told of changes.")
    imap_appends: int = _counter("APPENDs and REPLACEs that were answered OK.")

    # ---- policy ------------------------------------------------------------------------------------------------------
    hook_failures: Counts = _counts("Hooks that raised or took too long.", label="hook")
    policy_reloads: Counts = _counts("Loads of the policy script.", label="outcome")

    # ---- queue and delivery ------------------------------------------------------------------------------------------
    deliveries: Counts = _counts(
        "Outcomes for recipients: delivered, deferred, failed, expired.", label="outcome"
    )
    attempt_s: Histogram = _histogram(
        "One transaction with a next hop, from MAIL to the last reply.", SECONDS
    )
    age_s: Histogram = _histogram("From durable to the end of the last recipient.", AGES_S)
    messages_done: int = _counter("Messages that left the queue.")
    reports_made: Counts = _counts("DSNs made.", label="action")
    sites_suspended: int = _counter("Times that a site was suspended after connections to it failed.")

    # ---- ourselves ---------------------------------------------------------------------------------------------------
    commits_failed: int = _counter(
        "Messages that the spool could not make durable; their senders were told 451 or 452."
    )
    acme_orders: Counts = _counts(
        "Certificates asked for, by what became of it: issued, failed.", label="outcome"
    )
    loop_late_s: Histogram = _histogram(
        "How late the event loop ran a timer, looked at once a second.", SECONDS
    )


SOURCES: Final[Mapping[str, tuple[str, str]]] = {
    # What others count for us and tell at the scrape: (kind, documentation) by name.
    "queue_messages": ("gauge", "Messages in the spool by state: incoming, active, deferred, hold, corrupt."),
    "spool_segments": ("gauge", "Segment files of the spool."),
    "spool_disk_octets": ("gauge", "Disk space that the spool takes."),
    "spool_live_octets": ("gauge", "The part of it that holds messages not done yet."),
    "spool_index_octets": ("gauge", "Memory of the index and the schedule."),
    "spool_pending_octets": ("gauge", "Octets that wait to be written."),
    "spool_commits": ("counter", "Messages made durable."),
    "spool_commit_batches": ("counter", "Times that the disk was synced for them."),
    "hop_connections": ("gauge", "Connections to next hops that are open."),
    "dns_cache_entries": ("gauge", "DNS answers that are kept."),
    "dns_cache_hits": ("counter", "DNS look-ups that the cache answered."),
    "dns_cache_misses": ("counter", "DNS look-ups that it did not."),
    "dns_cache_evictions": ("counter", "Answers that were forgotten for want of room."),
    "dns_queries": ("counter", "Questions sent to DNS servers."),
    "dns_waiting": ("gauge", "Questions to DNS servers that wait for an answer."),
    "certificate_end_time_s": (
        "gauge",
        "When a certificate that is shown to clients ends, in seconds since 1970, by its file and its first name.",
    ),
    "log_lines_dropped": ("counter", "Log lines that could not be written."),
    "workers": ("gauge", "Workers by state, where there are several: starting, running, waiting, given up."),
    "worker_restarts": ("counter", "Times that a worker ended and was to be started again."),
    "start_time_s": ("gauge", "When the process started, in seconds since 1970."),
    "build_info": ("gauge", "1, with the version as a label."),
}
