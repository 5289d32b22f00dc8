"""
When a certificate is renewed, and when it is tried again after a failure. Pure: the clock is an argument.
"""

import datetime
from typing import Final

from pymta.config.settings.acme import AcmeSettings

__all__ = ["renewal_at", "retry_wait_s"]

SHORT_LIVED: Final = datetime.timedelta(days=10)


def renewal_at(
    begin: datetime.datetime, end: datetime.datetime, *, before_days: int | None
) -> datetime.datetime:
    """
    When a certificate that is valid from *begin* to *end* is to be renewed.

    Args:
        begin: As the certificate has it.
        end: Likewise.
        before_days: `acme.renew_before_days`; None is a third of its life, or half of it for a short one.

    Returns:
        A date in the second half of its life, so that no setting makes us ask for one after the other.
    """
    life = end - begin
    if before_days is None:
        before = life / 2 if life < SHORT_LIVED else life / 3
    else:
        before = min(datetime.timedelta(days=before_days), life / 2)
    return end - before


def retry_wait_s(failures: int, settings: AcmeSettings, *, asked_s: float = 0.0) -> float:
    """
    How long to wait after the last of *failures* in a row.

    Args:
        failures: 1 is the first.
        settings: Shortest and longest wait.
        asked_s: What the authority asked for; obeyed where it is more, up to the longest wait.
    """
    doubled = settings.retry_s_min * 2.0 ** min(failures - 1, 30)
    return min(max(doubled, asked_s), float(settings.retry_s_max))
