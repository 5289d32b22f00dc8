"""
The numbers, as an independent parser reads them over real HTTP.
"""

import asyncio
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pymta.admin.http import HttpServer
from pymta.config.values import Endpoint
from pymta.observe.exposition import Exposition
from pymta.observe.metrics import KEYS_MAX, SECONDS, Counts, Histogram, Metrics

STATS = {
    "incoming": 1, "active": 2, "deferred": 3, "hold": 4, "corrupt": 0, "segments": 7, "disk_octets": 8,
    "live_octets": 9, "index_octets": 10, "commits": 11, "commit_batches": 12, "pending_octets": 13,
}  # fmt: skip


DNS = {"entries": 21, "hits": 22, "misses": 23, "evictions": 24, "queries": 25, "waiting": 26}


def exposition(metrics: Metrics) -> Exposition:
    return Exposition(
        metrics,
        version="1.2.3",
        start_time_s=1.5,
        spool_stats=lambda: STATS,
        dns_counts=lambda: DNS,
        log_lines_dropped=lambda: 5,
        certificates=lambda: [("/etc/cert.pem", "mail.example.org", 1.75e9)],
        workers=({"running": 2}, 1),
    )


async def fetch(url: str) -> tuple[int, str, bytes]:
    def ask() -> tuple[int, str, bytes]:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, "", error.read()

    return await asyncio.to_thread(ask)


class Running:
    """A server on a port of the system's choice."""

    def __init__(self, metrics: Metrics, why_not_ready: Callable[[], str | None]) -> None:
        self.trouble: list[tuple[str, str]] = []
        self.server = HttpServer(
            Endpoint("127.0.0.1", 0),
            exposition=exposition(metrics),
            why_not_ready=why_not_ready,
            on_trouble=lambda what, error: self.trouble.append((what, error)),
        )

    async def __aenter__(self) -> str:
        await self.server.start()
        return f"http://127.0.0.1:{self.server.port}"

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop()
        assert [] == self.trouble


async def scraped(metrics: Metrics) -> dict[str, Any]:
    async with Running(metrics, lambda: None) as url:
        status, content_type, body = await fetch(f"{url}/metrics")
    assert 200 == status
    assert content_type.startswith("text/plain")
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }  # type: ignore[return-value]  # keys are tuples; Any is enough here


async def test_a_scrape_has_what_was_counted() -> None:
    metrics = Metrics()
    metrics.messages_accepted += 3
    metrics.connections_open = 2
    metrics.refusals.add("rcpt")
    metrics.refusals.add("rcpt", 4)
    for value in (0.0005, 0.003, 0.003, 1000.0):
        metrics.accept_s.observe(value)

    found = await scraped(metrics)

    assert {
        ("pymta_messages_accepted_total",): 3,
        ("pymta_connections_open",): 2,
        ("pymta_refusals_total", ("stage", "rcpt")): 5,
        ("pymta_accept_s_bucket", ("le", "0.001")): 1,
        ("pymta_accept_s_bucket", ("le", "0.005")): 3,
        ("pymta_accept_s_bucket", ("le", "300.0")): 3,
        ("pymta_accept_s_bucket", ("le", "+Inf")): 4,
        ("pymta_accept_s_count",): 4,
        ("pymta_accept_s_sum",): 1000.0065,
        ("pymta_queue_messages", ("state", "hold")): 4,
        ("pymta_spool_commits_total",): 11,
        ("pymta_spool_disk_octets",): 8,
        ("pymta_dns_queries_total",): 25,
        ("pymta_log_lines_dropped_total",): 5,
        ("pymta_certificate_end_time_s", ("file", "/etc/cert.pem"), ("name", "mail.example.org")): 1.75e9,
        ("pymta_build_info", ("version", "1.2.3")): 1,
    }.items() <= found.items()


async def test_every_documented_metric_is_there_and_no_other() -> None:
    from pymta.observe.metrics_reference import page

    metrics = Metrics()
    for name in Metrics.__dataclass_fields__:
        value = getattr(metrics, name)
        if isinstance(value, Counts):
            value.add("x")
    documented = {line.split("`")[1] for line in page().splitlines() if line.startswith("| `")}

    names = {key[0] for key in await scraped(metrics)}

    for suffix in ("_bucket", "_sum", "_count"):
        names = {name.removesuffix(suffix) for name in names}
    assert documented == names


def test_every_metric_is_counted_by_somebody() -> None:
    """
    A number that nobody adds to would say that nothing happened.
    """
    package = Path(__file__).parents[2] / "python/pymta"
    counting = "".join(file.read_text() for file in package.rglob("*.py") if "observe" not in file.parts)

    uncounted = [
        name for name in Metrics.__dataclass_fields__ if not re.search(rf"metrics\.{name}\b", counting)
    ]

    assert [] == uncounted


async def test_health_and_readiness() -> None:
    reasons: list[str | None] = [None, "stopping"]
    async with Running(Metrics(), lambda: reasons.pop(0)) as url:
        assert (200, b"ready\n") == (await fetch(f"{url}/ready"))[::2]
        assert (503, b"stopping\n") == (await fetch(f"{url}/ready"))[::2]
        assert (200, b"ok\n") == (await fetch(f"{url}/health"))[::2]
        assert 404 == (await fetch(f"{url}/etc/passwd"))[0]


async def test_rubbish_on_the_http_port_hurts_nobody() -> None:
    async with Running(Metrics(), lambda: None) as url:
        port = int(url.rsplit(":", 1)[1])
        for octets in (b"\x00\xff" * 1000, b"GET / HTTP/9.9\r\n\r\n", b"EHLO x\r\n", b"A" * 100_000, b""):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(octets)
            writer.write_eof()
            await asyncio.wait_for(_drained(reader), 10)
            writer.close()
        assert 200 == (await fetch(f"{url}/health"))[0]


async def _drained(reader: asyncio.StreamReader) -> None:
    try:
        await reader.read()
    except ConnectionError:
        pass


def test_a_label_that_a_peer_chooses_by_mistake_stays_bounded() -> None:
    counts = Counts()
    for number in range(10_000):
        counts.add(f"value {number}")

    assert len(counts.items()) <= KEYS_MAX + 1
    assert 10_000 == sum(count for _, count in counts.items())


@pytest.mark.parametrize("value", [0.0, -1.0, 1e300, float("inf")])
def test_a_histogram_counts_any_number_once(value: float) -> None:
    histogram = Histogram(SECONDS)
    histogram.observe(value)

    assert 1 == histogram.count
    assert ("+Inf", 1) == histogram.buckets()[-1]
