"""
What is new of mailboxes, said to a client that asks for nothing: while IDLE goes on (RFC 2177), or NOTIFY is in force
(RFC 5465).

A look at the mailboxes is a task of its own. Rule: none begins while a command is carried out or a message is uploaded, and
a command waits for the look that goes on; so nothing is said in the middle of an answer. To a client that does not read,
nothing more is said until it has; then it is told how things are, and not everything that happened meanwhile.
"""

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING, Final

from pymta._core import ImapSession, ImapUpload, ImapView
from pymta.access.connection import Connection
from pymta.access.imap.idle import Watch

if TYPE_CHECKING:
    from pymta.access.imap.door import ImapDoor

__all__ = ["NewsTeller"]

# Of what comes in bursts, the second look at a mailbox is not before this.
LOOK_S_MIN: Final = 0.01
# How often who cannot be woken looks by himself.
BLIND_LOOK_S: Final = 10.0

_STILL_HERE: Final = b"* OK Still here\r\n"


class NewsTeller(Connection[ImapSession]):
    """See the module. What else a connection does is the driver's."""

    _door: "ImapDoor"
    _upload: ImapUpload | None = None
    _watch: Watch | None = None
    _look: asyncio.Task[None] | None = None
    _look_timer: asyncio.TimerHandle | None = None
    _is_idling = False
    _is_notifying = False
    _is_telling = False
    _has_changed = False
    _looked_at_s = 0.0
    _said_at_s = 0.0

    @property
    @abstractmethod
    def _opened(self) -> ImapView:
        """The view, of somebody who has logged in."""

    @property
    @abstractmethod
    def _account(self) -> str:
        """Whose it is."""

    @abstractmethod
    def _say(self, octets: bytes) -> None:
        """What the view said."""

    @abstractmethod
    def _look_after(self, view: ImapView) -> None:
        """After each call."""

    # ---- when

    def _begin_idle(self) -> None:
        self._door.metrics.imap_commands.add("IDLE")
        self._door.metrics.imap_idle += 1
        self._is_idling = True
        self._said_at_s = self._loop.time()
        self._begin_watching()

    def _end_idle(self) -> None:
        if self._is_idling:
            self._is_idling = False
            self._door.metrics.imap_idle -= 1
            if not self._is_notifying:
                self._stop_watching()

    def _watch_as_wanted(self, view: ImapView) -> None:
        """After a command: what it selected, or said with NOTIFY."""
        self._is_notifying = view.notifying
        if self._is_notifying:
            self._begin_watching()
        else:
            self._stop_watching()

    def _begin_watching(self) -> None:
        if self._watch is None:
            self._watch = self._door.mailboxes.wakes.watch(self._changed)
        # The first look is for what changed before it was watched.
        self._changed()

    def _stop_watching(self) -> None:
        watch, self._watch = self._watch, None
        self._has_changed = False
        if self._look_timer is not None:
            self._look_timer.cancel()
            self._look_timer = None
        if watch is not None:
            watch.close()

    def _stop_telling(self) -> None:
        """The connection is lost."""
        self._end_idle()
        self._stop_watching()
        look, self._look = self._look, None
        if look is not None:
            look.cancel()

    # ---- looking

    def _changed(self) -> None:
        """Something of the mailboxes may be new."""
        self._has_changed = True
        if self._look is None and self._look_timer is None:
            early_s = self._looked_at_s + LOOK_S_MIN - self._loop.time()
            if early_s > 0:
                self._look_timer = self._loop.call_later(early_s, self._begin_look)
            else:
                self._begin_look()

    def _begin_look(self) -> None:
        self._look_timer = None
        is_busy = self._task is not None or self._upload is not None or self._session.waiting_for_decision
        # Who does not read what was said is told no more for now. Both end with `advance`, which comes back to it.
        if self._watch is not None and not is_busy and self._writing_paused_at_s is None:
            self._has_changed = False
            self._looked_at_s = self._loop.time()
            self._look = self._loop.create_task(self._look_now(self._watch))

    async def _look_now(self, watch: Watch) -> None:
        mailboxes, view = self._door.mailboxes, self._opened
        try:
            # Before the look, so that nothing falls between the two.
            watch.use(view.watched)
            octets = await mailboxes.call(
                self._account, view.poll, mailboxes.now_ms(), idling=self._is_idling
            )
            if octets or view.running:
                self._door.metrics.imap_notices += 1
                self._say(octets)
            if view.running:
                await self._tell_on(view)
            # A mailbox that was found only now has been looked into without being watched.
            if watch.use(view.watched):
                self._has_changed = True
            self._look_after(view)
            if self._session.closing:
                self.advance()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.fail(error)
        self._look = None
        if self._has_changed:
            self._changed()

    async def _tell_on(self, view: ImapView) -> None:
        """A piece may end within a literal: what the session would answer by itself comes after the last one."""
        mailboxes = self._door.mailboxes
        self._is_telling = True
        self._pause_reading()
        while view.running and not self._transport.is_closing():
            await self._writable.wait()
            self._say(await mailboxes.call(self._account, view.go_on, mailboxes.now_ms()))
        self._is_telling = False
        self._loop.call_soon(self.advance)

    def advance(self) -> None:
        """As of every connection; then what could not be looked at before."""
        if self._is_telling:
            return
        super().advance()
        if self._has_changed and self._watch is not None:
            self._changed()

    # ---- time

    def sweep(self, now_s: float) -> None:
        """As of every connection; then who has to hear of us, or cannot be woken."""
        super().sweep(now_s)
        watch = self._watch
        is_mute = self._is_telling or self._writing_paused_at_s is not None
        if watch is None or is_mute or self._transport.is_closing():
            return
        if watch.is_blind and now_s - self._looked_at_s > BLIND_LOOK_S:
            self._changed()
        if self._is_idling and now_s - self._said_at_s >= self._door.imap.still_here_s:
            self._say(_STILL_HERE)
