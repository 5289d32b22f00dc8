"""[policy]: the operator's Python."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pymta.config.option import Count, Option, SecondsOfPolicy, Section


class PolicySettings(Section, frozen=True, kw_only=True):
    """The module with the operator's hooks, and how long a hook may take."""

    script: Annotated[
        Path | None,
        Option(
            "A Python file with hooks (see docs/policy.md). Read at start and again at every reload.",
            reader="policy.script",
            default="no hooks",
            example='"policy.py"',
        ),
    ] = None
    hook_s_max: Annotated[
        SecondsOfPolicy,
        Option(
            "How long one call of a hook may take; 0.5 is half a second. After that the command or message it was about gets 451 "
            "4.3.0.",
            reader="policy.pipeline",
            precedent="Postfix milter_content_timeout is 300 s, Haraka plugin_timeout 30 s",
        ),
    ] = 10.0
    hooks_waiting_max: Annotated[
        Count,
        Option(
            "How many calls of asynchronous hooks may be waiting at once; more get 451 4.3.2.",
            reader="policy.pipeline",
        ),
    ] = 1000
