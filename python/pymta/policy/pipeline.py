"""
The stages: each calls the operator's hook, and whatever the hook does the server gets a verdict.

A stage is an attribute of `Policy`: None where the script has no such hook (the door skips it), else a function that
answers at once for a plain hook (None to go on, or a `Verdict`) and gives a coroutine for an `async def` one. The door
looks at the type and makes a task only for a coroutine, so a plain hook costs a call and nothing more.

A hook that raises, answers nonsense or takes too long costs that one message a 451; the traceback goes to the report.
What is *not* possible: to interrupt a plain hook that blocks. Its time is measured and reported afterwards.
"""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol

from pymta._core import Address, QueuedMessage, Recipient
from pymta.mail.outcome import Attempt
from pymta.mail.verdict import RouteChoice, Verdict
from pymta.policy.annotations import Annotations, encode
from pymta.policy.loader import Script
from pymta.policy.message import Message, QueuedMail
from pymta.policy.session import Credentials, MailParameters, Session
from pymta.policy.trouble import Report, Troubles, as_greeting, decision

__all__ = ["Answer", "Policy", "PolicyLimits", "RouteAnswer"]

Answer = Verdict | Coroutine[Any, Any, Verdict | None] | None
"""None: go on. A coroutine must be run to its end in a task and gives one of the other two."""

RouteAnswer = RouteChoice | Verdict | Coroutine[Any, Any, RouteChoice | Verdict | None] | None
"""None: as configured. A Verdict is refuse or defer: its reply is the outcome for these recipients."""

# What each stage may answer. Before there is a message there is nothing to discard or to hold.
_SAY_NO: Final = frozenset(("accept", "refuse", "defer"))
_ALLOWED: Final = {
    "message": frozenset(("accept", "refuse", "defer", "discard", "hold")),
    "burst": frozenset(("accept", "refuse", "defer", "hold")),
}
# Where an accept is not "go on" but vouches for the client.
_VOUCHES: Final = frozenset(("auth", "token", "burst"))


class PolicyLimits(Protocol):
    """The part of the configuration's [policy] that is needed here."""

    @property
    def hook_s_max(self) -> float:
        """How long an async hook may take; a plain hook that takes longer is reported."""

    @property
    def hooks_waiting_max(self) -> int:
        """How many calls of async hooks may be waiting at once, and as many observing ones."""


class Policy:
    """
    One loaded script, ready to be asked. A session keeps the Policy that it began with.

    Each stage is None where the script has no hook for it. on_delivered, on_deferred and on_failed answer nothing and
    never wait: an async one goes on by itself, see `drain`.
    """

    def __init__(
        self,
        script: Script | None,
        *,
        report: Report,
        limits: PolicyLimits,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        """
        Args:
            script: The hooks; None for a server without a script.
            report: Told of trouble.
            limits: Time and number of calls.
            timer: A clock for durations, in seconds.
        """
        self.script = script
        self._limits = limits
        self._troubles = Troubles(
            report, hook_s_max=limits.hook_s_max, hooks_waiting_max=limits.hooks_waiting_max
        )
        self._timer = timer
        self._waiting = 0
        self._observers: set[asyncio.Task[None]] = set()
        self.on_connect: Callable[[Session], Answer] | None = self._stage("connect")
        self.on_hello: Callable[[Session, str], Answer] | None = self._stage("hello")
        self.on_starttls: Callable[[Session], Answer] | None = self._stage("starttls")
        self.on_auth: Callable[[Session, Credentials], Answer] | None = self._stage("auth")
        self.on_token: Callable[[Session, Credentials], Answer] | None = self._stage("token")
        self.on_mail: Callable[[Session, Address | None, MailParameters], Answer] | None = self._mail_stage()
        self.on_rcpt: Callable[[Session, Recipient], Answer] | None = self._rcpt_stage()
        self.on_message: Callable[[Session, Message], Answer] | None = self._message_stage()
        self.on_burst: Callable[[Session, Any], Answer] | None = self._stage("burst")
        self.on_route: Callable[[QueuedMessage, str], RouteAnswer] | None = self._route_stage()
        self.on_delivered: Callable[[Attempt], None] | None = self._observer("delivered")
        self.on_deferred: Callable[[Attempt], None] | None = self._observer("deferred")
        self.on_failed: Callable[[Attempt], None] | None = self._observer("failed")
        # Who let the message in is written down where somebody will ask.
        outbound = (self.on_route, self.on_delivered, self.on_deferred, self.on_failed)
        self._keeps_facts = any(stage is not None for stage in outbound)

    @property
    def handles_auth(self) -> bool:
        """Whether the script decides who may log in."""
        return self.on_auth is not None

    # ---- stages of a session: built once, so that a call has nothing to look up ---------------------------------

    def _hook(self, name: str) -> Callable[..., Any] | None:
        return None if self.script is None else self.script.hooks.get(name)

    def _stage(self, name: str) -> Callable[..., Answer] | None:
        hook = self._hook(name)
        if hook is None:
            return None
        timer, hook_s_max, settle = self._timer, self._limits.hook_s_max, self._settle

        def stage(session: Session, *arguments: Any) -> Answer:
            began = timer()
            try:
                result = hook(session, *arguments)
            except (Exception, SystemExit) as error:  # a script does not stop the server either
                return self._troubles.raised(name, session, error)
            if timer() - began > hook_s_max:
                self._troubles.blocked(name, session.id, timer() - began)
            return None if result is None else settle(name, session, result, arguments)

        return stage

    def _mail_stage(self) -> Callable[[Session, Address | None, MailParameters], Answer] | None:
        hook = self._hook("mail")
        if hook is None or self.script is None or self.script.argument_count("mail") == 3:
            return self._stage("mail")
        # As `_stage`, which would cost a call more to leave out an argument.
        timer, hook_s_max, settle = self._timer, self._limits.hook_s_max, self._settle

        def on_mail(session: Session, reverse_path: Address | None, _: MailParameters) -> Answer:
            began = timer()
            try:
                result = hook(session, reverse_path)
            except (Exception, SystemExit) as error:
                return self._troubles.raised("mail", session, error)
            if timer() - began > hook_s_max:
                self._troubles.blocked("mail", session.id, timer() - began)
            return None if result is None else settle("mail", session, result, (reverse_path,))

        return on_mail

    def _rcpt_stage(self) -> Callable[[Session, Recipient], Answer] | None:
        hook = self._hook("rcpt")
        if hook is None or self.script is None:
            return None
        takes_recipient = self.script.argument_count("rcpt") == 3
        timer, hook_s_max, settle = self._timer, self._limits.hook_s_max, self._settle

        def on_rcpt(session: Session, recipient: Recipient) -> Answer:
            forward_path = recipient.forward_path
            began = timer()
            try:
                result = (
                    hook(session, forward_path, recipient) if takes_recipient else hook(session, forward_path)
                )
            except (Exception, SystemExit) as error:
                return self._troubles.raised("rcpt", session, error)
            if timer() - began > hook_s_max:
                self._troubles.blocked("rcpt", session.id, timer() - began)
            return None if result is None else settle("rcpt", session, result, (forward_path,))

        return on_rcpt

    def _message_stage(self) -> Callable[[Session, Message], Answer] | None:
        stage = self._stage("message")
        if stage is None:
            return None

        def on_message(session: Session, message: Message) -> Answer:
            answer = stage(session, message)
            if answer is None and not message.decisions:
                return None  # nothing was decided and nothing edited
            if answer is None or type(answer) is Verdict:
                return self._after_message(session, message, answer)
            return self._after_message_later(session, message, answer)

        return on_message

    def _after_message(self, session: Session, message: Message, answer: Verdict | None) -> Verdict | None:
        """A message that the hook took all recipients of goes nowhere: that is a discard, and said so."""
        if (
            (answer is None or answer.action == "hold")
            and message.decisions
            and message.envelope.recipient_count == 0
        ):
            answer = Verdict("discard", None, "the message hook removed all recipients")
            session.note(decision("message", answer))
        return answer

    async def _after_message_later(
        self, session: Session, message: Message, answer: Awaitable[Verdict | None]
    ) -> Verdict | None:
        return self._after_message(session, message, await answer)

    # ---- what a hook's answer means -----------------------------------------------------------------------------

    def _settle(self, name: str, session: Session, result: object, arguments: tuple[Any, ...]) -> Answer:
        """A verdict to act upon: noted for "why?", a mere accept dropped. Anything else is the script's mistake."""
        if type(result) is Verdict:
            return self._settled(name, session, result, arguments)
        if inspect.isawaitable(result):
            if self._waiting >= self._limits.hooks_waiting_max:
                _close(result)
                return self._troubles.busy(name, session)
            return self._settle_later(name, session, result, arguments)
        return self._troubles.wrong_answer(
            name, session, f"{name}() returned {_kind(result)}, not a verdict or None"
        )

    def _settled(
        self, name: str, session: Session, verdict: Verdict, arguments: tuple[Any, ...]
    ) -> Verdict | None:
        if verdict.action not in _ALLOWED.get(name, _SAY_NO):
            return self._troubles.wrong_answer(
                name, session, f"{name}() cannot answer {verdict.action}()", verdict.where
            )
        if name == "connect":
            verdict = as_greeting(verdict)
        if verdict.action != "accept" or verdict.reason:
            session.note(decision(name, verdict, str(arguments[0]) if name == "rcpt" else ""))
        return verdict if verdict.action != "accept" or name in _VOUCHES else None

    async def _settle_later(
        self, name: str, session: Session, awaitable: Awaitable[object], arguments: tuple[Any, ...]
    ) -> Verdict | None:
        limit_s = asyncio.timeout(self._limits.hook_s_max)
        self._waiting += 1
        try:
            async with limit_s:
                result = await awaitable
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if _is_cancelled_from_outside(error):
                raise
            if limit_s.expired() and isinstance(error, TimeoutError):
                return self._troubles.late(name, session, error)
            return self._troubles.raised(name, session, error)
        finally:
            self._waiting -= 1
            del limit_s  # it holds the task, which, once cancelled, holds this frame
        if result is None:
            return None
        if type(result) is Verdict:
            return self._settled(name, session, result, arguments)
        return self._troubles.wrong_answer(
            name, session, f"{name}() returned {_kind(result)}, not a verdict or None"
        )

    # ---- outbound -----------------------------------------------------------------------------------------------

    def _route_stage(self) -> Callable[[QueuedMessage, str], RouteAnswer] | None:
        hook = self._hook("route")
        if hook is None:
            return None
        timer, hook_s_max = self._timer, self._limits.hook_s_max

        def on_route(message: QueuedMessage, domain: str) -> RouteAnswer:
            queued = QueuedMail(message)
            began = timer()
            try:
                result = hook(queued, domain)
            except (Exception, SystemExit) as error:
                return self._troubles.raised("route", message.id, error)
            if timer() - began > hook_s_max:
                self._troubles.blocked("route", message.id, timer() - began)
            # The usual answer first: whether something can be awaited takes Python longer than the hook took.
            if result is None or not inspect.isawaitable(result):
                return self._settle_route(queued, result)
            if self._waiting >= self._limits.hooks_waiting_max:
                _close(result)
                return self._troubles.busy("route", message.id)
            return self._route_later(queued, result)

        return on_route

    async def _route_later(
        self, queued: QueuedMail, awaitable: Awaitable[object]
    ) -> RouteChoice | Verdict | None:
        limit_s = asyncio.timeout(self._limits.hook_s_max)
        self._waiting += 1
        try:
            async with limit_s:
                result = await awaitable
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if _is_cancelled_from_outside(error):
                raise
            if limit_s.expired() and isinstance(error, TimeoutError):
                return self._troubles.late("route", queued.spool_id, error)
            return self._troubles.raised("route", queued.spool_id, error)
        finally:
            self._waiting -= 1
        return self._settle_route(queued, result)

    def _settle_route(self, queued: QueuedMail, result: object) -> RouteChoice | Verdict | None:
        if result is None:
            return self.chosen_route(queued)
        if type(result) is RouteChoice or (type(result) is Verdict and result.action in ("refuse", "defer")):
            return result
        text = f"route() returned {_kind(result)}, not a RouteChoice, refuse(), defer() or None"
        return self._troubles.wrong_answer(
            "route", queued.spool_id, text, result.where if type(result) is Verdict else ""
        )

    def chosen_route(self, queued: QueuedMail) -> RouteChoice | Verdict | None:
        """
        What the message hook chose with `set_route`. The queue asks this where there is no `on_route`.

        A Verdict (451) where the annotations cannot be read: mail does not leave without the route and TLS it was given.
        """
        try:
            return queued.route
        except ValueError as error:
            return self._troubles.raised("route", queued.spool_id, error)

    def _observer(self, name: str) -> Callable[[Attempt], None] | None:
        hook = self._hook(name)
        if hook is None:
            return None
        timer, hook_s_max = self._timer, self._limits.hook_s_max

        def observe(attempt: Attempt) -> None:
            if len(self._observers) >= self._limits.hooks_waiting_max:
                self._troubles.busy(name, attempt.spool_id)
                return
            began = timer()
            try:
                result = hook(attempt)
            except (Exception, SystemExit) as error:
                self._troubles.raised(name, attempt.spool_id, error)
                return
            if timer() - began > hook_s_max:
                self._troubles.blocked(name, attempt.spool_id, timer() - began)
            if result is not None and inspect.isawaitable(result):
                task = asyncio.get_running_loop().create_task(self._observe_later(name, attempt, result))
                self._observers.add(task)
                task.add_done_callback(self._observers.discard)

        return observe

    async def _observe_later(self, name: str, attempt: Attempt, awaitable: Awaitable[object]) -> None:
        limit_s = asyncio.timeout(self._limits.hook_s_max)
        try:
            async with limit_s:
                await awaitable
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if _is_cancelled_from_outside(error):
                raise
            if limit_s.expired() and isinstance(error, TimeoutError):
                self._troubles.late(name, attempt.spool_id, error)
            else:
                self._troubles.raised(name, attempt.spool_id, error)

    async def drain(self) -> None:
        """Wait for async observers that are still at work; each ends within hook_s_max."""
        while self._observers:
            await asyncio.wait(tuple(self._observers))

    # ---- what goes into the spool -------------------------------------------------------------------------------

    def annotate(self, session: Session, message: Message | None) -> bytes:
        """
        The octets for `IncomingMessage.commit(annotations=...)`: tags, route, decisions, and who handed it in.

        None of it where nothing was decided and no outbound hook will ask.
        """
        decisions = session.decisions
        tags = session.tags
        route = None
        if message is not None:
            route = message.route
            if message.decisions:
                decisions = (*decisions, *message.decisions)
            if message.tags:
                tags = {**tags, **message.tags}
        if not (decisions or tags or route or self._keeps_facts):
            return b""
        return encode(
            Annotations(
                tags=tags,
                route=route,
                decisions=decisions,
                peer=session.peer_address,
                listener=session.listener.name,
                account=session.account,
                tls=session.tls,
                sid=session.id,
            )
        )


def _is_cancelled_from_outside(error: BaseException) -> bool:
    """
    Whether the task is to end, rather than the hook having met a cancellation of its own (of a task that it waited for).

    The latter is a hook that raised: let through, it would end the task, and nobody would ever answer the client.
    """
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _close(awaitable: object) -> None:
    """What is not going to be awaited is closed, or Python warns about it."""
    if inspect.iscoroutine(awaitable):
        awaitable.close()


def _kind(result: object) -> str:
    return f"{result.action}()" if type(result) is Verdict else type(result).__name__
