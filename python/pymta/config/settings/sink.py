"""
[sink]: a server of our own that takes every message and keeps it in a folder; off unless it has an address.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pymta.config.option import Count, Option, Section
from pymta.config.values import Endpoint


class SinkSettings(Section, frozen=True, kw_only=True):
    """
    Where the first message of a newcomer ends. `pymta serve` without a file has it on; nobody else needs it.
    """

    address: Annotated[
        Endpoint | None, Option("Where the sink listens; loopback only.", reader="app", default="no sink")
    ] = None
    folder: Annotated[
        Path | None,
        Option(
            "Where it keeps what it took, one file a message.",
            reader="app",
            default="`sink` in `server.data_folder`",
        ),
    ] = None
    messages_max: Annotated[
        Count, Option("How many messages it keeps; the oldest goes first.", reader="app")
    ] = 1_000
