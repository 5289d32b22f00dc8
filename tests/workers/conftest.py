"""
Fixtures of the crash tests, for those that kill workers.
"""

from tests.crash.conftest import hop, random

__all__ = ["hop", "random"]
