"""
How a session can end, as the log says it.
"""

from typing import Literal

__all__ = ["CLOSE_S_MAX", "End"]

# How long an orderly end may take before the connection is cut.
CLOSE_S_MAX = 5.0

End = Literal["quit", "closed", "timed_out", "violations", "refused", "tls_failed", "stopping", "trouble"]
