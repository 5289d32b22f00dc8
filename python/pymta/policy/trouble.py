"""
What a script did wrong: reported once, and a 451 for the message or command that it was about.

A hook that raises, answers nonsense or takes too long costs that one message; the traceback goes to the report.
"""

import traceback
from typing import Final, Literal, Protocol

from pymta._core import Reply
from pymta.mail.verdict import Verdict
from pymta.policy.annotations import Decision, shortened
from pymta.policy.loader import script_line
from pymta.policy.session import Session

__all__ = ["Report", "TroubleKind", "Troubles", "as_greeting", "decision"]

TroubleKind = Literal["raised", "answer", "late", "busy", "blocked", "warning"]
"""
A hook raised; gave what is no verdict; an async one ran out of time, or was not called because too many others wait; a
plain one was slow; a script looks wrong.
"""

# What the client hears when the script is at fault. One text for all causes: the cause is the operator's.
TROUBLE: Final = Reply(451, "4.3.0", "local policy trouble, try again later")
BUSY: Final = Reply(451, "4.3.2", "too busy, try again later")
TRACEBACK_OCTETS_MAX: Final = 8192


class Report(Protocol):
    """Told of the script's trouble: writes the `trouble` line and counts (labels hook and kind)."""

    def __call__(
        self, kind: TroubleKind, *, hook: str, error: str, where: str, detail: str, sid: str
    ) -> None:
        """
        Called once for each trouble, from the loop; must not raise.

        Args:
            kind: What sort of trouble.
            hook: The hook's name; empty for the script as a whole.
            error: One line, as `ValueError: no such customer`.
            where: `policy.py:12`, or empty.
            detail: The traceback, for kind raised; may have many lines.
            sid: The session, or the spool id for an outbound hook.
        """


class Troubles:
    """Of one script. What is told gives the verdict for whoever waits for the hook's."""

    def __init__(self, report: Report, *, hook_s_max: float, hooks_waiting_max: int) -> None:
        """
        Args:
            report: Told of each.
            hook_s_max: How long a hook may take, for the text.
            hooks_waiting_max: How many calls of async hooks may wait, for the text.
        """
        self._report = report
        self._hook_s_max = hook_s_max
        self._hooks_waiting_max = hooks_waiting_max

    def raised(self, hook: str, subject: Session | str, error: BaseException) -> Verdict:
        detail = "".join(traceback.format_exception(error))[-TRACEBACK_OCTETS_MAX:]
        return self._failed(hook, subject, "raised", _in_one_line(error), where=_where(error), detail=detail)

    def late(self, hook: str, subject: Session | str, error: BaseException) -> Verdict:
        # The line at which the hook waited is in the cancellation that became the TimeoutError, which before Python 3.11.3
        # is only its context.
        text = f"took longer than {self._hook_s_max:g} s"
        cancelled = error.__cause__ or error.__context__ or error
        return self._failed(hook, subject, "late", text, where=_where(cancelled))

    def busy(self, hook: str, subject: Session | str) -> Verdict:
        text = f"not called: {self._hooks_waiting_max} calls of async hooks wait already"
        return self._failed(hook, subject, "busy", text, reply=BUSY)

    def wrong_answer(self, hook: str, subject: Session | str, text: str, where: str = "") -> Verdict:
        return self._failed(hook, subject, "answer", text, where=where)

    def _failed(
        self,
        hook: str,
        subject: Session | str,
        kind: TroubleKind,
        error: str,
        *,
        where: str = "",
        detail: str = "",
        reply: Reply = TROUBLE,
    ) -> Verdict:
        sid = subject if isinstance(subject, str) else subject.id
        self._report(kind, hook=hook, error=error, where=where, detail=detail, sid=sid)
        verdict = Verdict("defer", reply, shortened(f"{hook} hook {kind}: {error}"), where)
        if hook == "connect":
            verdict = as_greeting(verdict)
        if not isinstance(subject, str):
            subject.note(decision(hook, verdict))
        return verdict

    def blocked(self, hook: str, sid: str, took_s: float) -> None:
        text = f"took {took_s:.3g} s and held up every session; use async def, or do less"
        self._report("blocked", hook=hook, error=text, where="", detail="", sid=sid)


def decision(stage: str, verdict: Verdict, about: str = "") -> Decision:
    return Decision(
        stage=stage,
        hook=stage,
        verdict=verdict.action,
        reason=shortened(verdict.reason),
        where=verdict.where,
        reply="" if verdict.reply is None else str(verdict.reply),
        about=about,
    )


def as_greeting(verdict: Verdict) -> Verdict:
    """RFC 5321 §4.3.2 and RFC 7504 §3 know only 421, 521 and 554 in place of the greeting."""
    reply = verdict.reply
    if reply is None or reply.code in (421, 521, 554):
        return verdict
    code = 421 if reply.is_temporary else 554
    return Verdict(verdict.action, Reply(code, reply.enhanced, reply.text), verdict.reason, verdict.where)


def _where(error: BaseException) -> str:
    line = script_line(error)
    return "" if line is None else f"{line[0].name}:{line[1]}"


def _in_one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
