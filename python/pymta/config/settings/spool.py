"""[spool]: the durable queue on disk."""

from __future__ import annotations

from typing import Annotated

from pymta.config.option import KIB, MIB, Octets, Option, Section


class SpoolSettings(Section, frozen=True, kw_only=True):
    """How the spool uses disk and memory. Its folder is `spool` in `server.data_folder`."""

    segment_octets: Annotated[
        Octets,
        Option(
            "A segment file is closed and the next begun after about so much. Space comes back by whole "
            "segments.",
            reader="spool",
            precedent="Kafka log.segment.bytes; a mail spool empties faster, so smaller",
        ),
    ] = 64 * MIB
    spill_octets: Annotated[
        Octets,
        Option(
            "Content larger than this goes to disk while it arrives; smaller stays in memory until it is "
            "committed.",
            reader="spool",
            precedent="Exim spool_wireformat; KumoMTA spools at the end",
        ),
    ] = 256 * KIB
    memory_octets_max: Annotated[
        Octets,
        Option(
            "How much content may be in memory at once, of messages arriving and of messages kept at hand "
            "for the first delivery. Above it content goes to disk at once.",
            reader="spool",
        ),
    ] = 64 * MIB
    free_octets_min: Annotated[
        Octets,
        Option(
            "With less free space than this in the spool's file system new mail gets 452 4.3.1.",
            reader="spool",
            rfc="3463 §3.4 (X.3.1)",
            precedent="Postfix queue_minfree",
        ),
    ] = 128 * MIB
    pending_octets_max: Annotated[
        Octets,
        Option(
            "How much may wait to be written. Above it the disk is too slow, and new mail gets 451 4.3.0.",
            reader="spool",
        ),
    ] = 64 * MIB
