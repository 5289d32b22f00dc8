"""The helpers for policy authors tell the truth: what they answer is what the server would have done."""

import email.message
from pathlib import Path

import pytest

from pymta.mail.secret import Secret
from pymta.policy.loader import ScriptError
from pymta.testing import FakeClock, HookTrouble, PolicyTest
from tests.policy.scripts import write

SCRIPT = """
    from pymta.policy import *
    def mail(session, reverse_path, parameters):
        session.state["mail"] = (str(reverse_path), parameters.size_octets, parameters.body)
    async def rcpt(session, forward_path, recipient):
        if recipient.notify == "NEVER":
            return refuse("no secrets", reason=str(len(session.envelope.recipients)))
    def message(session, message):
        message.prepend_field("X-First", "1")
        message.add_field("X-Last", str(session.now_ms))
        message.replace_field("Subject", "new")
        message.replace_field("X-Absent", "made")
        message.remove_field("X-Gone")
        message.add_recipient("extra@example.test")
        message.add_recipient("extra@EXAMPLE.test")
        message.remove_recipient("gone@Example.test")
        message.set_reverse_path(None)
        message.tag(a="1", b="2")
        session.tag(b="session", c="3")
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return write(tmp_path, SCRIPT)


def test_a_message_shows_all_edits_and_who_made_them(script: Path) -> None:
    with PolicyTest(script, clock=FakeClock(1234)) as t:
        t.mail("a@example.net", size_octets=7)
        t.rcpt("user@example.test")
        t.rcpt("gone@example.test")
        answer = t.message(
            "From: a@example.net\nSubject: old\nSubject: older\nX-Gone: 1\nx-gone: 2\n\nbody\n"
        )

        assert ["user@example.test", "extra@example.test"] == answer.recipients
        assert answer.reverse_path is None
        assert [
            ("X-First", "1"),
            ("From", "a@example.net"),
            ("Subject", "new"),
            ("X-Last", "1234"),
            ("X-Absent", "made"),
        ] == answer.message.header_fields
        assert {"a": "1", "b": "2", "c": "3"} == answer.tags
        assert ("a@example.net", 7, "7BIT") == t.session.state["mail"]
        assert [
            ("prepended field X-First", "policy.py:9"),
            ("added field X-Last", "policy.py:10"),
            ("replaced field Subject", "policy.py:11"),
            ("replaced field X-Absent", "policy.py:12"),
            ("removed field X-Gone", "policy.py:13"),
            ("added recipient extra@example.test", "policy.py:14"),
            ("removed recipient gone@example.test", "policy.py:16"),
            ("set reverse-path <>", "policy.py:17"),
        ] == [(d.reason, d.where) for d in answer.decisions]
        assert answer.message.content(1000).endswith(b"\r\n\r\nbody\r\n")


def test_a_refused_recipient_is_not_in_the_envelope(script: Path) -> None:
    from pymta.policy import Recipient

    with PolicyTest(script) as t:
        t.mail()
        assert t.rcpt("user@example.test").accepted
        assert "1" == t.rcpt(Recipient("never@example.test", notify="NEVER")).reason
        assert 1 == t.session.envelope.recipient_count


async def test_async_hooks_can_be_asked_from_async_tests(script: Path) -> None:
    with PolicyTest(script) as t:
        assert t.rcpt("user@example.test").accepted


def test_a_message_without_recipients_left_is_discarded(tmp_path: Path) -> None:
    path = write(
        tmp_path, "def message(session, message):\n  message.remove_recipient('user@example.test')\n"
    )
    with PolicyTest(path) as t:
        answer = t.message()

        assert "discard" == answer.action
        assert "the message hook removed all recipients" == answer.reason


@pytest.mark.parametrize(
    ("edit", "error"),
    [
        ("add_field('X', 'a\\r\\nBcc: b')", "ValueError"),
        ("add_field('X: y\\r\\nBcc', 'b')", "ValueError"),
        ("prepend_field('X', 'a\\nb')", "ValueError"),
        ("replace_field('Subject', 'a\\r\\n\\r\\nbody')", "ValueError"),
        ("add_recipient('a@b\\r\\nDATA')", "ValueError"),
        ("add_recipient('nobody')", "ValueError"),
        ("set_reverse_path('a b@c')", "ValueError"),
        ("set_route('relay.example.net')", "TypeError"),
        ("tag(a='x' * 257)", "ValueError"),
        ("tag(**{str(i): 'x' for i in range(33)})", "ValueError"),
        ("set_recipients(['a@b.example'] * 50_001)", "ValueError"),
    ],
)
def test_an_edit_that_would_break_the_message_is_refused(tmp_path: Path, edit: str, error: str) -> None:
    """
    Header and envelope injection through what a script copies from the client (notes/attacks.md).
    """
    path = write(tmp_path, f"def message(session, message):\n    message.{edit}\n")
    with PolicyTest(path, strict=False) as t:
        answer = t.message("Subject: old\n\nbody\n")

        assert 451 == answer.code
        assert t.troubles[0].error.startswith(error)
        assert [("Subject", "old")] == answer.message.header_fields


def test_trouble_is_an_error_of_the_test_unless_it_is_looked_for(tmp_path: Path) -> None:
    path = write(tmp_path, "def connect(session):\n    1 / 0\n")
    with (
        PolicyTest(path) as t,
        pytest.raises(HookTrouble, match=r"connect\(\) at policy.py:2: ZeroDivisionError"),
    ):
        t.connect()
    with PolicyTest(path, strict=False) as t:
        assert 421 == t.connect().code


def test_a_warning_is_no_failure(tmp_path: Path) -> None:
    with PolicyTest(write(tmp_path, "def helo(session, name): ...\n")) as t:
        assert t.hello().accepted
        assert ["warning"] == [trouble.kind for trouble in t.troubles]


def test_a_script_that_does_not_load_says_so(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"policy\.py:1: SyntaxError"):
        PolicyTest(write(tmp_path, "def ("))


def test_starttls_and_auth_change_the_session(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        from pymta.policy import *
        def starttls(session):
            return refuse("454 no") if session.state.get("no") else None
        def auth(session, credentials):
            assert "secret" not in f"{credentials} {credentials!r}"
            return accept() if credentials.password.matches("secret") else None
        """,
    )
    with PolicyTest(path, strict=False) as t:
        accounts = [t.session.account]
        assert not t.auth("alice", "guess").accepted
        accounts.append(t.session.account)
        assert t.auth("alice", "secret").accepted
        accounts.append(t.session.account)
        assert [None, None, "alice"] == accounts
        assert t.starttls().accepted
        assert "TLSv1.3" == getattr(t.session.tls, "version", None)
        other = t.client()
        other.session.state["no"] = True
        assert 451 == other.starttls().code  # a refuse() with a 4yz is a mistake of the script
        assert other.session.tls is None


def test_content_may_be_an_email_message(script: Path) -> None:
    content = email.message.EmailMessage()
    content["Subject"] = "grüße"
    content.set_content("hello\n")
    with PolicyTest(write(script.parent, "def message(session, message): ...\n")) as t:
        answer = t.message(content)

        assert "grüße" == answer.message.decoded_field("subject")
        assert b"\r\n\r\nhello\r\n" in answer.message.content(10_000)


def test_a_clock_moves_only_forward() -> None:
    clock = FakeClock(5000)
    clock.advance(1.5)

    assert (6500, 6500, 1.5) == (clock(), clock.now_ms, clock.monotonic())
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)


def test_a_secret_does_not_print() -> None:
    """
    Invariant: secrets have a type that refuses to be printed.
    """
    secret = Secret("hunter2")
    with pytest.raises(TypeError):
        secret.__reduce__()

    assert "hunter2" not in f"{secret} {secret!r} {[secret]} {vars(type(secret)).get('_text')}"
    assert secret.matches("hunter2")
    assert Secret("hunter2") == secret
    assert not secret.matches("hunter")
    assert not Secret("")
