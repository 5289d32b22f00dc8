"""[log]: what is written where. What the lines hold is in observe/events.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from pymta.config.option import MIB, Octets, Option, Section
from pymta.observe.events import Verb
from pymta.observe.log import LogFormat, VerbLevel


class LogSettings(Section, frozen=True, kw_only=True):
    """The log: one line for each thing that happened."""

    format: Annotated[
        LogFormat,
        Option(
            '"auto" is text for people on a terminal and JSON, one object a line, elsewhere.',
            reader="observe.log",
        ),
    ] = "auto"
    file: Annotated[
        Path | None,
        Option(
            "The file to append to; opened again at SIGHUP, so that logrotate(8) can move it.",
            reader="observe.writer",
            default="standard error",
        ),
    ] = None
    verbs: Annotated[
        dict[Verb, VerbLevel],
        Option(
            'Which lines: "all", "problems" (what did not go well), "none", by verb. `admin` and `trouble` '
            "are always written.",
            reader="observe.log",
            default="all of them",
            example='{ connect = "problems" }',
        ),
    ] = msgspec.field(default_factory=dict)
    pending_octets_max: Annotated[
        Octets,
        Option(
            "How much may wait to be written where the reader of the log is slow. Above it lines are "
            "dropped and counted; mail never waits for the log.",
            reader="observe.writer",
            precedent="journald and rsyslog limit rates instead",
        ),
    ] = 4 * MIB
