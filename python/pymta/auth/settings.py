"""
What of the configuration's [auth] the parts here are given.
"""

from pymta.auth.schemes import HashCost
from pymta.config.settings.auth import AuthSettings

__all__ = ["hash_cost"]


def hash_cost(settings: AuthSettings) -> HashCost:
    """What a new password costs."""
    return HashCost(
        memory_kib=settings.hash_memory_octets // 1024,
        passes=settings.hash_passes,
        scram_iterations=settings.scram_iterations,
    )
