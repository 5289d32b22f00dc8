"""
One worker as its supervisor sees it: started, started again when it dies, asked, told to stop.

Not a worker itself (worker.py), and not the one that knows them all (supervisor.py).
"""

import asyncio
import contextlib
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from pymta.app.told import Assignment, Pulse
from pymta.observe.counted import Counted, total
from pymta.observe.events import Admin, Trouble
from pymta.observe.log import Log
from pymta.runtime.channel import ChannelLost, Declined
from pymta.runtime.child import Child
from pymta.runtime.restarts import Restarts

__all__ = ["State", "Supervised"]

State = Literal["starting", "running", "waiting", "given up", "stopped"]

PULSE_S = 1.0
_LINE_BEGIN = b'{"time":'
PULSE_WAIT_S_MAX = 5.0
ASK_S_MAX = 600.0


class Supervised:
    """
    Args:
        number: Of the worker, from 1.
        sockets: The listening sockets that it accepts from; they outlive it, so that nobody is refused while it is
            started again.
        assignment: Makes what it is told; asked anew at each start.
        log: Gets its lines, and what is said about it.
        tell_others: Called with what it wants all others to know.
        on_gone: Called each time its process has ended.
        on_given_up: Called when it has died too often.
    """

    def __init__(
        self,
        number: int,
        sockets: Sequence[socket.socket],
        *,
        assignment: Callable[[int, Sequence[socket.socket]], Assignment],
        log: Log,
        tell_others: Callable[["Supervised", str, tuple[Any, ...]], None],
        on_gone: Callable[["Supervised"], None],
        on_given_up: Callable[["Supervised"], None],
    ) -> None:
        self.number = number
        self.state: State = "waiting"
        self.restarts = Restarts()
        self.started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._sockets = list(sockets)
        self._assignment = assignment
        self._log = log
        self._tell_others = tell_others
        self._on_gone = on_gone
        self._on_given_up = on_given_up
        self._child: Child | None = None
        self._gone = asyncio.Event()
        self._running = asyncio.Event()
        self._stopping = False
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._pulse: Pulse | None = None
        self._pulse_at_s = 0.0
        self._retired = Counted()

    # ---- its life

    def start(self) -> None:
        """Start it; `started` gets the reason where it cannot begin for the first time, else an empty text."""
        self._timer = None
        self.state = "starting"
        self._gone.clear()
        assignment = self._assignment(self.number, self._sockets)
        try:
            self._child = Child(
                [sys.executable, "-m", "pymta.app.worker"],
                assignment,
                fds=(*assignment.listening_fds, assignment.board_fd),
                handle=self._answer,
                on_lines=self._on_lines,
                on_exit=self._on_exit,
            )
        except OSError as error:
            if not self.started.done():  # nor will it be in a moment: the whole start fails, with the reason
                self.started.set_result(f"{self.name} cannot be started: {error}")
                return
            self._log.emit(Trouble(what="a worker cannot be started", error=str(error), where=self.name))
            self._again(0.0, -1)
            return
        self._spawn(self._live(self._child))

    @property
    def name(self) -> str:
        """As a person reads it."""
        return f"worker {self.number}"

    @property
    def pid(self) -> int:
        """Its process id; 0 while there is none."""
        return self._child.pid if self._child is not None else 0

    def stop_accepting(self) -> None:
        """Let go of the sockets: when the worker does too, nobody is let in to wait in vain."""
        for listening in self._sockets:
            listening.close()
        self._sockets.clear()

    async def stop(self, wait_s_max: float) -> None:
        """End it as an operator would; one that does not end in time is killed."""
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
        if self._child is not None:
            self._child.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(wait_s_max):
                    await self._gone.wait()
            except TimeoutError:
                self._log.emit(Trouble(what="a worker did not stop in time", where=self.name))
                self.kill()
                await self._gone.wait()
        self.state = "stopped"
        for task in tuple(self._tasks):
            task.cancel()

    async def wait_gone(self) -> None:
        """The channel to it was lost: return when that is known here, too."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._gone.wait()

    def kill(self) -> None:
        """End it at once; it is started again unless it is being stopped."""
        if self._child is not None:
            self._child.send_signal(signal.SIGKILL)

    # ---- asking it

    async def ask(self, question: str, *arguments: Any, wait_s_max: float = ASK_S_MAX) -> Any:
        """
        Its answer; one that is being started is waited for.

        Raises:
            Declined: It says no.
            ChannelLost: It cannot be asked.
        """
        if self.state in ("starting", "waiting"):
            try:
                async with asyncio.timeout(min(wait_s_max, PULSE_WAIT_S_MAX)):
                    await self._running.wait()
            except TimeoutError:
                raise ChannelLost(f"it is {self.state}") from None
        if self._child is None:
            raise ChannelLost(f"it is {self.state}")
        return await self._child.channel.ask(question, *arguments, wait_s_max=wait_s_max)

    @property
    def counted(self) -> Counted:
        """Its numbers of a moment ago, with those of the processes that it was before."""
        return total([self._retired, *([self._pulse.counted] if self._pulse is not None else [])])

    @property
    def why_not_ready(self) -> str | None:
        """Why it takes no new mail; None where it does."""
        if self.state == "given up":
            return None  # it has no sockets any more: nobody comes to it
        if self.state != "running":
            return f"{self.name} is {self.state}"
        silent_s = time.monotonic() - self._pulse_at_s
        if silent_s > PULSE_WAIT_S_MAX + 2 * PULSE_S:
            return f"{self.name} has not answered for {silent_s:.0f} s"
        why = self._pulse.why_not_ready if self._pulse is not None else None
        return None if why is None else f"{self.name}: {why}"

    def tell(self, what: str, arguments: tuple[Any, ...]) -> None:
        """Let it know what another worker counted; without effect while it is not running."""
        if self._child is not None and self.state == "running":
            self._spawn(self._told(self._child, what, arguments))

    async def _told(self, child: Child, what: str, arguments: tuple[Any, ...]) -> None:
        with contextlib.suppress(ChannelLost, Declined):
            await child.channel.ask("told", what, arguments, wait_s_max=PULSE_WAIT_S_MAX)

    async def feel_pulse(self) -> None:
        """Ask for its numbers now."""
        if self._child is None or self.state != "running":
            return
        try:
            pulse: Pulse = await self._child.channel.ask("pulse", wait_s_max=PULSE_WAIT_S_MAX)
        except (ChannelLost, Declined):
            return  # one that is busy or dying; what it counted so far is known
        self._pulse, self._pulse_at_s = pulse, time.monotonic()

    # ---- inside

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self, child: Child) -> None:
        try:
            await child.start()
        except OSError:
            return  # it has ended: `_on_exit` comes
        while child is self._child:
            await self.feel_pulse()
            await asyncio.sleep(PULSE_S)

    async def _answer(self, question: str, arguments: tuple[Any, ...]) -> Any:
        if question == "tell others":
            self._tell_others(self, *arguments)
            return
        assert question == "started", "the only other thing that a worker ever says unasked"
        (failure,) = arguments
        if not failure:
            self.state = "running"
            self._pulse_at_s = time.monotonic()
            self._running.set()
            self._spawn(self.feel_pulse())
        elif self.started.done():
            self._log.emit(Trouble(what="a worker cannot begin", error=failure, where=self.name))
        if not self.started.done():
            self.started.set_result(failure)

    def _on_lines(self, lines: bytes) -> None:
        ours = lines.startswith(_LINE_BEGIN) + lines.count(b"\n" + _LINE_BEGIN)
        if self._log.format == "text" or ours == lines.count(b"\n"):
            self._log.writer.write(lines)
            return
        # Something that is no line of the log: a library, or the interpreter at its end.
        for line in lines.splitlines(keepends=True):
            if line.startswith(_LINE_BEGIN):
                self._log.writer.write(line)
            elif line.strip():
                text = line.decode("utf-8", "replace").rstrip()
                self._log.emit(Trouble(what="a worker printed", error=text, where=self.name))

    def _on_exit(self, status: int) -> None:
        child, self._child = self._child, None
        assert child is not None, "one process at a time"
        self._running.clear()
        self._on_gone(self)
        if self._pulse is not None:
            self._retired = total([self._retired, self._pulse.counted.retired()])
            self._pulse = None
        self._gone.set()
        if not self.started.done():
            self.started.set_result(f"{self.name} ended with status {status} while it started")
            return
        if not self._stopping:
            self._again(time.monotonic() - child.started_s, status)

    def _again(self, ran_s: float, status: int) -> None:
        how = f"signal {-status}" if status < 0 else f"status {status}"
        wait_s = self.restarts.wait_s(ran_s)
        if wait_s is None:
            self.state = "given up"
            self.stop_accepting()
            self._log.emit(
                Trouble(what="a worker ended too often and is given up", error=how, where=self.name)
            )
            self._on_given_up(self)
            return
        self.state = "waiting"
        detail = f"{self.name} ended with {how} after {ran_s:.1f} s; started again in {wait_s:g} s"
        self._log.emit(Admin(action="worker ended", detail=detail))
        self._timer = asyncio.get_running_loop().call_later(wait_s, self.start)
