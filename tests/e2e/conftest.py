"""
Fixtures for whole journeys: servers, sinks and an authority, each made for one test and ended with it.

Rule: a server that ends with its test must end well, and must not have had trouble of its own unless the test says so.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.our_sink import OurSink
from tests.partners.ca import CertificateAuthority
from tests.partners.pymta import PYTHON, Pymta


@pytest.fixture
def start_pymta(tmp_path: Path) -> Iterator[Callable[..., Pymta]]:
    """
    Start any number of servers: `start_pymta(routes=[next_hop(port)], queue={"retry_s_min": 1})`, see `Pymta`.

    At the end each is stopped by SIGTERM and must exit with 0; a line of "trouble" in its log fails the test, unless it
    was started with `trouble_expected=True`.
    """
    running: list[tuple[Pymta, bool]] = []

    def start(*, trouble_expected: bool = False, name: str = "pymta", **settings: Any) -> Pymta:
        server = Pymta(tmp_path / f"{name}-{len(running)}", **settings)
        running.append((server, trouble_expected))
        return server

    try:
        yield start
        for server, trouble_expected in running:
            assert server.stop() == 0 or server.was_killed, server.program.text()
            assert trouble_expected or [] == server.events("trouble")
    finally:
        for server, _ in running:
            if server.is_running:
                server.kill()


@pytest.fixture
def start_sink() -> Iterator[Callable[..., OurSink]]:
    """Start any number of sinks of our own, see `OurSink`."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(OurSink(**settings))


@pytest.fixture
def our_sink(start_sink: Callable[..., OurSink]) -> OurSink:
    """One that takes all."""
    return start_sink()


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    """An authority that nobody trusts but who is told to."""
    return CertificateAuthority(tmp_path)


@pytest.fixture
def without_uvloop(tmp_path: Path) -> dict[str, str]:
    """An environment in which uvloop cannot be imported."""
    folder = tmp_path / "without-uvloop"
    folder.mkdir()
    (folder / "uvloop.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
    return {"PYTHONPATH": f"{folder}:{PYTHON}"}
