"""
Whose fault it is: the tree of exceptions that cross a package's border.

An expected result is a value (`mail/outcome.py`, `mail/verdict.py`), not one of these. What the peer is told is a
`Reply`; what the operator is told is the exception's text; neither is built from the other. The spool's own trouble is
`pymta._core.SpoolError`, which Rust raises and which therefore stands beside this tree.
"""

from pathlib import Path
from typing import ClassVar

from pymta._core import Reply

__all__ = ["ConfigError", "PeerViolation", "PymtaError", "Refused", "TemporaryFailure"]


class PymtaError(Exception):
    """Anything that pymta raises on purpose."""


class PeerViolation(PymtaError):
    """The peer broke grammar, order or a limit. Counts toward the disconnect; *reply* is what it is told."""

    def __init__(self, cause: str, reply: Reply) -> None:
        super().__init__(cause)
        self.reply = reply


class Refused(PymtaError):
    """Policy said no. Not an error in the log; *reply* is what the peer is told."""

    def __init__(self, cause: str, reply: Reply) -> None:
        super().__init__(cause)
        self.reply = reply


class TemporaryFailure(PymtaError):
    """Our trouble, not the peer's: it is told to come back, the operator is told why."""

    reply: ClassVar[Reply] = Reply(451, "4.3.0", "local trouble, try again later")


class ConfigError(PymtaError):
    """
    A configuration (or a policy script) that cannot be used. Raised at load and reload time only.

    Attributes:
        problem: What is wrong and what was expected, in one sentence without a full stop.
        file: The file it is in; None for the embedded default.
        line: The line in *file*, from 1; None where it is not known.
        option: The dotted key, such as "listeners[0].address"; empty for the file as a whole.
    """

    def __init__(
        self, problem: str, *, file: Path | None = None, line: int | None = None, option: str = ""
    ) -> None:
        self.problem = problem
        self.file = file
        self.line = line
        self.option = option
        place = "configuration" if file is None else str(file) if line is None else f"{file}:{line}"
        super().__init__(f"{place}: {option}: {problem}" if option else f"{place}: {problem}")
