"""
The partners without pymta: that Postfix, its load tools and swaks do here what other tests rely on.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.partners.policy_service import Greylist
from tests.partners.ports import free_port, is_listening
from tests.partners.postfix import Postfix
from tests.partners.smtp_tools import Sink, smtp_source, swaks
from tests.partners.waiting import wait_until

StartPostfix = Callable[..., Postfix]
PATHS = ("--from", "author@example.test", "--to", "reader@example.test")


def test_a_sink_counts_what_a_source_sends(sink: Sink) -> None:
    """smtp-source → smtp-sink: as many arrive as were sent."""
    smtp_source(sink.port, 50, "-d", octets=1000)

    assert 50 == sink.wait_count(50)


def test_a_sink_keeps_messages_when_told(tmp_path: Path) -> None:
    """swaks → smtp-sink: the message and its envelope are in the file that the sink wrote."""
    with Sink(tmp_path, keeps=True) as sink:
        result = swaks(sink.port, *PATHS, "--body", "it went all the way")
        sink.wait_count(1)
        kept = sink.messages()

    assert 0 == result.exit_status
    assert 1 == len(kept)
    assert "X-Rcpt-Args: <reader@example.test>" in kept[0]
    assert "it went all the way" in kept[0]


def test_a_sink_defers_and_refuses_when_told(tmp_path: Path) -> None:
    """With -r RCPT it is a 4yz, with -f RCPT a 5yz, and swaks says so by its exit status."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with Sink(first, "-r", "RCPT") as defers, Sink(second, "-f", "RCPT") as refuses:
        deferred = swaks(defers.port, *PATHS)
        refused = swaks(refuses.port, *PATHS)

    assert 24 == deferred.exit_status
    assert any(reply.startswith("450") for reply in deferred.replies)
    assert 24 == refused.exit_status
    assert any(reply.startswith("500") for reply in refused.replies)


def test_postfix_passes_on_what_it_is_given(start_postfix: StartPostfix, tmp_path: Path) -> None:
    """swaks → Postfix → smtp-sink: Postfix as the host before us."""
    with Sink(tmp_path, keeps=True) as sink:
        postfix = start_postfix(Postfix.relay, sink.port)
        result = swaks(postfix.port, *PATHS, "--body", "by way of Postfix")
        sink.wait_count(1)
        kept = sink.messages()

    assert 0 == result.exit_status
    assert "by way of Postfix" in kept[0]
    assert "postfix.test" in kept[0]
    postfix.wait_log(r"status=sent")
    wait_until(lambda: not postfix.queue(), "Postfix's queue is empty")


def test_postfix_keeps_what_its_next_hop_cannot_take(start_postfix: StartPostfix, tmp_path: Path) -> None:
    """With nobody listening behind it, Postfix defers; when somebody is there, it delivers."""
    port = free_port()
    postfix = start_postfix(Postfix.relay, port)
    swaks(postfix.port, *PATHS)
    postfix.wait_log(r"status=deferred")

    queued = postfix.queue()
    with Sink(tmp_path, port=port) as sink:
        postfix.retry()
        arrived = sink.wait_count(1)

    assert 1 == len(queued)
    assert 1 == arrived


def test_postfix_is_a_final_host(start_postfix: StartPostfix) -> None:
    """Postfix as the next hop: it takes mail for its domain into a Maildir, and refuses to relay."""
    postfix = start_postfix(Postfix.next_hop, "example.test")

    taken = swaks(postfix.port, *PATHS, "--body", "for good")
    relayed = swaks(postfix.port, "--from", "author@example.test", "--to", "reader@elsewhere.test")
    messages = postfix.wait_messages(1)

    assert 0 == taken.exit_status
    assert 24 == relayed.exit_status
    assert b"for good" in messages[0]
    assert b"X-Original-To: reader@example.test" in messages[0]


def test_postfix_defers_and_refuses_by_address(start_postfix: StartPostfix) -> None:
    """The replies are those that were asked for, and only for those addresses."""
    postfix = start_postfix(
        Postfix.next_hop,
        deferred={"later@example.test": "450 4.2.0 come back"},
        refused={"nobody@example.test": "550 5.1.1 no such address"},
    )

    def reply_to(forward_path: str) -> str:
        result = swaks(
            postfix.port, "--from", "author@example.test", "--to", forward_path, "--quit-after", "RCPT"
        )
        return result.replies[-2]

    assert reply_to("later@example.test").startswith("450 4.2.0 ")
    assert reply_to("nobody@example.test").startswith("550 5.1.1 ")
    assert reply_to("reader@example.test").startswith("250 2.1.5 ")


def test_postfix_greylists(start_postfix: StartPostfix, greylist: Greylist) -> None:
    """The first try of a triplet is deferred, the second is taken; another triplet starts anew."""
    postfix = start_postfix(Postfix.next_hop, policy_port=greylist.port)

    first = swaks(postfix.port, *PATHS)
    second = swaks(postfix.port, *PATHS)
    other = swaks(postfix.port, "--from", "other@example.test", "--to", "reader@example.test")

    assert 24 == first.exit_status
    assert any(reply.startswith("450 4.2.0") for reply in first.replies)
    assert 0 == second.exit_status
    assert 24 == other.exit_status


@pytest.mark.parametrize("role", ["relay", "next_hop"])
def test_postfix_leaves_nothing(start_postfix: StartPostfix, role: str) -> None:
    """A stopped Postfix has no port open and no folder left."""
    postfix = (
        start_postfix(Postfix.relay, free_port()) if role == "relay" else start_postfix(Postfix.next_hop)
    )
    assert is_listening(postfix.port)

    postfix.stop()

    assert not is_listening(postfix.port)
    assert not postfix.folder.exists()
