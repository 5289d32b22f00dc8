"""
What each worker counts for all of them: failed logins and what accounts submit. One tells, the others count along.

Not connections, which are many and are on the board (pymta/runtime/board.py). What is told arrives some milliseconds later, and
what is told to a worker that dies is lost with it; limits of this kind are not meant to the last one.
"""

from collections.abc import Callable
from typing import Any

from pymta.auth.guard import Guard
from pymta.config.settings import SubmissionSettings
from pymta.config.settings.auth import AuthSettings
from pymta.mail.verdict import Verdict
from pymta.policy.checks.rates import Burst, Rates

__all__ = ["SharedGuard", "SharedRates", "Tell"]

Tell = Callable[..., None]
"""(what happened, arguments): to all other workers."""


class SharedGuard(Guard):
    """A guard that tells the others of failures, and of who is at home where."""

    def __init__(self, settings: AuthSettings, tell: Tell) -> None:
        super().__init__(settings)
        self._tell = tell

    def failed(self, peer_address: str, account: str) -> tuple[float, str]:
        """As `Guard`."""
        self._tell("login failed", peer_address, account)
        return super().failed(peer_address, account)

    def succeeded(self, peer_address: str, account: str) -> None:
        """As `Guard`."""
        self._tell("login", peer_address, account)
        super().succeeded(peer_address, account)

    def told(self, what: str, arguments: tuple[Any, ...]) -> None:
        """What another one has counted."""
        if what == "login failed":
            super().failed(*arguments)
        elif what == "login":
            super().succeeded(*arguments)


class SharedRates(Rates):
    """Rates that tell the others of what was submitted."""

    def __init__(self, settings: SubmissionSettings, *, now_ms: Callable[[], int], tell: Tell) -> None:
        super().__init__(settings, now_ms=now_ms)
        self._tell = tell

    def take(self, name: str, recipients: int) -> Verdict | Burst | None:
        """As `Rates`."""
        verdict = super().take(name, recipients)
        if not isinstance(verdict, Verdict):
            self._tell("submitted", name, recipients)
        return verdict

    def told(self, what: str, arguments: tuple[Any, ...]) -> None:
        """What another one has counted."""
        if what == "submitted":
            self.count_along(*arguments)
