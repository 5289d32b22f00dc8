"""
Local deliveries where the directory or the mailboxes have a fault of ours: a message is tried again, and never stays in hand.
"""

from types import SimpleNamespace
from typing import Any

from pymta.directory.nouns import Account, LocalDelivery, Resolution
from pymta.queue.local import _Portion


class FaultySite:
    """In the place of a LocalSite: the directory knows everybody, and handing over to a mailbox raises."""

    def __init__(self) -> None:
        self.over: list[_Portion] = []
        self.troubles: list[BaseException] = []
        self.maildir = self

    def resolve(self, *_: object) -> Resolution:
        return Resolution("found", (LocalDelivery(Account(name="a@example.test")),))

    def deliver(self, *_: object) -> None:
        raise OverflowError("int too big to convert")

    def trouble(self, _: str, error: BaseException, __: object) -> None:
        self.troubles.append(error)

    def portion_over(self, portion: _Portion) -> None:
        self.over.append(portion)


def test_a_fault_while_handing_over_is_an_outcome() -> None:
    site: Any = FaultySite()
    recipient = SimpleNamespace(forward_path="a@example.test")
    message = SimpleNamespace(envelope=SimpleNamespace(recipient=lambda index: recipient))
    delivery: Any = SimpleNamespace(recipients=(0, 1), round=SimpleNamespace(message=message))

    _Portion(site, delivery).begin()

    (portion,) = site.over
    assert [(0, 451), (1, 451)] == [(index, reply.code) for index, reply in portion.outcomes]
    assert 2 == len(site.troubles)
