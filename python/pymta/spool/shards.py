"""
Where spools are: the layout of the data folder, and which worker has which shard.

    DATA/
      spool/          shard 1: of the only process, or of worker 1
      spool-2/ ...    shards of workers 2 and up
      control.sock    for the command line

A shard is a whole spool with a folder of its own. Worker n has shard n; a shard whose worker no longer exists, because
there are fewer than there were, is a left-over one: it belongs to one of the workers that there are, which delivers what
is in it, takes nothing new into it, and removes it when it is empty. No shard is ever opened by two processes: each has
its lock (docs/spool-format.md).
"""

import os
import re
import shutil
from pathlib import Path

import msgspec

__all__ = ["ALONE", "WORKERS_MAX", "Place", "existing", "finish_removals", "folder_of", "remove"]

# A spool id has ten bits for its shard.
WORKERS_MAX = 256

_FIRST = "spool"
_NAME = re.compile(r"spool-([1-9][0-9]{0,3})")
_REMOVED = ".removed"


class Place(msgspec.Struct, frozen=True):
    """Which of the workers a process is."""

    number: int
    """From 1; worker n has shard n."""
    count: int
    """Workers in all."""

    def left_over(self, shards: list[int]) -> list[int]:
        """Of *shards*, those without a worker that are this one's."""
        return [
            shard for shard in shards if shard > self.count and (shard - 1) % self.count == self.number - 1
        ]


ALONE = Place(1, 1)


def folder_of(data_folder: Path, shard: int) -> Path:
    """The folder of a shard."""
    return data_folder / (_FIRST if shard == 1 else f"{_FIRST}-{shard}")


def existing(data_folder: Path) -> list[int]:
    """The shards that there are, in order."""
    found = [1] if (data_folder / _FIRST).is_dir() else []
    for path in data_folder.iterdir() if data_folder.is_dir() else ():
        named = _NAME.fullmatch(path.name)
        if named is not None and int(named[1]) > 1 and path.is_dir():
            found.append(int(named[1]))
    return sorted(found)


def remove(folder: Path) -> bool:
    """
    Remove the folder of a closed, empty shard; False where damaged parts are kept in it, which a person should see.

    In one step as far as a crash can see: with half of its segments gone, messages that are done would come back.
    """
    if any((folder / "corrupt").iterdir()):
        return False
    removed = folder.with_name(folder.name + _REMOVED)
    folder.rename(removed)
    parent = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
    shutil.rmtree(removed)
    return True


def finish_removals(data_folder: Path) -> None:
    """Remove what a crash in the middle of `remove` left behind; before anything is opened."""
    for path in data_folder.glob(f"{_FIRST}-*{_REMOVED}"):
        shutil.rmtree(path)
