"""
Intake where a part of ours fails. What it says to a message is in tests/e2e.
"""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from pymta._core import Envelope, Spool
from pymta.accept.intake import Intake
from pymta.config.settings.limits import LimitsSettings
from pymta.observe.metrics import Metrics
from pymta.runtime.loop import loop_factory
from pymta.testing import FakeClock
from tests.partners.waiting import wait_until_async

SESSIONS = 6


class FakeConversation:
    """What intake uses of one, without a socket; the panicking one cannot say its 250."""

    def __init__(self, *, panics: bool) -> None:
        self.door = SimpleNamespace(limits=LimitsSettings(), submission=None)
        self.policy = SimpleNamespace(on_message=None, annotate=lambda view, seen: b"")
        self.view = SimpleNamespace(
            id="1-1",
            account=None,
            hello_name="client.example.test",
            listener=SimpleNamespace(role="relay"),
            peer_address="192.0.2.1",
            tls=None,
            trusted=True,
        )
        self.session = SimpleNamespace(is_extended=True, accept_message=self.accept_message)
        self.panics = panics
        self.accepted_count = 0
        self.said: list[str] = []

    def accept_message(self, text: str) -> None:
        if self.panics:
            raise BaseException("index out of bounds")
        self.said.append(text)

    def committing(self, token: int) -> None:
        pass

    def committed(self) -> None:
        pass

    def fail(self, error: BaseException) -> None:
        self.said.append(f"failed: {error}")


def test_a_bug_over_one_answer_does_not_keep_those_of_the_same_sync(tmp_path: Path) -> None:
    """Their messages are durable: who is not told so sends them again."""

    async def receive() -> list[list[str]]:
        clock = FakeClock()
        spool = Spool(str(tmp_path), now_ms=clock())
        log = cast(Any, SimpleNamespace(emit=lambda event: None))
        intake = Intake(
            spool,
            hostname="mx.example.test",
            header_octets_max=LimitsSettings().header_octets_max,
            log=log,
            metrics=Metrics(),
            now_ms=clock,
        )
        conversations = [FakeConversation(panics=number == 1) for number in range(SESSIONS)]
        for conversation in conversations:
            envelope = Envelope("author@example.test", ["reader@example.test"])
            event = SimpleNamespace(writer=spool.writer(), envelope=envelope)
            intake.receive(cast(Any, conversation), cast(Any, event))
        await wait_until_async(lambda: spool.stats()["commits"] == SESSIONS, "all are committed")
        intake.settle()
        spool.close()
        return [conversation.said for conversation in conversations]

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        said = runner.run(receive())

    assert ["failed: index out of bounds"] == said.pop(1)
    assert all(text.startswith("queued as ") for (text,) in said)
