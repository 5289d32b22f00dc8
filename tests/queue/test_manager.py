"""
What the manager does where its own parts fail. What sites and peers may do is in test_manager_histories.py.
"""

import asyncio
from pathlib import Path

from pymta._core import Envelope, IncomingMessage, Spool
from pymta.config.settings.queue import QueueSettings
from pymta.queue.round import Delivery
from pymta.runtime.loop import loop_factory
from pymta.testing import FakeClock
from tests.partners.waiting import wait_until_async
from tests.queue.test_manager_histories import FakeSite, History

COUNT = 10


class PanickingSite(FakeSite):
    """Falls over its first delivery, as Rust would: PanicException is a BaseException."""

    def __init__(self) -> None:
        super().__init__()
        self.panicked_over = ""

    def put(self, delivery: Delivery) -> None:
        if not self.panicked_over:
            self.panicked_over = delivery.round.id
            raise BaseException("index out of bounds")
        super().put(delivery)


def test_a_bug_over_one_message_does_not_keep_the_others_that_were_taken_with_it(tmp_path: Path) -> None:
    clock = FakeClock()
    spool = Spool(str(tmp_path), now_ms=clock())

    async def deliver() -> None:
        history = History(1, spool, clock)
        site = history.site = PanickingSite()
        history.is_friendly = True
        history.settings = QueueSettings()
        history.manager.use_settings(history.settings)
        for number in range(COUNT):
            content = b"From: author@example.test\r\n\r\nhello\r\n"
            envelope = Envelope("author@example.test", [f"r{number}@a.example"])
            IncomingMessage.from_content(spool, envelope, content).commit(clock(), due_ms=clock())
        await wait_until_async(lambda: spool.stats()["commits"] == COUNT, "all are committed")
        history.manager.wake()

        await wait_until_async(lambda: len(site.ready) == COUNT - 1, "all but one are handed over")

        assert site.panicked_over not in {delivery.round.id for delivery in site.ready}
        assert ["index out of bounds"] == [str(error) for error in history.troubles]
        while site.ready:
            history.conclude()
        assert 1 == len(spool.list(count_max=COUNT)), "that one is due at the next start"
        await history.manager.close()

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(deliver())
    spool.close()
