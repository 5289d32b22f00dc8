"""
What the counting sink wrote down, read while it goes on writing.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.crash.swarm import Key
from tests.partners.waiting import wait_until


class Arrival(NamedTuple):
    """One line of the sink."""

    at_s: float
    spool_id: str


@dataclass
class Arrivals:
    """What the counting sink wrote down."""

    file: Path
    by_key: dict[Key, list[Arrival]] = field(default_factory=lambda: defaultdict(list))
    damaged: list[str] = field(default_factory=list)
    _read_octets: int = 0

    def read(self) -> "Arrivals":
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


class Hop(NamedTuple):
    """The counting sink."""

    port: int
    arrivals: Arrivals

    def wait_arrivals(self, count: int, *, limit_s: float = 40) -> None:
        """Return when so many recipients have something."""
        wait_until(lambda: len(self.arrivals.read().by_key) >= count, f"{count} arrivals", limit_s=limit_s)
