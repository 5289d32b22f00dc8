"""
What a sink is to be, and what it has counted. Values only.
"""

from pathlib import Path
from typing import Final

import msgspec

from pymta.sink.behaviour import Behaviours

__all__ = ["Counts", "SinkOptions"]

KEPT_OCTETS_MAX: Final = 64 * 1024 * 1024
"""Largest message where messages are kept: each is in memory until its end."""

COUNTED_OCTETS_MAX: Final = 1 << 40
"""Largest message where they are counted only: nothing is held of them."""


class SinkOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a sink is to be."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 lets the system choose."""
    hostname: str = "sink.example.test"
    lmtp: bool = False
    implicit_tls: bool = False
    """With a TLS context: shake hands at once instead of offering STARTTLS."""
    message_octets_max: int | None = None
    """None: `KEPT_OCTETS_MAX` with a folder, else as good as none."""
    connections_max: int = 10_000
    idle_s_max: float = 300.0
    """How long a connection may be silent."""
    folder: Path | None = None
    """Where messages are kept, one file each; None counts them only."""
    messages_max: int = 1000
    """How many are kept; the oldest goes first."""
    behaviours: Behaviours = Behaviours()

    @property
    def octets_max(self) -> int:
        """The largest message that is taken."""
        if self.message_octets_max is not None:
            return self.message_octets_max
        return COUNTED_OCTETS_MAX if self.folder is None else KEPT_OCTETS_MAX


class Counts:
    """What came so far. *deferred* and *refused* are replies (4yz and 5yz) that the behaviour gave."""

    __slots__ = (
        "connections",
        "connections_open",
        "deferred",
        "messages",
        "octets",
        "recipients",
        "refused",
        "slow",
        "violations",
    )

    def __init__(self) -> None:
        self.connections = 0
        self.connections_open = 0
        self.messages = 0
        self.recipients = 0
        self.octets = 0
        self.deferred = 0
        self.refused = 0
        self.slow = 0
        self.violations = 0

    def as_dict(self) -> dict[str, int]:
        """By name, for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}
