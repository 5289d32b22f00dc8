"""
How many files and connections the process may have open.
"""

from __future__ import annotations

import os
import resource
import sys

__all__ = ["in_use", "open_files_max", "raise_limit"]


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


def open_files_max() -> int:
    """How many may be open now (the soft limit)."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def in_use() -> int:
    """How many are open; 0 where the system does not say. Looks at each of them."""
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - no path is made of what it gives
    except OSError:
        return 0
