"""
What can become of asking for a certificate, as types.
"""

import msgspec

from pymta.mail.errors import PymtaError

__all__ = ["NotIssued", "Renewal"]


class NotIssued(PymtaError):
    """
    A certificate could not be had; the text says why. It is tried again.

    Attributes:
        retry_after_s: What the authority asked us to wait; 0 where it did not.
    """

    def __init__(self, problem: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(problem)
        self.retry_after_s = retry_after_s


class Renewal(msgspec.Struct, frozen=True):
    """What became of one name."""

    name: str
    problem: str = ""
    """Empty: the certificate is there."""
