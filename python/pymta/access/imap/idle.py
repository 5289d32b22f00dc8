"""
Who waits for changes of a mailbox is woken when its files change, whoever changed them: this process, another worker, or a
program that knows nothing of us. That is inotify; a file is watched once, however many wait for it.

What changed is not said. Whoever is woken looks. Rule: where something cannot be watched (the system has a limit), those who
wait are told that they are blind, and look from time to time.
"""

import asyncio
from collections.abc import Callable, Iterable

from pymta._core import Watches
from pymta.observe.events import Trouble
from pymta.observe.log import Log

__all__ = ["Wakes", "Watch"]


class Wakes:
    """One instance a process."""

    def __init__(self, log: Log) -> None:
        """
        Args:
            log: Told, once, when the system watches no more.
        """
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, set[Watch]] = {}
        self._has_complained = False
        self._watches: Watches | None = None
        try:
            self._watches = Watches()
            self._loop.add_reader(self._watches.fd, self._changed)
        except OSError as error:
            self._complain(error, "fs.inotify.max_user_instances")

    def watch(self, wake: Callable[[], None]) -> "Watch":
        """For somebody who waits; `Watch.use` says for what."""
        return Watch(self, wake)

    @property
    def watched_count(self) -> int:
        """Files and folders."""
        return len(self._waiting)

    def close(self) -> None:
        """The server stops."""
        if self._watches is not None:
            self._loop.remove_reader(self._watches.fd)

    def add(self, watch: "Watch", path: str) -> int | None:
        """Its number; None where it cannot be watched."""
        if self._watches is None:
            return None
        try:
            number = self._watches.add(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._complain(error, "fs.inotify.max_user_watches")
            return None
        self._waiting.setdefault(number, set()).add(watch)
        return number

    def remove(self, watch: "Watch", number: int) -> None:
        """Nobody else may wait for it."""
        waiting = self._waiting.get(number)
        if waiting is not None:
            waiting.discard(watch)
            if not waiting:
                del self._waiting[number]
                if self._watches is not None:
                    self._watches.remove(number)

    def _complain(self, error: OSError, setting: str) -> None:
        if self._has_complained:
            return
        self._has_complained = True
        self._log.emit(
            Trouble(
                what="changes of mailboxes are not seen at once",
                error=f"{error}; see {setting}",
                where="access.imap",
            )
        )

    def _changed(self) -> None:
        if self._watches is None:
            return
        seen, gone, some_were_lost = self._watches.read()
        woken: set[Watch] = set()
        for number in self._waiting if some_were_lost else (*seen, *gone):
            woken |= self._waiting.get(number, set())
        for number in gone:
            for watch in self._waiting.pop(number, ()):
                watch.lost(number)
        for watch in woken:
            watch.wake()


class Watch:
    """What one session waits for."""

    __slots__ = ("_is_closed", "_numbers", "_wakes", "is_blind", "wake")

    def __init__(self, wakes: Wakes, wake: Callable[[], None]) -> None:
        self._wakes = wakes
        self.wake = wake
        self._numbers: dict[str, int] = {}
        self._is_closed = False
        self.is_blind = False
        """Something of it is not watched: look from time to time."""

    def use(self, paths: Iterable[str]) -> bool:
        """
        Wait for these from now on. What was changed before it returns may have been missed: look once.

        Nothing happens once it is closed: a look that was begun before may still ask.

        Returns:
            Whether there is one among them that was not waited for before.
        """
        if self._is_closed:
            return False
        wanted = set(paths)
        for path in self._numbers.keys() - wanted:
            self._forget(path)
        missing = [path for path in wanted if path not in self._numbers]
        self.is_blind = False
        is_more = False
        for path in missing:
            number = self._wakes.add(self, path)
            if number is None:
                self.is_blind = True
            else:
                self._numbers[path] = number
                is_more = True
        return is_more

    def lost(self, number: int) -> None:
        """What was watched is gone; a new one of the same name may be there, so `use` asks again."""
        for path in [path for path, mine in self._numbers.items() if mine == number]:
            del self._numbers[path]
        self.is_blind = True

    def close(self) -> None:
        """Waits no longer."""
        self._is_closed = True
        for path in tuple(self._numbers):
            self._forget(path)

    def _forget(self, path: str) -> None:
        number = self._numbers.pop(path)
        if number not in self._numbers.values():  # two names of one file
            self._wakes.remove(self, number)
