"""
[queue]: when to try, when to give up, how much at once. Where to and how is in [routing] and [delivery].
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from pymta.config.option import DAY, HOUR, MINUTE, Count, Option, Seconds, SecondsOrNone, Section


class QueueSettings(Section, frozen=True, kw_only=True):
    """The retry schedule, the lifetime of a message, and how many are worked on at once."""

    retry_s_min: Annotated[
        Seconds,
        Option(
            "Wait after the first deferral. Shorter than the RFC's 30 minutes because greylisting hosts let "
            "mail pass after five, and only the first waits are that short.",
            reader="queue.schedule",
            rfc="5321 §4.5.4.1",
            precedent="Postfix minimal_backoff_time is 300 s",
        ),
    ] = 5 * MINUTE
    retry_s_max: Annotated[
        Seconds,
        Option(
            "No wait is longer than this.",
            reader="queue.schedule",
            rfc="5321 §4.5.4.1 (every two or three hours)",
            precedent="Postfix maximal_backoff_time is 4000 s",
        ),
    ] = 2 * HOUR
    retry_growth: Annotated[
        Annotated[float, Meta(ge=1.0, le=10.0)],
        Option(
            "Each wait is so many times the one before.",
            reader="queue.schedule",
            precedent="Postfix doubles, Exim G,.. 1.5",
        ),
    ] = 2.0
    lifetime_s: Annotated[
        Seconds,
        Option(
            "A recipient that is still deferred after so long has failed, and the reverse-path is told.",
            reader="queue.schedule",
            rfc="5321 §4.5.4.1 (at least 4-5 days)",
            precedent="Postfix maximal_queue_lifetime is 5 d",
        ),
    ] = 5 * DAY
    report_lifetime_s: Annotated[
        Seconds,
        Option(
            "The same for messages with a null reverse-path, which nobody is told about.",
            reader="queue.schedule",
            rfc="5321 §4.5.5",
            precedent="Postfix bounce_queue_lifetime is 5 d, Exim ignore_bounce_errors_after 10 w",
        ),
    ] = 1 * DAY
    delay_warning_s: Annotated[
        SecondsOrNone,
        Option(
            "The reverse-path is told once that a message is late after so long; 0 is never. NOTIFY without "
            "DELAY prevents it for a recipient.",
            reader="queue.schedule",
            rfc="3461 §4.1, 3464 §2.3.3",
            precedent="Exim delay_warning is 24 h, Sendmail Timeout.queuewarn 4 h",
        ),
    ] = 4 * HOUR
    active_max: Annotated[
        Count,
        Option(
            "How many messages may be worked on at once; the others wait in the spool's index.",
            reader="queue.manager",
            precedent="Postfix qmgr_message_active_limit is 20 000",
        ),
    ] = 5_000
    active_per_group_max: Annotated[
        Count,
        Option(
            "How many of them may be for one domain, so that a stuck or huge one leaves room for the others.",
            reader="queue.manager",
            precedent="Exim queue_run_max, KumoMTA max_ready",
        ),
    ] = 1_000
