"""
After a delivery: tells the author that the account is away, where it is and the rules of `report/vacation.py` allow it.
"""

from collections.abc import Awaitable, Callable

from pymta._core import QueuedMessage
from pymta.directory import LocalDelivery
from pymta.directory.vacation import VacationStore
from pymta.mail.injection import Injection
from pymta.observe.events import Report
from pymta.observe.log import Log
from pymta.report import ReportSettings
from pymta.report.vacation import compose_vacation, why_not_answered

__all__ = ["Vacations"]


class Vacations:
    """See the module."""

    def __init__(
        self,
        store: VacationStore,
        settings: ReportSettings,
        *,
        inject: Callable[[Injection], Awaitable[str]],
        log: Log,
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._settings = settings
        self._inject = inject
        self._log = log
        self._now_ms = now_ms

    def is_due(self, delivery: LocalDelivery) -> bool:
        """Whether the account is away at all: asked of each delivery, so it costs next to nothing."""
        return self._store.find(delivery.account.name, self._now_ms()) is not None

    async def answer(self, message: QueuedMessage, delivery: LocalDelivery, came_by: tuple[str, ...]) -> None:
        """
        Answer a message that was delivered.

        Args:
            message: It.
            delivery: To whom.
            came_by: Canonical addresses that stood for the account.

        Raises:
            TemporaryFailure, SpoolError: It could not be; nobody is told twice for that.
        """
        account, now_ms = delivery.account, self._now_ms()
        vacation = self._store.find(account.name, now_ms)
        if vacation is None:
            return
        own = {account.name, *account.addresses, *came_by, *vacation.addresses}
        if why_not_answered(message, own) is not None:
            return
        reverse_path = str(message.envelope.reverse_path)
        if not self._store.told(account.name, reverse_path, vacation, now_ms):
            return
        answer = compose_vacation(message, account.name, vacation, settings=self._settings, now_ms=now_ms)
        spool_id = await self._inject(answer)
        self._log.emit(
            Report(spool_id=spool_id, about=message.id, action="vacation", forward_path=reverse_path)
        )
