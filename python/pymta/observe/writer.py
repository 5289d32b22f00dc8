"""
Where log lines go: standard error or a file, in batches, without ever making mail wait.

A batch is written once for a wake-up of the loop, at most `WAIT_S_MAX` after its first line. What cannot be written
now (a slow reader of our standard error, a full disk) waits, up to *pending_octets_max*; beyond that, lines are dropped
and counted, and the count is told in a line of its own when writing works again. A closed target is no error.

Used from the loop's thread only. A file is written by a thread of its own while the loop runs, a batch at a time: a disk
that stalls holds up whoever writes to it, and that must not be the loop.
"""

from __future__ import annotations

import asyncio
import os
import select
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Final

__all__ = ["Writer"]

WAIT_S_MAX: Final = 0.05
"""How long a line may wait for others."""

BATCH_OCTETS_MAX: Final = 256 * 1024
"""A batch this large is written at once."""

_RETRY_S: Final = 0.25
"""When to look again at a target that took nothing."""

_CLOSE_S_MAX: Final = 1.0
"""How long the flush at exit may wait for a slow reader."""

_STDERR: Final = 2


class Writer:
    """
    Takes whole lines and writes them to standard error or appends them to *file*.

    Attributes:
        dropped_total: Lines that were never written.
        dropped_line: Makes the line that tells how many were dropped of late.

    Args:
        file: None is standard error.
        pending_octets_max: How much may wait.

    Raises:
        OSError: *file* cannot be opened for appending.
    """

    __slots__ = (
        "_batch",
        "_batch_octets",
        "_dropped",
        "_fd",
        "_file",
        "_handle",
        "_in_hand",
        "_is_regular",
        "_pending_octets_max",
        "_poll",
        "_thread",
        "dropped_line",
        "dropped_total",
    )

    def __init__(self, file: Path | None = None, *, pending_octets_max: int = 4 * 1024 * 1024) -> None:
        self._file = file
        self._pending_octets_max = pending_octets_max
        self._batch: list[bytes] = []
        self._batch_octets = 0
        self._dropped = 0
        self.dropped_total = 0
        self.dropped_line: Callable[[int], bytes] = b"%d lines dropped\n".__mod__
        self._handle: asyncio.TimerHandle | None = None
        self._fd = -1
        self._in_hand: _InHand | None = None
        self._thread: _Thread | None = None
        self._open()

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads along."""
        return self._fd >= 0 and os.isatty(self._fd)

    def write(self, line: bytes) -> None:
        """Keep *line*, which ends with a line feed, for the next batch."""
        in_hand_octets = 0 if self._in_hand is None else len(self._in_hand.octets)
        if self._batch_octets + in_hand_octets + len(line) > self._pending_octets_max:
            self._dropped += 1
            self.dropped_total += 1
            return
        self._batch.append(line)
        self._batch_octets += len(line)
        if self._handle is None:
            self._schedule(WAIT_S_MAX)
        elif self._batch_octets >= BATCH_OCTETS_MAX and not self._is_waiting:
            self._flush_soon()

    def flush(self) -> None:
        """Write what can be written without waiting, but for a disk; try the rest again soon."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._in_hand is not None and not self._in_hand.done.wait(_CLOSE_S_MAX):
            self._schedule(_RETRY_S)
            return
        self._take_back()
        if not self._batch:
            return
        lost_before = self.dropped_total
        rest = self._write_nowait(b"".join(self._batch))
        self._batch = [rest] if rest else []
        self._batch_octets = len(rest)
        if rest:
            self._schedule(_RETRY_S)
        elif self._dropped and lost_before == self.dropped_total:
            # Writing works again: tell, in its place among the lines.
            count, self._dropped = self._dropped, 0
            self.write(self.dropped_line(count))

    def reopen(self) -> None:
        """
        Open the file again under its name, after logrotate(8) moved it; without effect on standard error.

        Where it cannot be opened the old one stays in use and OSError says why.
        """
        if self._file is None:
            return
        self.flush()
        old = self._fd
        self._open()
        if old >= 0 and self._in_hand is None:  # the thread may still write to it
            os.close(old)

    def close(self) -> None:
        """Write what is left, waiting a little for a slow reader, and let go of the file."""
        deadline = time.monotonic() + _CLOSE_S_MAX
        self.flush()
        while self._batch and time.monotonic() < deadline:
            self._poll.poll(50)
            self.flush()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._file is not None and self._fd >= 0 and self._in_hand is None:
            os.close(self._fd)
        self._fd = -1

    # ---- the target --------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._file is None:
            fd = _STDERR
        else:
            fd = os.open(
                self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o640
            )
        self._poll = select.poll()
        try:
            self._is_regular = stat.S_ISREG(os.fstat(fd).st_mode)
            self._poll.register(fd, select.POLLOUT)
        except OSError:
            fd = -1  # started with standard error closed: nobody wants the log
            self._is_regular = False
        self._fd = fd
        if self._is_regular and self._file is not None and _ends_torn(self._file):
            self._write_nowait(b"\n")

    def _write_nowait(self, octets: bytes) -> bytes:
        """
        Write as much as the target takes now; return the rest.

        Standard error is shared with other programs, so it is not switched to non-blocking. Instead a pipe, a terminal
        or a socket is asked first, and then gets no more than POSIX promises it takes: PIPE_BUF octets.
        """
        if self._fd < 0:
            return b""
        view = memoryview(octets)
        try:
            while view:
                if not self._is_regular:
                    ready = self._poll.poll(0)
                    if not ready:
                        return bytes(view)
                    if not ready[0][1] & select.POLLOUT:
                        return self._lost(view)
                written = os.write(self._fd, view if self._is_regular else view[: select.PIPE_BUF])
                view = view[written:]
        except BlockingIOError:
            return bytes(view)
        except OSError:  # closed by its reader, disk full: the log never stops the mail
            return self._lost(view)
        return b""

    def _lost(self, view: memoryview) -> bytes:
        lines = bytes(view).count(b"\n")
        self._dropped += lines
        self.dropped_total += lines
        return b""

    # ---- when --------------------------------------------------------------------------------------------------------

    @property
    def _is_waiting(self) -> bool:
        """Whether the target took nothing at the last try, so that trying for every line would be a waste."""
        return (
            self._handle is not None and self._handle.when() - asyncio.get_running_loop().time() > WAIT_S_MAX
        )

    def _schedule(self, wait_s: float) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # before the loop runs and after it: nothing will wake us
            if wait_s <= WAIT_S_MAX:
                self.flush()
            return
        self._handle = loop.call_later(wait_s, self._flush_soon)

    # ---- a file ------------------------------------------------------------------------------------------------------

    def _flush_soon(self) -> None:
        """`flush`, or have the thread do it."""
        if not self._is_regular or self._fd < 0:
            self.flush()
            return
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._in_hand is not None:
            if not self._in_hand.done.is_set():
                self._schedule(_RETRY_S)
                return
            self._take_back()
        if self._batch:
            self._in_hand = _InHand(self._fd, b"".join(self._batch), asyncio.get_running_loop(), self._took)
            self._batch, self._batch_octets = [], 0
            if self._thread is None:
                self._thread = _Thread()
            self._thread.queue.put(self._in_hand)

    def _took(self) -> None:
        """Called in the loop when the thread is done."""
        if self._in_hand is not None and self._in_hand.done.is_set():
            self._take_back()

    def _take_back(self) -> None:
        in_hand, self._in_hand = self._in_hand, None
        if in_hand is None:
            return
        self._dropped += in_hand.lost
        self.dropped_total += in_hand.lost
        if self._dropped and not in_hand.lost:
            # Writing works again: tell, whatever else waits.
            line, self._dropped = self.dropped_line(self._dropped), 0
            self._batch.append(line)
            self._batch_octets += len(line)
            if self._handle is None:
                self._schedule(WAIT_S_MAX)


class _InHand:
    """A batch that the thread writes."""

    __slots__ = ("_fd", "_loop", "_took", "done", "lost", "octets")

    def __init__(
        self, fd: int, octets: bytes, loop: asyncio.AbstractEventLoop, took: Callable[[], None]
    ) -> None:
        self._fd = fd
        self._loop = loop
        self._took = took
        self.octets = octets
        self.lost = 0
        """Lines that could not be written."""
        self.done = threading.Event()

    def write(self) -> None:
        view = memoryview(self.octets)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:  # disk full: the log never stops the mail
            self.lost = bytes(view).count(b"\n")
        self.done.set()
        try:
            self._loop.call_soon_threadsafe(self._took)
        except RuntimeError:  # the loop is over; `close` looks for itself
            pass


class _Thread:
    """Writes batches, one after the other, as long as the process lives."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[_InHand] = SimpleQueue()
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def _run(self) -> None:
        while True:
            self.queue.get().write()


def _ends_torn(file: Path) -> bool:
    """Whether the last line lacks its end, as after a kill in the middle of a write: our first line is to stay whole."""
    try:
        with file.open("rb") as stream:
            return (
                stream.seek(0, os.SEEK_END) > 0
                and stream.seek(-1, os.SEEK_END) >= 0
                and stream.read(1) != b"\n"
            )
    except OSError:  # may be written and not read
        return False
