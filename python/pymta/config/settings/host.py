"""[server]: the host itself. Listeners and limits have sections of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from pymta.config.option import Count, Option, Seconds, Section
from pymta.config.values import HostName


class HostSettings(Section, frozen=True, kw_only=True):
    """What the server is called, where it keeps its data and as whom it runs."""

    hostname: Annotated[
        HostName,
        Option(
            "What the server calls itself in its greeting, in trace fields and in reports. It should have "
            "an address record, and the address it sends from should have a PTR record back to it.",
            reader="accept.listener, deliver.smtp, report",
            rfc="5321 §4.1.3, §4.1.4",
            example='"mail.example.org"',
        ),
    ]
    data_folder: Annotated[
        Path,
        Option(
            "Where the spool and the control socket are. Made, for its owner only, where it does not exist.",
            reader="app",
            precedent="Postfix queue_directory",
        ),
    ] = Path("/var/lib/pymta")
    user: Annotated[
        str | None,
        Option(
            "Whom to become after the ports are open. Only used when started as root.",
            reader="runtime.privileges",
            precedent="Postfix mail_owner",
            default="stay who started it",
        ),
    ] = None
    group: Annotated[
        str | None,
        Option("The group to become.", reader="runtime.privileges", default="the main group of *user*"),
    ] = None
    workers: Annotated[
        Annotated[int, Meta(ge=1, le=256)],
        Option(
            "How many processes share the work; as many as there are cores is a good number for much mail. Each has a "
            "shard of the spool, and limits are shared. With 1 there is no supervisor. Changed only by a restart, which "
            "loses nothing.",
            reader="app.supervisor",
            precedent="nginx worker_processes; Postfix default_process_limit",
        ),
    ] = 1
    shutdown_grace_s: Annotated[
        Seconds,
        Option(
            "How long, after SIGTERM, sessions and deliveries in hand may go on before they are ended with "
            "421. Nothing is lost either way.",
            reader="app",
            precedent="systemd TimeoutStopSec is 90 s",
        ),
    ] = 30
    open_files_max: Annotated[
        Count,
        Option(
            "How many files and connections may be open; the soft limit is raised to this, as far as the "
            "hard limit lets it.",
            reader="runtime.open_files",
            precedent="Postfix master(8) needs the same from the system",
        ),
    ] = 65536
