"""
Exit statuses as sendmail's callers expect them (sysexits.h), and which of them a reply means.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pymta._core import Reply

__all__ = ["ExitStatus", "exit_status_of"]


class ExitStatus(IntEnum):
    """The part of sysexits.h that is used."""

    OK = 0
    USAGE = 64
    """The call is wrong: an option, or no recipient."""
    DATAERR = 65
    """The message or an address in it is wrong; it will be as wrong the next time."""
    NOUSER = 67
    """A forward-path was refused as not existing."""
    NOHOST = 68
    """The server's name is not known."""
    UNAVAILABLE = 69
    """Refused for good, for another reason."""
    SOFTWARE = 70
    """A bug of ours."""
    OSERR = 71
    """The system did not let us."""
    TEMPFAIL = 75
    """Nobody answers, or it says to come again later."""
    NOPERM = 77
    """Refused by policy."""
    CONFIG = 78
    """The configuration cannot be read."""


def exit_status_of(replies: list[Reply]) -> ExitStatus:
    """
    What the replies for the recipients of one message mean together; the worst counts.

    Temporary only where none is permanent: trying again would not help the others.
    """
    permanent = [reply for reply in replies if reply.is_permanent]
    if not permanent:
        return ExitStatus.OK if all(reply.is_positive for reply in replies) else ExitStatus.TEMPFAIL
    # By the subject of the enhanced status (RFC 3463 §3): addresses, content, policy.
    statuses = {
        "5.1.": ExitStatus.NOUSER,
        "5.6.": ExitStatus.DATAERR,
        "5.3.4": ExitStatus.DATAERR,
        "5.7.": ExitStatus.NOPERM,
    }
    for reply in permanent:
        for subject, status in statuses.items():
            if (reply.enhanced or "").startswith(subject):
                return status
    return ExitStatus.UNAVAILABLE
