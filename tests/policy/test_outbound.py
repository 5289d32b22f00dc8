"""Outbound hooks: what they see of a queued message, and that their trouble never stops the queue."""

import asyncio
import inspect
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from pymta._core import Address, Envelope, QueuedMessage, Reply
from pymta.mail.outcome import Attempt, Deferred, Delivered, Failed, outcome_of
from pymta.mail.verdict import RouteChoice, Verdict
from pymta.policy.annotations import Annotations, encode
from pymta.policy.loader import load_script
from pymta.policy.message import QueuedMail
from pymta.policy.pipeline import Policy
from tests.policy.scripts import Limits, Reports, policy_of, write


class Queued(msgspec.Struct, frozen=True):
    """What a QueuedMessage has; the real one comes out of a spool only."""

    id: str = "m1"
    envelope: Envelope = Envelope("author@example.net", ["a@One.example", "b@two.example", "c@one.example"])
    size_octets: int = 1000
    spooled_at_ms: int = 5000
    attempts: int = 2
    annotations: bytes = b""

    def by_domain(self) -> list[tuple[str, list[int]]]:
        return [("one.example", [0, 2]), ("two.example", [1])]

    def header_section(self) -> bytes:
        return b"Subject: x\r\n\r\n"


def queued(**annotations: Any) -> QueuedMessage:
    return cast(QueuedMessage, Queued(annotations=encode(Annotations(**annotations))))


def attempt(reply: Reply) -> Attempt:
    return Attempt(
        spool_id="m1",
        reverse_path=None,
        forward_path=Address("a@one.example"),
        outcome=outcome_of(reply),
        attempts=1,
        spooled_at_ms=0,
        now_ms=1,
        size_octets=1,
    )


async def outcome(answer: object) -> Any:
    return await cast(Any, answer) if inspect.isawaitable(answer) else answer


def test_a_queued_message_shows_what_was_noted() -> None:
    choice = RouteChoice(next_hop="a.example")
    seen = QueuedMail(
        queued(tags={"a": "b"}, route=choice, peer="192.0.2.1", listener="relay", account="alice", sid="s1")
    )

    assert ("m1", 1000, 5000, 2) == (seen.spool_id, seen.size_octets, seen.spooled_at_ms, seen.attempts)
    assert Address("author@example.net") == seen.reverse_path
    assert 3 == seen.envelope.recipient_count
    assert ["a@One.example", "c@one.example"] == [str(path) for path in seen.forward_paths("one.example")]
    assert [] == seen.forward_paths("three.example")
    assert ({"a": "b"}, choice, "192.0.2.1", "relay", "alice") == (
        seen.tags,
        seen.route,
        seen.peer,
        seen.listener,
        seen.account,
    )
    assert seen.header_section.startswith(b"Subject")


def test_mail_that_the_server_made_has_no_notes() -> None:
    seen = QueuedMail(queued())

    assert ({}, None, "", "", None) == (seen.tags, seen.route, seen.peer, seen.listener, seen.account)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(250, "2.0.0", "ok"), Delivered),
        (Reply(251, None, "will forward"), Delivered),
        (Reply(354, None, "what?"), Deferred),
        (Reply(421, "4.3.2", "bye"), Deferred),
        (Reply(554, None, "no"), Failed),
    ],
)
def test_an_outcome_is_the_first_digit_of_the_reply(reply: Reply, kind: type) -> None:
    assert kind is type(outcome_of(reply))
    assert reply == attempt(reply).reply


@pytest.mark.parametrize("kind", ["late", "busy"])
async def test_an_async_route_hook_that_is_late_or_not_called_defers(tmp_path: Path, kind: str) -> None:
    reports = Reports()
    source = "import asyncio\nasync def route(message, domain):\n    await asyncio.Event().wait()\n"
    policy = policy_of(
        tmp_path, source, reports, Limits(hook_s_max=0.01, hooks_waiting_max=0 if kind == "busy" else 1)
    )
    assert policy.on_route is not None
    verdict = await outcome(policy.on_route(queued(), "one.example"))

    assert isinstance(verdict, Verdict)
    assert "451" == str(verdict.reply)[:3]
    assert [kind] == reports.kinds


@pytest.mark.parametrize("kind", ["late", "busy"])
async def test_an_async_observer_that_is_late_or_not_called_is_reported(tmp_path: Path, kind: str) -> None:
    """
    Only so many run at once; the queue does not wait for any of them.
    """
    reports = Reports()
    source = "import asyncio\nasync def failed(attempt):\n    await asyncio.Event().wait()\n"
    policy = policy_of(
        tmp_path, source, reports, Limits(hook_s_max=0.01, hooks_waiting_max=0 if kind == "busy" else 1)
    )
    assert policy.on_failed is not None
    policy.on_failed(attempt(Reply(550, None, "no")))
    await policy.drain()

    assert [kind] == reports.kinds


@pytest.mark.parametrize("hook", ["def route(m, d): ...\n", "def failed(a): ...\n"])
def test_an_outbound_hook_that_blocks_is_reported(tmp_path: Path, hook: str) -> None:
    ticks = iter([0.0, 9.0, 9.0])
    reports = Reports()
    script = load_script(write(tmp_path, hook))
    policy = Policy(script, report=reports, limits=Limits(), timer=lambda: next(ticks))
    if policy.on_route is not None:
        assert policy.on_route(queued(), "one.example") is None
    if policy.on_failed is not None:
        policy.on_failed(attempt(Reply(550, None, "no")))

    assert ["blocked"] == reports.kinds


async def test_many_observers_are_waited_for(tmp_path: Path) -> None:
    source = (
        "import asyncio\ndone = []\n"
        "async def delivered(attempt):\n    await asyncio.sleep(0)\n    done.append(attempt.spool_id)\n"
    )
    policy = policy_of(tmp_path, source)
    assert policy.on_delivered is not None
    assert policy.script is not None
    for _ in range(50):
        policy.on_delivered(attempt(Reply(250, None, "ok")))
    await policy.drain()

    assert 50 == len(policy.script.hooks["delivered"].__globals__["done"])
    assert 1 == len(asyncio.all_tasks())
