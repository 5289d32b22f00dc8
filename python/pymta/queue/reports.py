"""
What a round ends with is told to the reverse-path: asks the station report, makes durable what it returns.
"""

from collections.abc import Awaitable, Callable

from pymta._core import QueuedMessage
from pymta.config.settings.queue import QueueSettings
from pymta.mail.injection import Injection
from pymta.observe.events import Report
from pymta.observe.log import Log
from pymta.observe.metrics import Metrics
from pymta.queue.round import RecipientOutcome
from pymta.queue.schedule import lifetime_ms
from pymta.report import ReportSettings, compose_dsn, fates_of, is_wanted

__all__ = ["QueueReporter"]


class QueueReporter:
    """See the module."""

    def __init__(
        self,
        settings: ReportSettings,
        *,
        inject: Callable[[Injection], Awaitable[str]],
        log: Log,
        metrics: Metrics,
    ) -> None:
        self.settings = settings
        self._inject = inject
        self._log = log
        self._metrics = metrics

    async def report(
        self, message: QueuedMessage, outcomes: list[RecipientOutcome], *, now_ms: int, queue: QueueSettings
    ) -> None:
        """
        Tell the reverse-path of the outcomes that it wants to hear of, if any; returns when that is durable.

        Raises:
            SpoolError: The report could not be made durable; nothing may be settled then.
        """
        envelope = message.envelope
        if envelope.reverse_path is None:
            return
        retry_until_ms = message.spooled_at_ms + lifetime_ms(is_report=False, settings=queue)
        fates = [
            fate
            for fate in fates_of(message, outcomes, now_ms=now_ms, retry_until_ms=retry_until_ms)
            if is_wanted(envelope.recipient(fate.index), fate.action)
        ]
        injection = compose_dsn(message, fates, settings=self.settings, now_ms=now_ms) if fates else None
        if injection is None:
            return
        spool_id = await self._inject(injection)
        for action in sorted({fate.action for fate in fates}):
            self._metrics.reports_made.add(action)
            self._log.emit(
                Report(
                    spool_id=spool_id,
                    about=message.id,
                    action=action,
                    forward_path=str(envelope.reverse_path),
                    recipients=sum(fate.action == action for fate in fates),
                )
            )
