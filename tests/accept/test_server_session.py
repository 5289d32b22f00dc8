"""
The server session as Python drives it: what crosses the seam has the promised types, and misuse is told as such.

Not the protocol: dialogues, attacks and properties of it run in Rust (rust/pymta-smtp/tests), without Python.
"""

from typing import Any

import pytest

from pymta._core import (
    Address,
    AuthEvent,
    AuthResponseEvent,
    DataEvent,
    HelloEvent,
    MailEvent,
    MessageEvent,
    OrderError,
    QuitEvent,
    RcptEvent,
    Reply,
    ServerSession,
    ServerSettings,
    StartTlsEvent,
    ViolationEvent,
    XclientEvent,
    parse_proxy,
)

GROUP = b"MAIL FROM:<a@example.test> SIZE=5 BODY=8BITMIME\r\nRCPT TO:<b@example.test> NOTIFY=NEVER\r\n"


def make_session(**settings: Any) -> ServerSession:
    """A session that was greeted and has named its client."""
    session = ServerSession(ServerSettings(hostname="mx.example.test", **settings))
    session.greet()
    session.receive(b"EHLO client.example.test\r\n")
    hello = session.next_event()
    assert isinstance(hello, HelloEvent)
    assert ("EHLO", "client.example.test") == (hello.verb, hello.name)
    session.accept()
    session.output()
    return session


def test_a_message_crosses_the_seam_once_a_stage() -> None:
    """
    Each stage is one event with typed attributes, and all replies of a group are one write.
    """
    session = make_session()
    session.receive(GROUP + b"DATA\r\n")
    opened = session.next_event()
    assert isinstance(opened, MailEvent)
    assert (Address("a@example.test"), 5, "8BITMIME", False) == (
        opened.reverse_path,
        opened.size_octets,
        opened.body,
        opened.smtputf8,
    )
    assert session.next_event() is None
    assert session.waiting_for_decision
    assert len(b"DATA\r\n") < session.buffered_octets
    session.accept()
    wanted = session.next_event()
    assert isinstance(wanted, RcptEvent)
    assert ("b@example.test", "NEVER", 0) == (
        str(wanted.recipient.forward_path),
        wanted.recipient.notify,
        wanted.accepted_count,
    )
    session.accept()
    assert isinstance(session.next_event(), DataEvent)
    content = bytearray()
    session.accept_content(content)
    assert session.next_event() is None
    assert session.receiving_content
    assert b"250 2.1.0 OK\r\n250 2.1.5 OK\r\n354 End data with <CR><LF>.<CR><LF>\r\n" == session.output()
    session.receive(b"..x\r\n.\r\nQUIT\r\n")
    message = session.next_event()
    assert isinstance(message, MessageEvent)
    assert (content, 4, 1) == (message.writer, message.size_octets, message.envelope.recipient_count)
    assert b".x\r\n" == content
    session.accept_message("queued")
    assert isinstance(session.next_event(), QuitEvent)
    assert session.closing
    assert b"250 2.0.0 queued\r\n221 2.0.0 Bye\r\n" == session.output()
    assert b"" == session.output()
    assert (5, 0) == (session.command_count, session.violation_count)


def test_a_sink_may_keep_nothing() -> None:
    """
    Content that goes to None is counted and dropped.
    """
    session = make_session()
    session.receive(GROUP + b"BDAT 3 LAST\r\nx\r\n")
    for _ in range(2):
        session.next_event()
        session.accept()
    assert isinstance(session.next_event(), DataEvent)
    session.accept_content(None)
    message = session.next_event()
    assert isinstance(message, MessageEvent)
    assert 3 == message.size_octets
    assert message.writer is None


def test_a_violation_is_answered_already_and_told() -> None:
    """
    A ViolationEvent has a kind of the closed list and the very reply that went out.
    """
    session = make_session()
    session.receive(b"RCPT TO:<b@example.test>\r\n")
    violation = session.next_event()
    assert isinstance(violation, ViolationEvent)
    assert "order" == violation.kind
    assert Reply(503, "5.5.1", "bad sequence of commands") == violation.reply
    assert b"503 5.5.1 bad sequence of commands\r\n" == session.output()
    assert not session.waiting_for_decision
    assert 1 == session.violation_count


def test_a_refusal_is_what_the_peer_is_told() -> None:
    """
    The reply goes out as given; a 421 also closes.
    """
    session = make_session()
    session.receive(GROUP)
    session.next_event()
    session.refuse(Reply(550, "5.7.1", "no\nnot you"))
    assert b"550-5.7.1 no\r\n550 5.7.1 not you\r\n" == session.output()
    assert isinstance(session.next_event(), ViolationEvent)  # RCPT without MAIL
    session.receive(b"MAIL FROM:<>\r\n")
    session.next_event()
    session.refuse(Reply(421, "4.7.0", "go away"))
    assert session.closing


def test_auth_octets_are_bytes_and_an_end_of_the_exchange_is_none() -> None:
    """
    An empty initial response differs from none; a cancelled exchange is told as None.
    """
    session = make_session(auth_mechanisms=("PLAIN", "LOGIN"), auth_without_tls=True)
    session.receive(b"AUTH LOGIN\r\n")
    auth = session.next_event()
    assert isinstance(auth, AuthEvent)
    assert ("LOGIN", None) == (auth.mechanism, auth.initial_response)
    session.challenge(b"Username:")
    session.receive(b"AHg=\r\n")
    answered = session.next_event()
    assert isinstance(answered, AuthResponseEvent)
    assert b"\0x" == answered.response
    session.challenge(b"")
    session.receive(b"*\r\nAUTH PLAIN =\r\n")
    events = [session.next_event(), session.next_event(), session.next_event()]
    assert isinstance(events[0], ViolationEvent)
    assert isinstance(events[1], AuthResponseEvent)
    assert events[1].response is None
    assert isinstance(events[2], AuthEvent)
    assert b"" == events[2].initial_response


def test_starttls_forgets_and_xclient_greets_again() -> None:
    """
    After the handshake the client has no name; after XCLIENT it is greeted anew.
    """
    session = make_session(starttls=True, xclient=True)
    session.receive(b"STARTTLS\r\n")
    assert isinstance(session.next_event(), StartTlsEvent)
    session.accept()
    assert session.waiting_for_decision
    session.tls_started()
    assert ("", False) == (session.hello_name, session.is_extended)
    session.receive(b"EHLO client.example.test\r\n")
    session.next_event()
    session.accept()
    session.output()
    session.receive(b"XCLIENT NAME=a+20b ADDR=192.0.2.1\r\n")
    xclient = session.next_event()
    assert isinstance(xclient, XclientEvent)
    assert {"NAME": "a b", "ADDR": "192.0.2.1"} == xclient.attributes
    session.accept()
    assert b"220 mx.example.test ESMTP\r\n" == session.output()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"hostname": "not a name"}, "hostname"),
        ({"hostname": "a", "line_endings": "sloppy"}, "line_endings"),
        ({"hostname": "a", "limits": {"lines_max": 1}}, "lines_max: no such limit"),
        ({"hostname": "a", "limits": {"violations_max": 0}}, "violations_max: out of range"),
        ({"hostname": "a", "limits": {"recipients_max": -1}}, "recipients_max: out of range"),
        ({"hostname": "a", "auth_mechanisms": ["PLAIN\r\n"]}, "mechanism"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], words: str) -> None:
    """
    A ServerSettings is valid or is not made.
    """
    with pytest.raises(ValueError, match=words):
        ServerSettings(**settings)


def test_an_answer_to_no_question_is_an_order_error() -> None:
    """
    A bug of ours is not the peer's: the session says which call was wrong, and goes on.
    """
    session = make_session()
    for call in (session.greet, session.accept, session.tls_started):
        with pytest.raises(OrderError, match="while the session waits for input"):
            call()
    with pytest.raises(OrderError):
        session.accept_content(bytearray())
    session.receive(GROUP)
    session.next_event()
    with pytest.raises(OrderError, match="negative refuse"):
        session.refuse(Reply(250, "2.0.0", "OK"))
    session.accept()
    assert session.in_transaction


def test_a_panic_in_rust_ends_one_call_and_poisons_nothing() -> None:
    """
    A sink that cannot take what it promised to take panics below; other sessions do not notice.
    """
    session, other = make_session(), make_session()
    session.receive(GROUP + b"DATA\r\n")
    for _ in range(2):
        session.next_event()
        session.accept()
    session.next_event()
    content = bytearray(b"")
    session.accept_content(content)
    with memoryview(content), pytest.raises(BaseException, match="a bytearray that nobody exports") as caught:
        session.receive(b"x\r\n")  # an exported bytearray cannot grow
    assert "PanicException" == caught.type.__name__
    session.shut_down(Reply(421, "4.3.0", "our fault"))
    assert session.closing
    other.receive(b"NOOP\r\n")
    assert other.next_event() is None
    assert b"250 2.0.0 OK\r\n" == other.output()


def test_a_proxy_header_is_found_refused_or_waited_for() -> None:
    """
    `parse_proxy` says who the client is and where SMTP begins.
    """
    header = b"PROXY TCP6 2001:db8::1 ::1 4321 25\r\n"
    assert (("2001:db8::1", 4321), len(header)) == parse_proxy(header + b"EHLO x\r\n")
    assert (None, 15) == parse_proxy(b"PROXY UNKNOWN\r\n")
    assert parse_proxy(header[:20]) is None
    with pytest.raises(ValueError, match="no PROXY header"):
        parse_proxy(b"EHLO x\r\n")
    with pytest.raises(ValueError, match="malformed"):
        parse_proxy(b"PROXY TCP4 ::1 ::1 1 25\r\n")
