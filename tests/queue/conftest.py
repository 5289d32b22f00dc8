"""
Messages for sites to deliver.
"""

from collections.abc import Iterator

import pytest

from pymta._core import Envelope, IncomingMessage, QueuedMessage, Spool
from tests.partners.waiting import wait_until

NOW_MS = 1_795_000_000_000


@pytest.fixture(scope="session")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[QueuedMessage]]:
    """In hand for ever: small, large, with many recipients, and one that only SMTPUTF8 can carry."""
    spool = Spool(str(tmp_path_factory.mktemp("spool")), now_ms=NOW_MS, spill_octets=65536)
    content = b"From: author@example.test\r\n\r\n"
    one, many = ["reader@example.test"], [f"r{number}@example.test" for number in range(7)]
    deliveries = [
        (Envelope("author@example.test", one), content + b"small\r\n"),
        (Envelope("author@example.test", many), content + b".dot\r\n"),
        (Envelope("author@example.test", one), content + b"0123456789abcde\r\n" * 60_000),
        (
            Envelope(
                "author@example.test",
                ["gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n@example.test"],
                smtputf8=True,
            ),
            content,
        ),
    ]
    for envelope, octets in deliveries:
        IncomingMessage.from_content(spool, envelope, octets).commit(NOW_MS, due_ms=NOW_MS)
    wait_until(lambda: spool.stats()["commits"] == len(deliveries), "all are committed")
    taken = spool.take_due(NOW_MS, 100, 100)
    wait_until(lambda: taken.extend(spool.loaded()) or len(taken) == len(deliveries), "all are in hand")
    yield taken
    spool.close()
