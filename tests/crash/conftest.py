"""
What the tests of this folder share: the counting sink as next hop, and a seed that is printed.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random, SystemRandom

import pytest

from tests.crash.arrivals import Arrivals, Hop
from tests.partners.program import Program
from tests.partners.pymta import PYTHON
from tests.partners.waiting import wait_until


@pytest.fixture
def hop(tmp_path: Path) -> Iterator[Hop]:
    file = tmp_path / "arrivals"
    file.touch()
    program = Path(__file__).with_name("counting_sink.py")
    with Program(
        sys.executable,
        program,
        file,
        "0.03",
        output=tmp_path / "port",
        environment={"PYTHONPATH": str(PYTHON)},
    ) as running:
        wait_until(lambda: running.text().endswith("\n"), "the sink told its port")
        yield Hop(int(running.text()), Arrivals(file))


@pytest.fixture
def random() -> Random:
    """PYMTA_CRASH_SEED repeats a run."""
    seed = int(os.environ.get("PYMTA_CRASH_SEED") or SystemRandom().randrange(1 << 32))
    print(f"PYMTA_CRASH_SEED={seed}")
    return Random(seed)
