"""
When to try again, when to warn, when to give up: pure functions of (spooled at, attempts, now, settings).

No clock, no random numbers of its own: *now* and the jitter are arguments, so a test owns both.
"""

from pymta.config.settings.queue import QueueSettings

__all__ = ["jitter_of", "lifetime_ms", "next_attempt_ms", "warning_is_due"]

# A tenth of the interval either way, so that what was deferred together is not tried again together.
JITTER_SHARE = 0.1


def next_attempt_ms(
    spooled_at_ms: int, attempts: int, *, now_ms: int, is_report: bool, jitter: float, settings: QueueSettings
) -> int | None:
    """
    When to try a deferred message again, or None when its lifetime is over.

    Args:
        spooled_at_ms: When the message became durable.
        attempts: Rounds so far that ended with something deferred; 1 after the first.
        now_ms: Current time.
        is_report: A null reverse-path: nobody hears of its end, so it may have a shorter life.
        jitter: From -1 to 1; see `jitter_of`.
        settings: Intervals and lifetimes, in seconds.

    Returns:
        An instant later than *now_ms*, and not later than the end of the lifetime, so that the last attempt is made
        just before giving up.

    RFC 5321 §4.5.4.1: the wait grows; give up after 4-5 days.
    """
    end_ms = spooled_at_ms + lifetime_ms(is_report=is_report, settings=settings)
    if now_ms >= end_ms:
        return None
    # The exponent is bounded because a float overflows long before a stubborn message gives up.
    growth = settings.retry_growth ** min(max(attempts, 1) - 1, 64)
    interval_s = min(settings.retry_s_min * growth, settings.retry_s_max)
    wait_ms = max(int(interval_s * 1000 * (1 + JITTER_SHARE * jitter)), 1)
    return min(now_ms + wait_ms, max(end_ms, now_ms + 1))


def lifetime_ms(*, is_report: bool, settings: QueueSettings) -> int:
    """How long a message may wait, from the moment it became durable."""
    return (settings.report_lifetime_s if is_report else settings.lifetime_s) * 1000


def warning_is_due(spooled_at_ms: int, *, now_ms: int, settings: QueueSettings) -> bool:
    """
    Whether a message has waited so long that its reverse-path may be told (RFC 3461 §6.2).

    Who has been told already is the recipient's status in the spool ("delayed"), not known here.
    """
    return settings.delay_warning_s > 0 and now_ms >= spooled_at_ms + settings.delay_warning_s * 1000


def jitter_of(spool_id: str, attempts: int) -> float:
    """A number from -1 to 1 that depends on the message and the attempt only, so a restart does not change it."""
    mixed = (int.from_bytes(spool_id.encode()[-6:]) * 0x9E3779B97F4A7C15 + attempts * 0xBF58476D1CE4E5B9) & (
        2**64 - 1
    )
    return ((mixed >> 40) / 2**23) - 1.0
