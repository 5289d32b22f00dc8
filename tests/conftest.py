"""
Fixtures that more than one folder of tests uses: the real partners, each started for one test and ended with it.

Not where a partner is configured (tests/partners/). A partner that only one test needs is started by that test.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.partners.policy_service import Greylist
from tests.partners.postfix import Postfix
from tests.partners.smtp_tools import Sink


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    """A smtp-sink that takes all and counts."""
    folder = tmp_path / "sink"
    folder.mkdir()
    with Sink(folder) as running:
        yield running


@pytest.fixture
def start_postfix() -> Iterator[Callable[..., Postfix]]:
    """
    Start any number of Postfixes that end with the test: `start_postfix(Postfix.relay, port)`.

    Skipped where the tests do not run as root, which is the only one that may start Postfix.
    """
    if os.geteuid() != 0:
        pytest.skip("only root may start Postfix")
    with ExitStack() as stack:
        yield lambda role, *arguments, **settings: stack.enter_context(role(*arguments, **settings))


@pytest.fixture
def greylist() -> Iterator[Greylist]:
    """A policy service that defers the first try of each triplet."""
    with Greylist() as running:
        yield running
