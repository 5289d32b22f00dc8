"""How the built-in checks leave behind what they decided, so that "why did you do that?" has an answer."""

from pymta.mail.verdict import Verdict
from pymta.policy.annotations import Decision
from pymta.policy.session import Session

__all__ = ["noted"]


def noted(
    session: Session, check: str, verdict: Verdict, *, stage: str = "rcpt", about: object = ""
) -> Verdict:
    """
    *verdict*, with the session's notes telling of it.

    Args:
        session: Whose decision it is.
        check: The check's name.
        verdict: What it decided.
        stage: At which stage of the session.
        about: The forward-path, where it is about one.
    """
    session.note(
        Decision(
            stage=stage,
            hook=check,
            verdict=verdict.action,
            reason=verdict.reason,
            reply=str(verdict.reply),
            about=str(about),
        )
    )
    return verdict
