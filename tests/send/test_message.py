"""
Messages from standard input: what is there stays as it is, what is missing is added, and nothing gets in through it.
"""

import io
from email import message_from_bytes, policy
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymta._core import Reply
from pymta.send.exit_status import ExitStatus, exit_status_of
from pymta.send.message import Message, MessageError, read_content

NOW_S = 1_800_000_000.25


def completed(content: bytes, *, author: str = "me@example.test", name: str = "") -> bytes:
    message = Message(content)
    message.complete(author=author, name=name, hostname="host.example.test", now_s=NOW_S)
    return message.content()


@pytest.mark.parametrize(
    ("octets", "content"),
    [
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b"a\r\nb\r\n", b"a\r\nb\r\n"),
        (b"a", b"a\r\n"),
        (b"", b""),
        (b"10%\r20%\rdone\n", b"10%\r\n20%\r\ndone\r\n"),
        (b"a\r\r\nb\n\n", b"a\r\n\r\nb\r\n\r\n"),
        (b"\n.\nx", b"\r\n.\r\nx\r\n"),
    ],
)
def test_every_line_ends_in_crlf(octets: bytes, content: bytes) -> None:
    """Whatever ended it."""
    assert content == read_content(io.BytesIO(octets), dot_ends=False)


@pytest.mark.parametrize(
    ("octets", "content"),
    [
        (b"a\n.\nb\n", b"a\r\n"),
        (b"a\r\n.\r\nb\n", b"a\r\n"),
        (b"a\n.", b"a\r\n"),
        (b".\n", b""),
        (b"a\n..\n. \n.b\nc.\n", b"a\r\n..\r\n. \r\n.b\r\nc.\r\n"),
        (b"x" * 65_536 + b".\ny\n", b"x" * 65_536 + b".\r\ny\r\n"),
        (b"x" * 65_535 + b"\n.\ny\n", b"x" * 65_535 + b"\r\n"),
    ],
)
def test_a_lone_dot_ends_the_message_where_it_does(octets: bytes, content: bytes) -> None:
    """Only as a whole line, wherever a reading was cut."""
    assert content == read_content(io.BytesIO(octets), dot_ends=True)


@given(st.lists(st.sampled_from([b"a", b"\r", b"\n", b".", b"\x00", b"\xff"]), max_size=30).map(b"".join))
def test_no_bare_cr_or_lf_is_left(octets: bytes) -> None:
    """Because none may be sent (RFC 5321 §2.3.8)."""
    content = read_content(io.BytesIO(octets), dot_ends=False)

    assert content == content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    assert content == b"" or content.endswith(b"\r\n")


def test_what_is_there_stays_octet_for_octet() -> None:
    """Odd fields, folding, order and eight bits."""
    head = b"X-Odd : 1\r\nSubject:\r\n  folded\r\n\tmore \xe4\r\nDate: whenever\r\nMESSAGE-ID: <x>\r\nfrom: a@b.test\r\n"
    body = b"\r\n.\r\n\xff\r\n\r\n"

    assert head + b"\r\n" + body == completed(head + b"\r\n" + body)


def test_what_is_missing_is_added() -> None:
    """Date, Message-ID and From, once, after what was there."""
    message = message_from_bytes(completed(b"Subject: x\r\n\r\nbody\r\n", name="J. Doe"), policy=policy.SMTP)

    assert ["Subject", "From", "Date", "Message-ID"] == message.keys()
    assert '"J. Doe" <me@example.test>' == message["From"]
    assert int(NOW_S) == parsedate_to_datetime(message["Date"]).timestamp()
    assert message["Message-ID"].endswith("@host.example.test>")
    assert [] == message.defects


@pytest.mark.parametrize(
    "name", ["Jörg Müller", 'a "quoted" one', "back\\slash", "comma, Inc.", "x" * 200, "<evil@x.test>"]
)
def test_any_name_is_one_author(name: str) -> None:
    """Encoded or quoted, it is still one name and one address."""
    message = message_from_bytes(completed(b"", name=name), policy=policy.SMTP)

    addresses = message["From"].addresses
    assert [(name, "me@example.test")] == [(address.display_name, address.addr_spec) for address in addresses]


@pytest.mark.parametrize("name", ["a\r\nBcc: x@evil.test", "a\nb", "a\rb", "a\x00b", "a\u2028b", "a\x85b"])
def test_a_name_cannot_add_a_field(name: str) -> None:
    """A control character is refused, not cleaned away."""
    with pytest.raises(MessageError, match="control character"):
        completed(b"", name=name)


@pytest.mark.parametrize(
    "content",
    [
        b"just text\r\n",
        b"just text\r\nSubject: no\r\n",
        b" begins with a blank\r\n",
        b"\r\nSubject: in the body\r\n",
        b": no name\r\n",
    ],
)
def test_what_does_not_begin_with_a_field_is_body(content: bytes) -> None:
    """All of it, and after an empty line."""
    body = content.removeprefix(b"\r\n")

    assert completed(content).endswith(b"\r\n\r\n" + body)


def test_a_body_without_an_empty_line_before_it_gets_one() -> None:
    """The first line that is no field begins it."""
    assert b"Subject: x\r\n" in completed(b"Subject: x\r\nhello there\r\nTo: y\r\n")
    assert completed(b"Subject: x\r\nhello there\r\nTo: y\r\n").endswith(b"\r\n\r\nhello there\r\nTo: y\r\n")


def test_an_mbox_separator_is_left_out() -> None:
    """Mail programs leave it on top."""
    assert completed(b"From a@b.test Mon Jan  1 00:00:00 2026\r\nSubject: x\r\n\r\n").startswith(
        b"Subject: x\r\n"
    )


def test_fields_for_our_eyes_only_do_not_go_out() -> None:
    """With their folded lines, wherever they are and however written."""
    content = completed(
        b"BCC: secret@x.test,\r\n other@x.test\r\nSubject: x\r\nResent-Bcc: third@x.test\r\nReturn-Path: <>\r\n\r\n"
    )

    assert b"secret" not in content
    assert b"other" not in content
    assert b"third" not in content
    assert b"Return-Path" not in content


def test_recipients_are_those_of_to_cc_and_bcc() -> None:
    """Of all fields of these names, with names, groups and folding."""
    message = Message(
        b'To: "A, B" <a@x.test>\r\nto: g: b@x.test,\r\n c@x.test;\r\nCc: root\r\nBcc: d@x.test\r\nFrom: no@x.test\r\n\r\nTo: no@x.test\r\n'
    )

    assert ["a@x.test", "b@x.test", "c@x.test", "root", "d@x.test"] == message.recipients()


def test_of_a_resent_message_the_resent_fields_count() -> None:
    """RFC 5322 §3.6.6: the others are history."""
    message = Message(b"To: old@x.test\r\nResent-To: new@x.test\r\nResent-Bcc: b@x.test\r\n\r\n")

    assert ["new@x.test", "b@x.test"] == message.recipients()


@pytest.mark.parametrize("value", [b"a b@x.test", b"<a@x.test", b"\xff@x.test"])
def test_a_field_that_cannot_be_read_is_an_error(value: bytes) -> None:
    """Nobody is left out in silence."""
    with pytest.raises(MessageError, match="To field cannot be read"):
        Message(b"To: " + value + b"\r\n\r\n").recipients()


@given(st.lists(st.sampled_from([b"a: b", b" c", b"\t", b"", b"x", b"From ", b"From y", b":"]), max_size=8))
def test_any_message_can_be_completed_and_read_again(lines: list[bytes]) -> None:
    """A second time changes nothing."""
    once = completed(b"".join(line + b"\r\n" for line in lines))

    assert once == completed(once)


# ---- exit statuses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replies", "status"),
    [
        ([(250, "2.0.0")], ExitStatus.OK),
        ([(250, None), (451, "4.3.0")], ExitStatus.TEMPFAIL),
        ([(421, None)], ExitStatus.TEMPFAIL),
        ([(550, "5.1.1"), (451, "4.3.0")], ExitStatus.NOUSER),
        ([(554, "5.7.1")], ExitStatus.NOPERM),
        ([(552, "5.3.4")], ExitStatus.DATAERR),
        ([(550, "5.6.0")], ExitStatus.DATAERR),
        ([(554, None)], ExitStatus.UNAVAILABLE),
        ([(250, "2.0.0"), (554, "5.3.0")], ExitStatus.UNAVAILABLE),
    ],
)
def test_the_worst_reply_decides(replies: list[tuple[int, str | None]], status: ExitStatus) -> None:
    """Permanent before temporary, because trying again would not help."""
    assert status is exit_status_of([Reply(code, enhanced, "x") for code, enhanced in replies])
