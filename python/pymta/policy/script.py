"""
The operator's script as the server holds it: which one is current, and how it is exchanged.

How a module is loaded is `loader.py`, how its hooks are called is `pipeline.py`.
"""

from collections.abc import Callable
from pathlib import Path

from pymta.policy.loader import ScriptError, load_script
from pymta.policy.pipeline import Policy, PolicyLimits
from pymta.policy.trouble import Report

__all__ = ["PolicyHolder", "ScriptError"]


class PolicyHolder:
    """The current `Policy`. Take `current` when a session begins and keep it: a reload is for the sessions after it."""

    def __init__(self, path: str | Path | None, *, report: Report, limits: PolicyLimits) -> None:
        """
        Load the script at *path*; None means no script.

        Raises:
            ScriptError: it cannot be used (one line: file, line, reason).
        """
        self._path = path
        self._report = report
        self.current = self._load(path, limits)
        self._limits = limits

    def reload(self) -> Policy:
        """
        Load the script again and make it the current one.

        Raises:
            ScriptError: it cannot be used. The current one stays.
        """
        return self.replace(self._path, self._limits)

    def replace(self, path: str | Path | None, limits: PolicyLimits) -> Policy:
        """
        The same where the configuration has been read again: perhaps another script, perhaps other limits.

        Raises:
            ScriptError: it cannot be used. The current one stays.
        """
        return self.prepare(path, limits)()

    def prepare(self, path: str | Path | None, limits: PolicyLimits) -> Callable[[], Policy]:
        """
        The first half of `replace`, which loads; what it returns is the second, which cannot fail.

        Raises:
            ScriptError: it cannot be used.
        """
        policy = self._load(path, limits)

        def use() -> Policy:
            self._path, self._limits, self.current = path, limits, policy
            return policy

        return use

    def _load(self, path: str | Path | None, limits: PolicyLimits) -> Policy:
        script = None if path is None else load_script(path)
        for line in script.warnings if script is not None else ():
            self._report("warning", hook="", error=line, where="", detail="", sid="")
        return Policy(script, report=self._report, limits=limits)
