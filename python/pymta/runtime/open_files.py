"""
How many files and connections the process may have open.
"""

from __future__ import annotations

import resource

__all__ = ["raise_limit"]


def raise_limit(wanted: int) -> int:
    """
    Raise the soft limit to *wanted*, and the hard one too where we may (root); never lower either.

    Returns:
        What the soft limit is now; less than *wanted* where the system does not give more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted if soft == resource.RLIM_INFINITY else soft
    if hard != resource.RLIM_INFINITY and hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return wanted
        except (ValueError, OSError):
            wanted = hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
