"""
What the counting sink wrote down, read while it goes on writing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pymta.selfcheck.swarm import Key

__all__ = ["Arrival", "Arrivals"]


class Arrival(NamedTuple):
    """One line of the sink."""

    at_s: float
    spool_id: str


@dataclass
class Arrivals:
    """All lines of its file, by what arrived."""

    file: Path
    by_key: dict[Key, list[Arrival]] = field(default_factory=lambda: defaultdict(list))
    damaged: list[str] = field(default_factory=list)
    _read_octets: int = 0

    def read(self) -> Arrivals:
        """Take in what is new."""
        with self.file.open("rb") as stream:
            stream.seek(self._read_octets)
            fresh = stream.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._read_octets += len(whole)
        for line in whole.decode().splitlines():
            at_ns, message_id, forward_path, spool_id, condition = line.split()
            self.by_key[message_id, forward_path].append(Arrival(int(at_ns) / 1e9, spool_id))
            if condition != "ok":
                self.damaged.append(line)
        return self
