"""How the tests of this folder write a policy script down and load it."""

import textwrap
from pathlib import Path

import msgspec

from pymta.policy.loader import load_script
from pymta.policy.pipeline import Policy
from pymta.policy.trouble import TroubleKind


class Limits(msgspec.Struct, frozen=True):
    """As the configuration's [policy]."""

    hook_s_max: float = 5.0
    hooks_waiting_max: int = 100


class Reports:
    """Collects what the server would log."""

    def __init__(self) -> None:
        self.kinds: list[TroubleKind] = []
        self.lines: list[str] = []
        self.details: list[str] = []

    def __call__(
        self, kind: TroubleKind, *, hook: str, error: str, where: str, detail: str, sid: str
    ) -> None:
        self.kinds.append(kind)
        self.lines.append(f"{hook} {where} {error}")
        self.details.append(detail)


def write(folder: Path, source: str, name: str = "policy.py") -> Path:
    """A script with *source*, which may be indented."""
    path = folder / name
    path.write_text(textwrap.dedent(source))
    return path


def policy_of(
    folder: Path, source: str, reports: Reports | None = None, limits: Limits | None = None
) -> Policy:
    """The policy that *source* makes."""
    return Policy(load_script(write(folder, source)), report=reports or Reports(), limits=limits or Limits())
