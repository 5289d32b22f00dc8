"""
A process of our own making: started, asked, heard and watched.

It has an end of a channel, named by the last argument of its command, and its standard output and error are a pipe to
us, of which only whole lines are passed on. A session of its own keeps a terminal's Ctrl-C for the parent alone.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Final

from pymta.runtime.channel import Channel, Handler, write_first

__all__ = ["Child"]

_PIPE_OCTETS: Final = 1 << 20
_READ_OCTETS: Final = 1 << 18

_LINE_OCTETS_MAX: Final = 1 << 20
"""A line that is longer is passed on in parts."""


class Child:
    """
    Args:
        command: What to run; the channel's descriptor is appended.
        first: What it is sent before anything else.
        fds: Descriptors that it inherits under the same numbers.
        handle: Answers its questions.
        on_lines: Gets what it prints, whole lines each time.
        on_exit: Called once, with its exit status (negative: the signal), when it has ended and all lines are read.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        first: object,
        *,
        fds: Sequence[int],
        handle: Handler,
        on_lines: Callable[[bytes], None],
        on_exit: Callable[[int], None],
    ) -> None:
        self._on_lines = on_lines
        self._on_exit = on_exit
        self._rest = b""
        self._loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        self._output, output = os.pipe2(os.O_CLOEXEC)
        fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, _PIPE_OCTETS)
        os.set_blocking(self._output, False)
        try:
            self.process = subprocess.Popen(  # noqa: S603 - a command of our own
                [*command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(theirs.fileno(), *fds),
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            os.close(self._output)
            raise
        finally:
            theirs.close()
            os.close(output)
        self.started_s = time.monotonic()
        self._pidfd = os.pidfd_open(self.process.pid)
        self._loop.add_reader(self._pidfd, self._exited)
        self._loop.add_reader(self._output, self._read)
        self.channel = Channel(ours, handle=handle, on_lost=lambda: None)
        self._first = ours, first

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    async def start(self) -> None:
        """Tell it what it is to begin with; OSError where it has ended already."""
        end, first = self._first
        await asyncio.to_thread(write_first, end, first)
        await self.channel.start()

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        self.process.send_signal(number)

    def _read(self) -> None:
        try:
            chunk = os.read(self._output, _READ_OCTETS)
        except BlockingIOError:
            return
        if not chunk:
            self._loop.remove_reader(self._output)
            return
        whole, line_feed, rest = (self._rest + chunk).rpartition(b"\n")
        self._rest = rest[-_LINE_OCTETS_MAX:]
        if line_feed:
            self._on_lines(whole + line_feed)

    def _exited(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        status = self.process.wait()
        # What it printed last is in the pipe; a child of its own that still holds the other end is not waited for.
        for _ in range(_PIPE_OCTETS // _READ_OCTETS + 2):
            self._read()
        self._loop.remove_reader(self._output)
        os.close(self._output)
        self._loop.create_task(self._over(status))

    async def _over(self, status: int) -> None:
        await self.channel.close()
        self._on_exit(status)
