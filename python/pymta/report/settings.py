"""
What a DSN needs to know of the server. Values only.
"""

import msgspec

from pymta.config.settings import Settings

__all__ = ["ReportSettings"]


class ReportSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Frozen; a reload makes a new one."""

    reporting_mta: str
    """Our own name: in Reporting-MTA, in the Message-ID, behind the @ of the author."""
    content_octets_max: int = 64 << 10
    """
    A message longer than this is returned as its header section only, which is cut there, too. What a forged
    reverse-path gets from us is bounded by it, and so is what a DSN costs (Postfix bounce_size_limit: 50,000).
    """
    text_recipients_max: int = 20
    """The readable part names so many recipients of an action; the part for programs names all."""

    @property
    def author(self) -> str:
        """Who answers for the report: a person, so that an answer to it is read (RFC 3464 §2.1)."""
        return f"postmaster@{self.reporting_mta}"

    @classmethod
    def from_settings(cls, settings: Settings) -> "ReportSettings":
        """What the whole configuration says."""
        return cls(reporting_mta=settings.server.hostname.name)
