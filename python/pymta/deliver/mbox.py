"""
Into a file of messages (mbox), for old tools: appended under a dot-lock and an fcntl lock, as Debian Policy §11.6 asks.

Not a format for many messages or for safety against a power failure: a crash in the middle leaves half a message at the
end, which the next delivery is separated from by a blank line. Where that matters there is Maildir.

All of it blocks, so it runs in a thread.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pymta._core import Address, QueuedMessage, Reply
from pymta.config.settings.local import MboxSettings
from pymta.deliver.content import unix_pieces
from pymta.directory.identity import InvalidAddress, folder_of

__all__ = ["MBOXES_AT_ONCE_MAX", "append_to_mbox", "deliver_to_mbox", "file_for"]

# Each occupies a thread while it waits for its locks.
MBOXES_AT_ONCE_MAX: Final = 4

_LOOK_AGAIN_S: Final = 0.1
_QUOTED: Final = re.compile(rb"^(>*From )", re.MULTILINE)
_OPEN: Final = os.O_CREAT | os.O_APPEND | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

_APPENDED: Final = Reply(250, "2.0.0", "delivered to the mailbox")
_LOCKED: Final = Reply(451, "4.2.0", "mailbox is locked, trying again later")
_NO_NAME: Final = Reply(550, "5.1.3", "address cannot be the name of a mailbox")
_TROUBLE: Final = Reply(451, "4.3.0", "local trouble while delivering, trying again later")


class _Locked(Exception):
    """Somebody else has had the lock for too long."""


def file_for(template: str, forward_path: Address) -> Path | None:
    """
    The file that *template* means for a recipient; None where its address has no canonical form.

    What an address holds becomes one plain name, whatever it is (`directory.identity.folder_of`).
    """
    try:
        domain, local_part = folder_of(str(forward_path)).split("/")
    except InvalidAddress:
        return None
    return Path(template.replace("{local_part}", local_part).replace("{domain}", domain))


async def deliver_to_mbox(template: str, message: QueuedMessage, index: int, settings: MboxSettings) -> Reply:
    """Append a message to the file that *template* means for a recipient; durable when it returns 250."""
    file = file_for(template, message.envelope.recipient(index).forward_path)
    if file is None:
        return _NO_NAME
    return await asyncio.to_thread(append_to_mbox, file, message, index, settings)


def append_to_mbox(file: Path, message: QueuedMessage, index: int, settings: MboxSettings) -> Reply:
    """Append a message for one recipient; durable when it returns 250. Blocks."""
    try:
        folder = os.open(file.parent, os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with _locked(folder, file.name, settings) as mailbox:
                _append(mailbox, message, index)
            os.fsync(folder)
        finally:
            os.close(folder)
    except _Locked:
        return _LOCKED
    except OSError:
        return _TROUBLE
    return _APPENDED


@contextlib.contextmanager
def _locked(folder: int, name: str, settings: MboxSettings) -> Iterator[int]:
    end_s = time.monotonic() + settings.lock_s_max
    lock = f"{name}.lock"
    _take_dot_lock(folder, lock, end_s, settings.stale_lock_s)
    try:
        mailbox = os.open(name, _OPEN, 0o600, dir_fd=folder)
        try:
            facts = os.fstat(mailbox)
            if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
                raise OSError(errno.EINVAL, "not a file of its own")
            _take_fcntl_lock(mailbox, end_s)
            yield mailbox
        finally:
            os.close(mailbox)
    finally:
        os.unlink(lock, dir_fd=folder)


def _take_dot_lock(folder: int, lock: str, end_s: float, stale_s: int) -> None:
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=folder))
            return
        except FileExistsError:
            pass
        with contextlib.suppress(FileNotFoundError):
            facts = os.stat(lock, dir_fd=folder, follow_symlinks=False)
            if time.time() - facts.st_mtime > stale_s:
                os.unlink(lock, dir_fd=folder)  # whoever made it is gone
                continue
        _wait(end_s)


def _take_fcntl_lock(mailbox: int, end_s: float) -> None:
    while True:
        try:
            fcntl.lockf(mailbox, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
        _wait(end_s)


def _wait(end_s: float) -> None:
    if time.monotonic() > end_s:
        raise _Locked
    time.sleep(_LOOK_AGAIN_S)


def _append(mailbox: int, message: QueuedMessage, index: int) -> None:
    before_octets = os.fstat(mailbox).st_size
    date = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(message.spooled_at_ms / 1000))
    reverse_path = message.envelope.reverse_path_text or "MAILER-DAEMON"
    try:
        # What a crash left without its end shall not swallow this one.
        is_open = before_octets and os.pread(mailbox, 2, max(before_octets - 2, 0)) != b"\n\n"
        _write(
            mailbox,
            (b"\n\n" if is_open else b"") + f"From {reverse_path.replace(' ', '_')} {date}\n".encode(),
        )
        held = b""
        for piece in unix_pieces(message, index):
            # Whole lines only, so that a "From " which two pieces share is seen.
            lines, newline, held = (held + piece).rpartition(b"\n")
            _write(mailbox, _QUOTED.sub(rb">\1", lines + newline))
        _write(mailbox, _QUOTED.sub(rb">\1", held) + (b"\n\n" if held else b"\n"))
        os.fsync(mailbox)
    except BaseException:
        os.ftruncate(mailbox, before_octets)
        raise


def _write(mailbox: int, octets: bytes) -> None:
    view = memoryview(octets)
    while view:
        view = view[os.write(mailbox, view) :]
