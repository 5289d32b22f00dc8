"""
What stays on this host, put together: mailboxes, accounts that are away, programs and files.
"""

from collections.abc import Callable

from pymta.accept.intake import Intake
from pymta.config.settings import Settings
from pymta.deliver.maildir import MaildirDelivery
from pymta.deliver.mbox import MBOXES_AT_ONCE_MAX, deliver_to_mbox
from pymta.deliver.pipe import run_program
from pymta.directory import Directory
from pymta.directory.srs import Srs
from pymta.mail.errors import ConfigError, PymtaError
from pymta.mail.route import Route
from pymta.observe.events import Trouble
from pymta.observe.log import Log
from pymta.queue.local import LocalSite
from pymta.queue.observer import QueueObserver
from pymta.queue.site import SiteOwner
from pymta.queue.tasks import TaskSite
from pymta.queue.vacations import Vacations
from pymta.report import ReportSettings

__all__ = ["LocalDeliveries"]


class LocalDeliveries:
    """The parts, and their common end."""

    def __init__(
        self,
        settings: Settings,
        directory: Directory,
        srs: Srs | None,
        *,
        intake: Intake,
        observer: QueueObserver,
        log: Log,
        now_ms: Callable[[], int],
    ) -> None:
        """
        Args:
            settings: Of the whole server.
            directory: Who is ours.
            srs: What is forwarded leaves with.
            intake: Takes what is sent on and what is answered.
            observer: Told of trouble.
            log: The log.
            now_ms: The clock.

        Raises:
            ConfigError: A folder or file cannot be used.
        """
        self._settings = settings
        self._observer = observer
        self._log = log
        self._now_ms = now_ms
        self.maildir = self._open_maildir()
        self._close_vacations: Callable[[], None] = lambda: None
        self.site = LocalSite(
            directory,
            self.maildir,
            srs=srs,
            send_on=intake.inject,
            observer=observer,
            vacations=self._open_vacations(intake),
        )

    def use(self, settings: Settings, directory: Directory, srs: Srs | None) -> None:
        """After a reload."""
        self._settings = settings
        self.site.use_directory(directory, srs)
        self.maildir.use_settings(settings.mailboxes)

    def close(self) -> None:
        """After the sites are closed."""
        self._close_vacations()

    def task_site(self, owner: SiteOwner, route: Route) -> TaskSite:
        """For a program or a file of this host; what they may use is as it was configured when mail first came."""
        pipe, mbox = self._settings.pipe, self._settings.mbox
        if route.transport == "pipe":
            return TaskSite(
                owner,
                lambda route, message, index: run_program(route.command, message, index, pipe),
                tasks_max=pipe.processes_max,
                observer=self._observer,
            )
        return TaskSite(
            owner,
            lambda route, message, index: deliver_to_mbox(route.file, message, index, mbox),
            tasks_max=MBOXES_AT_ONCE_MAX,
            observer=self._observer,
        )

    def _open_maildir(self) -> MaildirDelivery:
        settings = self._settings
        try:
            return MaildirDelivery(
                settings.mailboxes_folder,
                settings.mailboxes,
                hostname=settings.server.hostname.name,
                now_ms=self._now_ms,
                trouble=self._trouble,
            )
        except OSError as error:
            raise ConfigError(str(error), option="mailboxes.folder") from error

    def _open_vacations(self, intake: Intake) -> Vacations | None:
        if self._settings.directory.source == "none":
            return None
        from pymta.directory.vacation import VacationStore  # a library of megabytes

        try:
            store = VacationStore(self._settings.vacation_file)
        except PymtaError as error:
            raise ConfigError(str(error), option="server.data_folder") from error
        self._close_vacations = store.close
        return Vacations(
            store,
            ReportSettings.from_settings(self._settings),
            inject=intake.inject,
            log=self._log,
            now_ms=self._now_ms,
        )

    def _trouble(self, error: str, spool_id: str) -> None:
        self._log.emit(
            Trouble(
                what="a mailbox cannot be written", error=error, where="deliver.maildir", spool_id=spool_id
            )
        )
