"""
Which version this is, and whether it is alone: the distribution is `pymta-server`, but another one on the package
index, `pymta`, has an import package of the same name. With both in one environment their files are mixed.
"""

from __future__ import annotations

from importlib import metadata

__all__ = ["other_distribution", "version"]

_OURS = "pymta-server"


def version() -> str:
    """The version of the installed distribution; "0+tree" where the source tree is run without being installed."""
    try:
        return metadata.version(_OURS)
    except metadata.PackageNotFoundError:
        return "0+tree"


def other_distribution() -> str | None:
    """Name and version of the other `pymta` where it is installed here too."""
    try:
        return f"pymta {metadata.version('pymta')}"
    except metadata.PackageNotFoundError:
        return None
