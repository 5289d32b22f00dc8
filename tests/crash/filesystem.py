"""
A file system in a file, of its own for one test: it can be frozen, and it can lose its power.

Power is lost by the call that the kernel has for such tests (FS_IOC_SHUTDOWN, as xfstests' `godown`): from that instant on
nothing more reaches the image, neither what was written and not synced nor the journal, and every call fails. What is found
when it is mounted again is what a disk would have after its plug was pulled.
"""

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from tests.partners.program import find_program
from tests.partners.waiting import wait_until

__all__ = ["FileSystem", "Kind", "file_system"]

Kind = Literal["ext4", "xfs"]
# Room for what a soak leaves in its mailboxes; the file has holes where nothing was written. mkfs.xfs wants 300 MB.
_IMAGE_OCTETS = 4 << 30
# <linux/fs.h>: _IOR('X', 125, __u32), and its argument, "do not flush the log either".
_FS_IOC_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = struct.pack("I", 2)


class FileSystem:
    """One that is mounted at `folder`."""

    def __init__(self, image: Path, folder: Path, kind: Kind) -> None:
        self.folder = folder
        self._image = image
        folder.mkdir()
        with image.open("wb") as stream:
            stream.truncate(_IMAGE_OCTETS)
        for command in ((f"mkfs.{kind}", "-q", image), self._mounting):
            done = _call(*command)
            if done.returncode != 0:
                pytest.skip(f"{command[0]} does not work here: {done.stderr.strip()}")

    def mount(self) -> None:
        """Mount it; the journal is replayed where that is due."""
        done = _call(*self._mounting)
        assert 0 == done.returncode, done.stderr

    @property
    def _mounting(self) -> tuple[str | Path, ...]:
        return "mount", "-o", "loop", self._image, self.folder

    def unmount(self) -> None:
        """
        Unmount it, and wait until the kernel has let go of it.

        It does so a moment later; who mounts the image within that moment gets the old one, with all that it has cached.
        """
        wait_until(lambda: _call("umount", self.folder).returncode == 0, "nobody is in the file system")
        wait_until(lambda: not _call("losetup", "--associated", self._image).stdout, "the image is let go")

    def lose_power(self) -> None:
        """From now on nothing reaches the image, and every call fails; `unmount` and `mount` follow."""
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(folder, _FS_IOC_SHUTDOWN, _NO_LOG_FLUSH)
        finally:
            os.close(folder)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Every call that would change something waits, open and write too."""
        _call("fsfreeze", "--freeze", self.folder).check_returncode()
        try:
            yield
        finally:
            _call("fsfreeze", "--unfreeze", self.folder).check_returncode()


@contextmanager
def file_system(folder: Path, kind: Kind = "ext4") -> Iterator[FileSystem]:
    """A new one below *folder*, removed in the end; the test is skipped where that is not possible."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    made = FileSystem(folder / "image", folder / "disk", kind)
    try:
        yield made
    finally:
        _call("umount", "--lazy", made.folder)


def _call(program: str | Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [find_program(str(program)), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
