"""
The client session of `_core` against real servers: smtp-sink and Postfix, through a plain blocking socket.

Not the connections of the queue (pymta.deliver) and not the dialogues, which rust/pymta-smtp/tests holds: here is what
only a server of somebody else's can show.
"""

import email
import email.policy
import select
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from pymta._core import (
    ClientSession,
    ClientSettings,
    ClosedEvent,
    Envelope,
    IncomingMessage,
    OrderError,
    OutcomeEvent,
    QueuedMessage,
    ReadyEvent,
    Recipient,
    Reply,
    Spool,
)
from tests.partners.postfix import Postfix
from tests.partners.smtp_tools import Sink

Delivery = tuple[Envelope, bytes]


class Wire:
    """A session and its socket; deliver what there is room for, read, and go on until all is over."""

    def __init__(self, port: int, *, lmtp: bool = False) -> None:
        settings = ClientSettings(hello_name="client.example.test", lmtp=lmtp)
        self.session = ClientSession(settings)
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.outcomes: list[OutcomeEvent] = []
        self.closed: ClosedEvent | None = None
        self.ready = False

    def run(self, deliveries: Sequence[Delivery | QueuedMessage]) -> list[OutcomeEvent]:
        """Send all and leave with QUIT; their outcomes in order of arrival."""
        waiting = list(deliveries)
        while self.closed is None:
            while self.ready and waiting and self.session.room > 0:
                self._deliver(waiting.pop(0))
            self._events()
            if self.ready and not waiting:
                self.session.quit()
            self._write()
            if self.closed is None:
                self._read()
        self.socket.close()
        return self.outcomes

    def _deliver(self, delivery: Delivery | QueuedMessage) -> None:
        if isinstance(delivery, QueuedMessage):
            self.session.deliver(delivery, delivery.pending)
        else:
            self.session.deliver_content(*delivery)

    def _write(self) -> None:
        while octets := self.session.output():
            self.socket.sendall(octets)

    def _read(self) -> None:
        chunk = self.socket.recv(65536)
        if chunk:
            self.session.receive(chunk)
        else:
            self.session.end_of_stream("connection closed")
        self._events()

    def _events(self) -> None:
        while (event := self.session.next_event()) is not None:
            if isinstance(event, OutcomeEvent):
                self.outcomes.append(event)
            elif isinstance(event, ClosedEvent):
                self.closed = event
                self._write()
            else:
                assert isinstance(event, ReadyEvent), event
                self.ready = True


@contextmanager
def sink_with(folder: Path, *options: str) -> Iterator[Sink]:
    with Sink(folder, *options) as running:
        yield running


def message(number: int, body: bytes = b"text\r\n") -> Delivery:
    envelope = Envelope("author@example.test", [f"reader{number}@example.test"])
    return envelope, b"From: author@example.test\r\nSubject: %d\r\n\r\n" % number + body


def replies(outcome: OutcomeEvent) -> list[str]:
    return [str(reply) for _, reply in sorted(outcome.outcomes, key=lambda pair: pair[0])]


def test_many_messages_go_over_one_connection(sink: Sink) -> None:
    wire = Wire(sink.port)
    outcomes = wire.run([message(number) for number in range(200)])

    assert 200 == sum(reply.is_positive for outcome in outcomes for _, reply in outcome.outcomes)
    assert 200 == sink.wait_count(200)
    assert 200 == wire.session.messages_delivered
    assert wire.closed is not None
    assert wire.closed.reply is None


@pytest.mark.parametrize("options", [["-p"], ["-e"], ["-8"], ["-e", "-p", "-8"]], ids=" ".join)
def test_a_server_that_offers_less_gets_all_mail(tmp_path: Path, options: list[str]) -> None:
    with sink_with(tmp_path, *options) as sink:
        outcomes = Wire(sink.port).run([message(number, "grå\r\n".encode()) for number in range(5)])

        assert [["250 2.0.0 Ok"]] * 5 == [replies(outcome) for outcome in outcomes]
        assert 5 == sink.wait_count(5)


def test_lmtp_gives_each_recipient_a_reply(tmp_path: Path) -> None:
    envelope = Envelope(None, ["a@example.test", "b@example.test", "c@example.test"])
    with sink_with(tmp_path, "-L") as sink:
        outcomes = Wire(sink.port, lmtp=True).run([(envelope, b"x\r\n"), message(1)])

    assert [3, 1] == [len(outcome.outcomes) for outcome in outcomes]
    assert all(reply.is_positive for outcome in outcomes for _, reply in outcome.outcomes)


@pytest.mark.parametrize(
    ("option", "code", "content_sent"),
    [
        (["-f", "MAIL"], 500, False),
        (["-r", "RCPT"], 450, False),
        (["-f", "DATA"], 500, False),
        (["-r", "."], 450, True),
    ],
    ids=lambda value: str(value),
)
def test_a_refusal_at_any_stage_is_the_outcome(
    tmp_path: Path, option: list[str], code: int, content_sent: bool
) -> None:
    with sink_with(tmp_path, *option) as sink:
        wire = Wire(sink.port)
        outcomes = wire.run([message(number) for number in range(3)])

    assert [[code]] * 3 == [[reply.code for _, reply in outcome.outcomes] for outcome in outcomes]
    assert {content_sent} == {outcome.content_sent for outcome in outcomes}
    assert wire.closed is not None
    assert wire.closed.reply is None, "the session goes on behind a refusal, and ends with QUIT"


def test_421_ends_what_is_in_hand(tmp_path: Path) -> None:
    with sink_with(tmp_path, "-q", "RCPT") as sink:
        wire = Wire(sink.port)
        outcomes = wire.run([message(0), message(1)])

    assert all(reply.is_temporary for outcome in outcomes for _, reply in outcome.outcomes)
    assert wire.closed is not None
    assert wire.closed.reply is not None
    assert not any(outcome.content_sent for outcome in outcomes)


AWKWARD = (
    b".\r\n..\r\n.leading dot\r\n\r\n \t\r\ntrailing space \r\nFrom here\r\n"
    + b"long " * 150
    + b"\r\n"
    + "ünïcode\r\n".encode()
    + b"no end"
)


@pytest.mark.parametrize(
    "keywords", ["", "chunking", "chunking, pipelining"], ids=["bdat", "data", "lock-step"]
)
def test_awkward_content_arrives_as_it_was(start_postfix: Callable[..., Postfix], keywords: str) -> None:
    """
    Octet for octet, whichever way it goes; Postfix keeps LF lines and adds fields of its own on top.
    """
    postfix = start_postfix(Postfix.next_hop, smtpd_discard_ehlo_keywords=keywords)
    envelope = Envelope("author@example.test", ["reader@example.test"], body="8BITMIME")
    # With the fields that Postfix would add, so that it adds none.
    fields = b"Date: Mon, 23 Nov 2026 09:00:00 +0000\r\nMessage-Id: <x@example.test>\r\nSubject: x\r\n"
    content = b"From: author@example.test\r\n" + fields + b"\r\n" + AWKWARD
    wire = Wire(postfix.port)
    outcomes = wire.run([(envelope, content), (envelope, content)])

    assert [True, True] == [reply.is_positive for outcome in outcomes for _, reply in outcome.outcomes]
    assert ("CHUNKING" in wire.session.capabilities) == ("chunking" not in keywords)
    for kept in postfix.wait_messages(2):
        assert content.replace(b"\r\n", b"\n") + b"\n" == kept[kept.index(b"From: author") :]


def test_a_host_without_8bitmime_gets_the_same_text(start_postfix: Callable[..., Postfix]) -> None:
    postfix = start_postfix(Postfix.next_hop, smtpd_discard_ehlo_keywords="8bitmime, chunking, smtputf8")
    envelope = Envelope("author@example.test", ["reader@example.test"], body="8BITMIME")
    fields = b"From: author@example.test\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    text = "grå = ünïcode \r\n.\r\n" + "lång " * 100 + "\r\n"
    Wire(postfix.port).run([(envelope, fields + b"Content-Transfer-Encoding: 8bit\r\n\r\n" + text.encode())])

    (kept,) = postfix.wait_messages(1)
    read = email.message_from_bytes(kept, policy=email.policy.default)
    assert kept.isascii()
    assert text.replace("\r\n", "\n") == read.get_content()


NOW_MS = 1_795_000_000_000


def spooled(folder: Path, deliveries: list[Delivery]) -> tuple[Spool, list[QueuedMessage]]:
    """The deliveries as messages of a real spool, those over 64 KiB with their body on disk."""
    spool = Spool(str(folder), now_ms=NOW_MS, spill_octets=65536)
    for envelope, content in deliveries:
        IncomingMessage.from_content(spool, envelope, content).commit(NOW_MS, due_ms=NOW_MS)
    open_count, taken = len(deliveries), list[QueuedMessage]()
    while len(taken) < len(deliveries):
        assert select.select([spool.wake_fd], [], [], 20)[0], "the spool did not answer"
        spool.drain_wake()
        open_count -= len(spool.completions())
        if open_count == 0:
            taken += spool.take_due(NOW_MS, 100, 100)
        taken += spool.loaded()
    return spool, sorted(taken, key=lambda message: message.id)


def test_stored_messages_of_any_size_arrive_as_they_were(
    tmp_path: Path, start_postfix: Callable[..., Postfix]
) -> None:
    """
    Small ones from memory and one of 3 MB from disk in pieces; the outcome gives back the very message.
    """
    postfix = start_postfix(Postfix.next_hop)
    fields = b"Date: Mon, 23 Nov 2026 09:00:00 +0000\r\nMessage-Id: <x@example.test>\r\n"
    envelope = Envelope("author@example.test", ["reader@example.test"])
    contents = [
        b"From: author@example.test\r\nSubject: %d\r\n%s\r\n" % (number, fields) + body
        for number, body in enumerate(
            [b"small\r\n", b".%07d line\r\n" * 200_000 % tuple(range(200_000)), b".\r\n"]
        )
    ]
    spool, messages = spooled(tmp_path / "spool", [(envelope, content) for content in contents])
    outcomes = Wire(postfix.port).run(messages)
    spool.close()

    assert messages == [outcome.message for outcome in outcomes]
    assert [True] * 3 == [reply.is_positive for outcome in outcomes for _, reply in outcome.outcomes]
    kept = {file[file.index(b"From: author") :] for file in postfix.wait_messages(3)}
    assert {content.replace(b"\r\n", b"\n") for content in contents} == kept


def test_each_recipient_has_its_outcome(start_postfix: Callable[..., Postfix]) -> None:
    postfix = start_postfix(
        Postfix.next_hop,
        refused={"gone@example.test": "550 5.1.1 gone"},
        deferred={"later@example.test": "450 4.2.1 later"},
    )
    paths = [
        "gone@example.test",
        "a@example.test",
        "later@example.test",
        "b@example.test",
        "c@elsewhere.test",
    ]
    everyone = Envelope("author@example.test", paths)
    nobody = Envelope("author@example.test", ["gone@example.test"])
    outcomes = Wire(postfix.port).run([(everyone, b"Subject: x\r\n\r\n"), (nobody, b"x\r\n"), message(1)])

    codes = [[reply.code for _, reply in sorted(o.outcomes, key=lambda pair: pair[0])] for o in outcomes]
    assert [[550, 250, 450, 250, 554], [550], [250]] == codes
    gone = dict(outcomes[0].outcomes)[0]
    assert (550, "5.1.1") == (gone.code, gone.enhanced)


def test_dsn_parameters_reach_the_next_hop(start_postfix: Callable[..., Postfix]) -> None:
    postfix = start_postfix(Postfix.next_hop)
    recipient = Recipient(
        "reader@example.test", notify="SUCCESS,FAILURE", original="rfc822;Reader+x@example.test"
    )
    envelope = Envelope("author@example.test", [recipient], ret="HDRS", envid="QQ=314")
    (outcome,) = Wire(postfix.port).run([(envelope, b"Subject: x\r\n\r\ntext\r\n")])

    assert outcome.dsn_passed
    assert outcome.outcomes[0][1].is_positive
    # Postfix tells of success to the author, who is local to it: the report quotes what was asked.
    report = next(m for m in postfix.wait_messages(2) if b"multipart/report" in m)
    assert b"Original-Envelope-Id: QQ=314" in report
    assert b"Original-Recipient: rfc822;Reader+x@example.test" in report


def test_an_announced_limit_of_size_is_kept(start_postfix: Callable[..., Postfix]) -> None:
    postfix = start_postfix(Postfix.next_hop, message_size_limit="2000")
    outcomes = Wire(postfix.port).run([message(0, b"x" * 70 + b"\r\n" * 2000), message(1)])

    assert [Reply(552, "5.3.4", "the message is larger than the next hop takes")] == [
        reply for _, reply in outcomes[0].outcomes
    ]
    assert outcomes[1].outcomes[0][1].is_positive


def test_misuse_is_an_order_error() -> None:
    session = ClientSession(ClientSettings(hello_name="client.example.test"))

    with pytest.raises(OrderError):
        session.deliver_content(*message(0))
    with pytest.raises(OrderError):
        session.tls_started()
    with pytest.raises(ValueError, match="hello_name"):
        ClientSettings(hello_name="two words")
    with pytest.raises(ValueError, match="NUL"):
        ClientSettings(hello_name="client.example.test", auth=("us\0er", "secret"))
    assert "secret" not in repr(ClientSettings(hello_name="client.example.test", auth=("user", "secret")))
