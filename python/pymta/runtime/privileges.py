"""
From root to somebody with less power, for good, after the ports below 1024 are open.
"""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

__all__ = ["UnknownUserError", "drop", "give_file", "give_folder", "ids_of"]


class UnknownUserError(ValueError):
    """The system knows no such user or group."""


def ids_of(user: str, group: str | None = None) -> tuple[int, int]:
    """
    The numbers of *user* and of *group*, or of the user's main group.

    Raises:
        UnknownUserError: There is no such user or group.
    """
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise UnknownUserError(f'there is no user "{user}"') from None
    if group is None:
        return entry.pw_uid, entry.pw_gid
    try:
        return entry.pw_uid, grp.getgrnam(group).gr_gid
    except KeyError:
        raise UnknownUserError(f'there is no group "{group}"') from None


def give_folder(folder: Path, uid: int, gid: int) -> None:
    """
    Make *folder* and what is in it belong to whom we become. Symbolic links are not followed.

    What belongs to them already is not touched: a chown is a write to the disk, and there may be a million messages.
    """
    give_file(folder, uid, gid)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            give_file(Path(parent) / name, uid, gid)


def give_file(file: Path, uid: int, gid: int = -1) -> None:
    """Make one file or folder belong to whom we become; a symbolic link itself, not what it points to; -1 keeps the group."""
    now = file.lstat()
    if now.st_uid != uid or gid not in (-1, now.st_gid):
        os.chown(file, uid, gid, follow_symlinks=False)


def drop(uid: int, gid: int, user: str) -> bool:
    """
    Become that user, with that group and the user's other groups, for ever.

    Returns:
        False where we are not root and there is nothing to drop.

    Raises:
        OSError: The system refused; the caller must not go on as root.
    """
    if os.geteuid() != 0:
        return False
    os.initgroups(user, gid)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if uid != 0 and os.geteuid() == 0:
        raise PermissionError("still root after dropping privileges")
    return True
