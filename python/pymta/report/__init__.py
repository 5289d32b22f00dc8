"""
Mail about mail: delivery status notifications (RFC 3461, 3464, 6522, 6533).

It returns Injections and spools nothing; who is told what is decided by the envelope alone. Rule: a null reverse-path
is never answered, and what is made here has one, so mail about mail ends here (ARCHITECTURE.md, invariants).
"""

from pymta.mail.injection import Injection
from pymta.report.dsn import compose_dsn, is_wanted
from pymta.report.fate import ACTIONS, Action, Fate, fates_of
from pymta.report.settings import ReportSettings

__all__ = ["ACTIONS", "Action", "Fate", "Injection", "ReportSettings", "compose_dsn", "fates_of", "is_wanted"]
