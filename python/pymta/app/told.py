"""
What supervisor and worker tell each other, as types. Nothing is done here.
"""

from pathlib import Path
from typing import Final, Literal

import msgspec

from pymta.config.load import Loaded, Sources, load_sources
from pymta.config.settings import Settings
from pymta.observe.counted import Counted
from pymta.spool.shards import Place

__all__ = ["CERTIFICATES_CHANGED", "Assignment", "Configuration", "Pulse"]

CERTIFICATES_CHANGED: Final = "certificates changed"
"""Told to every worker when there is another one in a file; they would see it within a minute by themselves."""


class Configuration(msgspec.Struct, frozen=True):
    """The configuration as text, so that all workers use one reading of the files, whatever becomes of those."""

    sources: Sources
    base: Path
    data_folder: Path

    @classmethod
    def of(cls, loaded: Loaded) -> "Configuration":
        """What *loaded* was made from."""
        return cls(loaded.sources, loaded.base, Path(loaded.settings.server.data_folder))

    def settings(self) -> Settings:
        """
        What it says, undivided.

        Raises:
            ConfigError: It cannot be used.
        """
        return load_sources(self.sources, base=self.base).with_data_folder(self.data_folder).settings


class Assignment(msgspec.Struct, frozen=True):
    """All that a worker is told at its start."""

    place: Place
    configuration: Configuration
    version: str
    log_format: Literal["json", "text"]
    listening_fds: tuple[int, ...]
    board_fd: int
    """Of the board on which clients' connections are counted together; the worker's row is its number less one."""


class Pulse(msgspec.Struct, frozen=True):
    """How a worker is."""

    counted: Counted
    why_not_ready: str | None
