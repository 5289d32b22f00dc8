"""
kill -9 in the midst of changes: what was answered OK is there afterwards, under the same UIDs.
"""

import random
import threading
from collections.abc import Callable

from tests.e2e.imap.changes import Changes
from tests.e2e.imap.conftest import Reading, ok

Start = Callable[..., Reading]

KILLS = 4
AFTER_S = (0.2, 1.2)


def test_what_was_answered_is_there_after_a_kill(start_reading: Start) -> None:
    reading = start_reading(trouble_expected=True)
    chance = random.Random(0)  # which of the many histories; the moments of the kills differ anyway
    changes = Changes(reading, chance)
    with reading.client() as imap:
        ok(imap.create("Moved"))
    for _ in range(KILLS):
        timer = threading.Timer(chance.uniform(*AFTER_S), reading.server.kill)
        timer.start()
        changes.go_on()
        timer.join()
        reading.server.start()
        changes.check()
    assert len(changes.promised) > KILLS
