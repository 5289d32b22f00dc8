"""
SMTP on standard input and output (`sendmail -bs`): everything is passed to the server and back, octet for octet.

What it is not: a server. It understands one thing only, whether the client may stop: when standard input ends without
QUIT, the server is told QUIT, unless a message was cut off, which must not be completed.
"""

import os
import selectors
import socket
from typing import Final

__all__ = ["pass_through"]

_READ_OCTETS: Final = 65_536
_QUIT: Final = b"\r\nQUIT\r\n"


def pass_through(
    connection: socket.socket, *, input_fd: int, output_fd: int, wait_s_max: float = 300.0
) -> bool:
    """
    Pass octets both ways until the server closes the connection.

    On a terminal, lines are given the CR that a keyboard does not.

    Args:
        connection: To the server, just made.
        input_fd: Where the client writes.
        output_fd: Where the client reads.
        wait_s_max: How long the server may take for what it owes after the client's end.

    Returns:
        Whether all went to its end; False where a message was cut off or the server fell silent.
    """
    typed = os.isatty(input_fd)
    watcher = _Watcher()
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ, connection)
        try:
            selector.register(input_fd, selectors.EVENT_READ, None)
            is_file = False
        except PermissionError:  # a file is always readable, and epoll does not take it
            is_file = True
        is_open = True
        while True:
            ready = selector.select(0 if is_file and is_open else None if is_open else wait_s_max)
            if not ready and not is_open:
                return False
            if any(key.data is connection for key, _ in ready):
                try:
                    chunk = connection.recv(_READ_OCTETS)
                except ConnectionError:
                    if not watcher.is_over:
                        raise
                    chunk = b""  # the server has closed while the client still wrote
                if not chunk:
                    return True
                watcher.heard(chunk)
                _write_all(output_fd, chunk)
            if is_open and (is_file or any(key.data is None for key, _ in ready)):
                chunk = os.read(input_fd, _READ_OCTETS)
                if chunk:
                    chunk = chunk.replace(b"\n", b"\r\n") if typed else chunk
                    watcher.said(chunk)
                    connection.sendall(chunk)
                    continue
                is_open = False
                if not is_file:
                    selector.unregister(input_fd)
                if watcher.is_cut_off:
                    return False
                if not watcher.has_quit:
                    connection.sendall(b"QUIT\r\n")


class _Watcher:
    """Whether the client stopped where it may. Where that is uncertain it may, and the server's silence ends it."""

    __slots__ = ("_end_said", "_ended_content", "_line_heard")

    def __init__(self) -> None:
        self._end_said = b"\r\n"
        self._line_heard = b""
        self._ended_content = False

    def said(self, chunk: bytes) -> None:
        said = self._end_said + chunk
        self._ended_content = self._ended_content or b"\r\n.\r\n" in said
        self._end_said = said[-len(_QUIT) :]

    def heard(self, chunk: bytes) -> None:
        # The last line, whole or not: only its code is looked at.
        self._line_heard = (self._line_heard + chunk).rstrip(b"\r\n").rpartition(b"\n")[2][:3] + b"\n"

    @property
    def has_quit(self) -> bool:
        """The client's last line is QUIT: another one would come to a server that has closed, and be answered by a reset."""
        return self._end_said.upper() == _QUIT

    @property
    def is_over(self) -> bool:
        """The server has said goodbye."""
        return self._line_heard.startswith(b"221")

    @property
    def is_cut_off(self) -> bool:
        """In the middle of a command, or of the first message: what follows would belong to it."""
        if not self._end_said.endswith(b"\r\n"):
            return True
        return self._line_heard.startswith(b"354") and not self._ended_content


def _write_all(fd: int, octets: bytes) -> None:
    view = memoryview(octets)
    while view:
        view = view[os.write(fd, view) :]
