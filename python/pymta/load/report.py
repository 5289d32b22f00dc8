"""
The result of a run, as a value: for JSON, and for the tables that people read.
"""

import datetime
from typing import Final

import msgspec

from pymta.load.generator import Generator
from pymta.load.histogram import Histogram
from pymta.load.plan import Plan

__all__ = ["PERCENTILES", "Durations", "Report", "report_of"]

PERCENTILES: Final = (0.5, 0.9, 0.95, 0.99, 0.999)


class Durations(msgspec.Struct, frozen=True, kw_only=True):
    """How long something took, in milliseconds; all 0 where it never happened."""

    count: int
    mean: float
    min: float
    p50: float
    p90: float
    p95: float
    p99: float
    p99_9: float
    max: float


class ReplyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A reply, and how many recipients got it."""

    code: int
    enhanced: str | None
    count: int
    text: str
    """The first one's."""


class ErrorRow(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong with connections, and how often."""

    what: str
    count: int


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for."""

    connections: int
    messages: int | None
    duration_s: float | None
    rate_per_s: float | None
    messages_per_connection: int | None
    sizes: str
    recipients: int
    reverse_path: str
    forward_path: str
    tls: str
    lmtp: bool
    chunking: bool
    seed: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run."""

    ok: bool
    """Every message that was to be sent was accepted for every recipient."""
    target: str
    ended_at: str
    took_s: float
    gave_up: str | None
    messages: dict[str, int]
    """begun, accepted, deferred, refused, lost, not_sent."""
    recipients_accepted: int
    octets: int
    per_s: float
    octets_per_s: float
    connections: int
    connections_failed: int
    latency_ms: dict[str, Durations]
    """connect, mail_to_354, end_to_reply, whole."""
    replies: list[ReplyRow]
    errors: list[ErrorRow]
    settings: Settings


def report_of(generator: Generator, *, target: str, now: datetime.datetime) -> Report:
    """What came of a run that is over."""
    plan, tally, took_s = generator.plan, generator.tally, generator.took_s
    planned = generator.planned
    not_sent = 0 if planned is None or _ends_by_time(plan) else planned - generator.taken
    # What was in hand when the run was given up has no fate of its own.
    lost = generator.taken - tally.accepted - tally.deferred - tally.refused
    return Report(
        ok=tally.accepted > 0
        and tally.accepted == generator.taken
        and not_sent == 0
        and generator.gave_up is None,
        target=target,
        ended_at=now.isoformat(timespec="milliseconds"),
        took_s=round(took_s, 6),
        gave_up=generator.gave_up,
        messages={
            "begun": generator.taken,
            "accepted": tally.accepted,
            "deferred": tally.deferred,
            "refused": tally.refused,
            "lost": lost,
            "not_sent": not_sent,
        },
        recipients_accepted=tally.recipients_accepted,
        octets=tally.octets,
        per_s=round(tally.accepted / took_s, 3) if took_s else 0.0,
        octets_per_s=round(tally.octets / took_s, 1) if took_s else 0.0,
        connections=tally.connections,
        connections_failed=tally.connections_failed,
        latency_ms={
            "connect": _durations(tally.connect),
            "mail_to_354": _durations(tally.data),
            "end_to_reply": _durations(tally.final),
            "whole": _durations(tally.whole),
        },
        replies=[
            ReplyRow(code=reply.code, enhanced=reply.enhanced, count=reply.count, text=reply.text)
            for reply in sorted(tally.replies.values(), key=lambda reply: -reply.count)
        ],
        errors=[
            ErrorRow(what=error.what, count=error.count)
            for error in sorted(tally.errors.values(), key=lambda error: -error.count)
        ],
        settings=_settings(plan),
    )


def _ends_by_time(plan: Plan) -> bool:
    """Closed loop with a duration: what the time was not enough for was not asked for."""
    return plan.rate_per_s is None and plan.duration_s is not None


def _durations(histogram: Histogram) -> Durations:
    p50, p90, p95, p99, p99_9 = (us / 1000 for us in histogram.percentiles_us(PERCENTILES))
    return Durations(
        count=histogram.count,
        mean=round(histogram.mean_us / 1000, 4),
        min=histogram.min_us / 1000,
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99,
        p99_9=p99_9,
        max=histogram.max_us / 1000,
    )


def _settings(plan: Plan) -> Settings:
    return Settings(
        connections=plan.connections,
        messages=plan.messages_max,
        duration_s=plan.duration_s,
        rate_per_s=plan.rate_per_s,
        messages_per_connection=plan.messages_per_connection,
        sizes=plan.sizes.text,
        recipients=plan.recipients,
        reverse_path=plan.reverse_path.text,
        forward_path=plan.forward_path.text,
        tls=plan.tls,
        lmtp=plan.lmtp,
        chunking=plan.chunking,
        seed=plan.seed,
    )
