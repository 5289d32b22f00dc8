"""
The power fails in the midst of changes: what was answered OK is there when it is back, under the same UIDs.

See tests/crash/filesystem.py for how it fails.
"""

import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.filesystem import Kind, file_system
from tests.e2e.imap.changes import Changes
from tests.e2e.imap.conftest import Reading, ok

ROUNDS = 4
AFTER_S = (0.2, 1.2)


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(ROUNDS, marks=pytest.mark.timeout(240)),
        pytest.param(100, marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
    ],
)
def test_what_was_answered_is_there_after_the_power_failed(
    start_reading: Callable[..., Reading], tmp_path: Path, kind: Kind, rounds: int
) -> None:
    with file_system(tmp_path, kind) as disk:
        reading = start_reading(trouble_expected=True, server={"data_folder": disk.folder / "data"})
        chance = random.Random(0)  # which of the many histories; the instants differ anyway
        changes = Changes(reading, chance)
        with reading.client() as imap:
            ok(imap.create("Moved"))
        for _ in range(rounds):
            is_dark = threading.Event()

            def lose_power(is_dark: threading.Event = is_dark) -> None:
                is_dark.set()
                disk.lose_power()

            timer = threading.Timer(chance.uniform(*AFTER_S), lose_power)
            timer.start()
            changes.go_on(has_trouble=is_dark.is_set)
            timer.join()
            reading.server.kill()
            disk.unmount()
            disk.mount()
            reading.server.start()
            changes.check()
        assert changes.count_answered > rounds
        reading.server.kill()
