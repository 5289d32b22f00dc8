"""
What the tests of this folder share: the counting sink as next hop, and a seed that is printed.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random, SystemRandom

import pytest

from pymta.selfcheck.arrivals import Arrivals
from tests.crash.hop import Hop
from tests.partners.program import Program, find_program
from tests.partners.pymta import PYTHON
from tests.partners.waiting import wait_until

DISK_OCTETS = 24 << 20


@pytest.fixture
def hop(tmp_path: Path) -> Iterator[Hop]:
    file = tmp_path / "arrivals"
    file.touch()
    with Program(
        sys.executable,
        "-m",
        "pymta.selfcheck.counting_sink",
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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory, mounted for one test."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        [find_program("mount"), "-t", "tmpfs", "-o", f"size={DISK_OCTETS}", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system may be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run([find_program("umount"), "--lazy", folder], check=True)
