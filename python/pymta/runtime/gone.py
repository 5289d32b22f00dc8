"""
What a driver has instead of its transport when the connection is lost, so that the transport is freed at once.
"""

import asyncio
from typing import Final

__all__ = ["GONE"]


class _Gone(asyncio.Transport):
    """Closed, and so nothing else is asked of it."""

    def is_closing(self) -> bool:
        return True

    def close(self) -> None:
        """It is."""

    def abort(self) -> None:
        """It is."""


GONE: Final = _Gone()
