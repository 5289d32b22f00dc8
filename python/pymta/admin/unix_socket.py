"""
A Unix socket by its path, however long the path is: the system allows 108 octets, folders of tests and of users do not
keep to that, so both sides go through the folder's descriptor.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

__all__ = ["connect", "listen"]


def listen(path: Path) -> socket.socket:
    """
    A listening socket that only the owner of the process can connect to. Replaces what is at *path*: whoever holds
    the spool's lock owns the folder, so what is there was left behind.

    Raises:
        OSError: The folder is not there or not writable.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        before = os.umask(0o177)  # from the first moment on, not after a chmod
        try:
            listening.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.umask(before)
        listening.listen(64)
    except BaseException:
        listening.close()
        raise
    finally:
        os.close(folder)
    return listening


def connect(path: Path, timeout_s: float) -> socket.socket:
    """
    Connect to *path*.

    Raises:
        OSError: Nobody listens there, or we may not.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        connection.connect(f"/proc/self/fd/{folder}/{path.name}")
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(folder)
    return connection
