"""[pipe] and [mbox]: delivery to programs and to files of this host, by [[routes]] that ask for it."""

from __future__ import annotations

from typing import Annotated

from pymta.config.option import MINUTE, Count, Octets, Option, Seconds, Section


class PipeSettings(Section, frozen=True, kw_only=True):
    """Programs that take mail: routes with transport = "pipe"."""

    processes_max: Annotated[
        Count,
        Option(
            "How many may run at once, of each route.",
            reader="queue.tasks",
            precedent="Postfix default_destination_concurrency_limit is 20",
        ),
    ] = 10
    seconds_max: Annotated[
        Seconds,
        Option(
            "How long one may take; then it and all that it started are ended, and the message waits.",
            reader="deliver.pipe",
            precedent="Postfix pipe_time_limit is 1000 s",
        ),
    ] = 5 * MINUTE
    output_octets_max: Annotated[
        Octets,
        Option(
            "How much of what it prints is looked at; its first line is told with a failure.",
            reader="deliver.pipe",
        ),
    ] = 4096


class MboxSettings(Section, frozen=True, kw_only=True):
    """Files of messages: routes with transport = "mbox"."""

    lock_s_max: Annotated[
        Seconds, Option("How long to wait for the locks of a mailbox.", reader="deliver.mbox")
    ] = 30
    stale_lock_s: Annotated[
        Seconds,
        Option(
            "A dot-lock that is older belongs to nobody and is removed.",
            reader="deliver.mbox",
            precedent="Postfix stale_lock_time is 500 s",
        ),
    ] = 500
