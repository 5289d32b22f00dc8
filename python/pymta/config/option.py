"""
How an option is defined: once, as an annotated field of a section's struct.

    retry_s_min: Annotated[Seconds, Option("Shortest wait between attempts.", reader="queue.schedule",
                                           rfc="5321 §4.5.4.1")] = 5 * MINUTE

The type says what may be written, the default what holds without it, and `Option` what the reference page
tells about it. Not here: reading files (load.py), which options exist (settings/).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

_SECONDS_MAX: Final = 366 * DAY
_OCTETS_MAX: Final = 1 << 50

Seconds = Annotated[int, Meta(ge=1, le=_SECONDS_MAX)]
"""A duration that cannot be zero."""

SecondsOrNone = Annotated[int, Meta(ge=0, le=_SECONDS_MAX)]
"""A duration where 0 means "not at all"."""

SecondsOfPolicy = Annotated[float, Meta(ge=0.01, le=float(_SECONDS_MAX))]
"""A duration that may be less than a second, for what is quicker than people and networks."""

Octets = Annotated[int, Meta(ge=1, le=_OCTETS_MAX)]
Count = Annotated[int, Meta(ge=1, le=1 << 31)]
CountOrNone = Annotated[int, Meta(ge=0, le=1 << 31)]
"""A number where 0 means "no limit" or "none", as the option's text says."""


@dataclass(frozen=True, slots=True)
class Option:
    """
    What an operator is told about one option.

    Args:
        doc: What it does, in full sentences; the unit is in the name.
        reader: The module that acts on it, without the leading `pymta.`.
        rfc: The section that asks for it or for its default, such as "5321 §4.5.4.1".
        precedent: What other servers have, where there is no RFC.
        default: The default in words, where the value alone would not say it.
        example: A value as it is written in the file, where the type alone would not say it.
    """

    doc: str
    reader: str
    rfc: str = ""
    precedent: str = ""
    default: str = ""
    example: str = ""


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    The base of every section: frozen, by keyword only, unknown keys refused. Its docstring heads the
    reference.
    """
