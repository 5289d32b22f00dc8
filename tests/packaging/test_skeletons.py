"""
The skeletons that CONTRIBUTING.md tells people to copy work as they stand.
"""

import runpy
from pathlib import Path

import pytest

from pymta._core import Address, Reply

SKELETONS = Path(__file__).resolve().parent.parent.parent / "docs" / "skeletons"


def test_the_check_refuses_what_it_says_and_nothing_else() -> None:
    """The skeleton of a check is a check."""
    check = runpy.run_path(str(SKELETONS / "check.py"))["null_label_check"]

    refused = check(Address("reader@null.example.test"))

    assert Reply(550, "5.1.2", "no such domain") == refused.reply
    assert check(Address("null@example.test")) is None


@pytest.mark.parametrize("recipients", [[0], [0, 2, 3]])
def test_the_transport_answers_for_every_recipient(recipients: list[int]) -> None:
    """The skeleton of a transport keeps the transport's rule: one reply a recipient, and room again afterwards."""
    heard: list[tuple[object, list[tuple[int, Reply]]]] = []

    class Owner:
        def delivery_over(self, message: object, outcomes: list[tuple[int, Reply]]) -> None:
            heard.append((message, outcomes))

    transport = runpy.run_path(str(SKELETONS / "transport.py"))["VoidTransport"](Owner(), in_hand_max=2)
    message = object()

    transport.deliver(message, recipients)

    ((told, outcomes),) = heard
    assert message is told
    assert recipients == [index for index, _ in outcomes]
    assert all(reply.is_temporary for _, reply in outcomes)
    assert 2 == transport.room
