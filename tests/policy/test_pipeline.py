"""Whatever a hook does, the server gets a verdict, and only that one message pays for it."""

import asyncio
import inspect
from pathlib import Path
from typing import Any, cast

import pytest

from pymta._core import Envelope, QueuedMessage, Recipient
from pymta.mail.verdict import RouteChoice, Verdict
from pymta.policy.annotations import decode, tags_of
from pymta.policy.loader import ScriptError
from pymta.policy.message import QueuedMail
from pymta.policy.pipeline import Policy
from pymta.policy.script import PolicyHolder
from pymta.policy.session import Credentials, Listener, Session
from pymta.testing import FakeClock, PolicyTest
from tests.policy.scripts import Limits, Reports, policy_of, write


class Protocol:
    envelope = Envelope("author@example.net", ["user@example.test"])


@pytest.fixture
def session() -> Session:
    return Session(
        id="s1",
        peer_address="192.0.2.1",
        peer_port=25,
        listener=Listener("relay"),
        clock=FakeClock(),
        protocol=Protocol(),
    )


USER = Recipient("user@example.test")


async def outcome(answer: object) -> Any:
    """The answer itself, or what the coroutine gives."""
    return await cast(Any, answer) if inspect.isawaitable(answer) else answer


def test_a_stage_without_a_hook_is_none(tmp_path: Path) -> None:
    """
    The door skips it without a call.
    """
    policy = policy_of(tmp_path, "def rcpt(session, forward_path): ...\n")
    stages = {name for name, stage in vars(policy).items() if name.startswith("on_") and stage is not None}

    assert {"on_rcpt"} == stages
    assert not Policy(None, report=Reports(), limits=Limits()).handles_auth


def test_a_plain_hook_answers_at_once(tmp_path: Path, session: Session) -> None:
    policy = policy_of(
        tmp_path,
        """
        from pymta.policy import refuse
        def rcpt(session, forward_path):
            if forward_path.local_part == "nobody":
                return refuse("550 5.1.1 no such user", reason="not in the list")
        """,
    )
    assert policy.on_rcpt is not None
    answer = policy.on_rcpt(session, Recipient("nobody@example.test"))

    assert policy.on_rcpt(session, USER) is None
    assert type(answer) is Verdict
    assert "550 5.1.1 no such user" == str(answer.reply)


async def test_an_async_hook_gives_a_coroutine(tmp_path: Path, session: Session) -> None:
    policy = policy_of(
        tmp_path,
        """
        import asyncio
        from pymta.policy import defer
        async def rcpt(session, forward_path):
            await asyncio.sleep(0)
            return defer("later")
        """,
    )
    assert policy.on_rcpt is not None
    answer = policy.on_rcpt(session, USER)

    assert asyncio.iscoroutine(answer)
    assert "defer" == cast(Verdict, await answer).action


BAD = [
    ("raise RuntimeError('no database')", "raised", "rcpt policy.py:3 RuntimeError: no database"),
    ("raise SystemExit", "raised", "rcpt policy.py:3 SystemExit"),
    ("return 550", "answer", "rcpt  rcpt() returned int, not a verdict or None"),
    ("return 'refuse'", "answer", "rcpt  rcpt() returned str, not a verdict or None"),
    ("return False", "answer", "rcpt  rcpt() returned bool, not a verdict or None"),
    ("return refuse", "answer", "rcpt  rcpt() returned function, not a verdict or None"),
    ("return discard()", "answer", "rcpt policy.py:3 rcpt() cannot answer discard()"),
    ("return hold()", "answer", "rcpt policy.py:3 rcpt() cannot answer hold()"),
    ("return refuse('450 no')", "raised", "rcpt policy.py:3 ValueError: a reply of 450 where 5yz is needed"),
    (
        "return rcpt(session, forward_path)",
        "raised",
        "rcpt policy.py:3 RecursionError: maximum recursion depth exceeded",
    ),
]


@pytest.mark.parametrize("kind_of_hook", ["def", "async def"])
@pytest.mark.parametrize(("body", "kind", "line"), BAD)
async def test_trouble_in_a_hook_costs_one_451(
    tmp_path: Path, session: Session, kind_of_hook: str, body: str, kind: str, line: str
) -> None:
    """
    The client hears 451 4.3.0 and no cause; the operator gets the cause, the line, and a traceback where there is one.
    """
    if kind_of_hook == "async def":
        body = body.replace("return rcpt(", "return await rcpt(")
    reports = Reports()
    source = f"from pymta.policy import refuse, discard, hold\n{kind_of_hook} rcpt(session, forward_path):\n    {body}\n"
    policy = policy_of(tmp_path, source, reports)
    assert policy.on_rcpt is not None
    verdict = await outcome(policy.on_rcpt(session, USER))

    assert "451 4.3.0 local policy trouble, try again later" == str(verdict.reply)
    assert [kind] == reports.kinds
    assert reports.lines[0].startswith(line)
    assert ("Traceback" in reports.details[0]) == (kind == "raised")
    assert [("rcpt", "defer")] == [(d.stage, d.verdict) for d in session.decisions]


async def test_an_async_hook_that_takes_too_long_is_cut_off(tmp_path: Path, session: Session) -> None:
    reports = Reports()
    source = "import asyncio\nasync def rcpt(session, forward_path):\n    await asyncio.Event().wait()\n"
    policy = policy_of(tmp_path, source, reports, Limits(hook_s_max=0.01))
    assert policy.on_rcpt is not None
    verdict = await outcome(policy.on_rcpt(session, USER))

    assert 451 == verdict.reply.code
    assert ["rcpt policy.py:3 took longer than 0.01 s"] == reports.lines
    assert ["late"] == reports.kinds


async def test_a_timeout_of_the_hooks_own_is_an_error_of_its_own(tmp_path: Path, session: Session) -> None:
    reports = Reports()
    policy = policy_of(tmp_path, "async def connect(session): raise TimeoutError('ldap')\n", reports)
    assert policy.on_connect is not None
    await outcome(policy.on_connect(session))

    assert ["connect policy.py:1 TimeoutError: ldap"] == reports.lines


async def test_a_hook_that_waits_for_a_cancelled_task_has_raised(tmp_path: Path, session: Session) -> None:
    """
    Such an error would end the task that the client's answer depends on: it would wait for ever.
    """
    reports = Reports()
    source = """
        import asyncio

        async def connect(session):
            task = asyncio.create_task(asyncio.sleep(3600))
            task.cancel()
            await task
        """
    policy = policy_of(tmp_path, source, reports)
    assert policy.on_connect is not None
    verdict = await outcome(policy.on_connect(session))

    assert 421 == verdict.reply.code
    assert ["raised"] == reports.kinds


async def test_a_cancelled_hook_stays_cancelled(tmp_path: Path, session: Session) -> None:
    """
    The client has gone: that is no trouble of the script's, and its place is free again.
    """
    reports = Reports()
    source = "import asyncio\nasync def connect(session):\n    await asyncio.Event().wait()\n"
    policy = policy_of(tmp_path, source, reports, Limits(hooks_waiting_max=1))
    assert policy.on_connect is not None
    for _ in range(2):
        answer = policy.on_connect(session)
        assert asyncio.iscoroutine(answer)
        task = asyncio.create_task(answer)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert [] == reports.kinds


async def test_only_so_many_async_hooks_wait(tmp_path: Path, session: Session) -> None:
    reports = Reports()
    source = "import asyncio\nasync def connect(session):\n    await session.state['event'].wait()\n"
    policy = policy_of(tmp_path, source, reports, Limits(hooks_waiting_max=1))
    session.state["event"] = asyncio.Event()
    assert policy.on_connect is not None
    first = policy.on_connect(session)
    assert asyncio.iscoroutine(first)
    task = asyncio.create_task(first)
    await asyncio.sleep(0)
    second = policy.on_connect(session)
    session.state["event"].set()
    await task

    assert type(second) is Verdict
    assert "421 4.3.2 too busy, try again later" == str(second.reply)
    assert ["busy"] == reports.kinds


def test_a_plain_hook_that_blocks_is_reported_and_believed(tmp_path: Path, session: Session) -> None:
    """
    It cannot be interrupted; what it said still counts.
    """
    ticks = iter([0.0, 7.5, 7.5])
    reports = Reports()
    loaded = policy_of(
        tmp_path, "from pymta.policy import refuse\ndef connect(session): return refuse('no')\n"
    ).script
    policy = Policy(loaded, report=reports, limits=Limits(), timer=lambda: next(ticks))
    assert policy.on_connect is not None
    answer = policy.on_connect(session)

    assert type(answer) is Verdict
    assert "refuse" == answer.action
    assert ["connect  took 7.5 s and held up every session; use async def, or do less"] == reports.lines


@pytest.mark.parametrize("kind_of_hook", ["def", "async def"])
@pytest.mark.parametrize(
    ("verdict", "greeting"),
    [
        ("refuse('no')", "554 5.7.1 no"),
        ("refuse('521 5.3.2 no mail here')", "521 5.3.2 no mail here"),
        ("defer('later')", "421 4.7.1 later"),
    ],
)
async def test_a_refused_connection_gets_a_code_that_a_greeting_may_have(
    tmp_path: Path, session: Session, kind_of_hook: str, verdict: str, greeting: str
) -> None:
    """
    RFC 5321 §4.3.2: a client knows 421, 521 and 554 in place of 220.
    """
    source = f"from pymta.policy import *\n{kind_of_hook} connect(session): return {verdict}\n"
    policy = policy_of(tmp_path, source)
    assert policy.on_connect is not None

    assert greeting == str((await outcome(policy.on_connect(session))).reply)


async def test_an_async_hook_may_say_nothing(tmp_path: Path, session: Session) -> None:
    policy = policy_of(tmp_path, "async def connect(session): ...\nasync def hello(session, name): ...\n")
    assert policy.on_connect is not None
    assert policy.on_hello is not None

    assert await outcome(policy.on_connect(session)) is None
    assert await outcome(policy.on_hello(session, "x")) is None


def test_a_plain_function_may_give_an_awaitable(tmp_path: Path, session: Session) -> None:
    """
    A decorated or partial hook is asynchronous without `async def`; one too many is closed, not leaked.
    """
    source = "async def later(session): ...\ndef connect(session): return later(session)\n"
    reports = Reports()
    policy = policy_of(tmp_path, source, reports, Limits(hooks_waiting_max=0))
    assert policy.on_connect is not None
    verdict = cast(Verdict, policy.on_connect(session))

    assert "421 4.3.2 too busy, try again later" == str(verdict.reply)
    assert ["busy"] == reports.kinds


def test_a_session_takes_so_many_tags(session: Session) -> None:
    for number in range(32):
        session.tag(**{f"tag{number}": "x"})
    with pytest.raises(ValueError, match="32"):
        session.tag(more="x")
    with pytest.raises(ValueError, match="octets"):
        session.tag(**{"n" * 65: "x"})
    session.tag(tag0="changed")

    assert "changed" == session.tags["tag0"]
    assert "<Session s1 192.0.2.1 at relay>" == repr(session)


@pytest.mark.parametrize(
    ("answer", "action"), [("accept()", "accept"), ("None", None), ("refuse('no')", "refuse")]
)
def test_only_an_accept_lets_somebody_in(
    tmp_path: Path, session: Session, answer: str, action: str | None
) -> None:
    """
    In auth, and there only, None and accept() are two things.
    """
    source = f"from pymta.policy import *\ndef auth(session, c): return {answer}\ndef hello(session, n): return {answer}\n"
    policy = policy_of(tmp_path, source)
    assert policy.on_auth is not None
    verdict = policy.on_auth(session, cast(Credentials, None))
    assert policy.on_hello is not None

    assert action == (None if verdict is None else cast(Verdict, verdict).action)
    assert (policy.on_hello(session, "x") is None) == (action != "refuse")


def test_decisions_of_an_earlier_transaction_are_forgotten(tmp_path: Path, session: Session) -> None:
    """
    What was decided about the session stays, with reason and line; a mere accept is no decision.
    """
    policy = policy_of(
        tmp_path,
        """
        from pymta.policy import *
        def connect(session): return accept(reason="on the list")
        def hello(session, name): return accept()
        def rcpt(session, path): return refuse("no", reason="full")
        """,
    )
    assert policy.on_connect is not None
    assert policy.on_hello is not None
    assert policy.on_rcpt is not None
    policy.on_connect(session)
    policy.on_hello(session, "x")
    session.begin_transaction()
    policy.on_rcpt(session, USER)
    first = decode(policy.annotate(session, None)).decisions
    session.begin_transaction()
    second = decode(policy.annotate(session, None)).decisions

    assert [
        ("connect", "accept", "on the list", "policy.py:3", "", ""),
        ("rcpt", "refuse", "full", "policy.py:5", "550 5.7.1 no", "user@example.test"),
    ] == [(d.stage, d.verdict, d.reason, d.where, d.reply, d.about) for d in first]
    assert first[:1] == second


def test_decisions_are_bounded(tmp_path: Path, session: Session) -> None:
    """
    A dictionary attack is ten thousand refused recipients in one transaction.
    """
    policy = policy_of(tmp_path, "from pymta.policy import *\ndef rcpt(session, path): return refuse('no')\n")
    assert policy.on_rcpt is not None
    for _ in range(1000):
        policy.on_rcpt(session, USER)

    assert 64 == len(session.decisions)


def test_nothing_is_written_where_nothing_was_decided(tmp_path: Path, session: Session) -> None:
    """
    The spool carries who handed a message in only where an outbound hook will ask.
    """
    inbound = policy_of(tmp_path, "def rcpt(session, path): ...\n")
    outbound = policy_of(tmp_path, "def route(message, domain): ...\n")
    kept = decode(outbound.annotate(session, None))

    assert b"" == inbound.annotate(session, None)
    assert ("192.0.2.1", "relay", "s1") == (kept.peer, kept.listener, kept.sid)


# ---- outbound --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind_of_hook", ["def", "async def"])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("return 'relay.example.net'", "answer"),
        ("return accept()", "answer"),
        ("return hold()", "answer"),
        ("1 / 0", "raised"),
    ],
)
def test_a_route_hook_in_trouble_defers(tmp_path: Path, kind_of_hook: str, body: str, kind: str) -> None:
    path = write(
        tmp_path, f"from pymta.policy import *\n{kind_of_hook} route(message, domain):\n    {body}\n"
    )
    with PolicyTest(path, strict=False) as t:
        verdict = t.route("example.net")

        assert isinstance(verdict, Verdict)
        assert str(verdict.reply).startswith("451 4.3.0")
        assert [kind] == [trouble.kind for trouble in t.troubles]


@pytest.mark.parametrize("kind_of_hook", ["def", "async def"])
def test_the_route_hook_has_the_last_word(tmp_path: Path, kind_of_hook: str) -> None:
    """
    It decides over what the message hook chose; without an answer of its own that choice stands.
    """
    path = write(
        tmp_path,
        f"""
        from pymta.policy import *
        def message(session, message):
            message.set_route(RouteChoice(next_hop="first.example.net"))
        {kind_of_hook} route(message, domain):
            assert [f"user@{{domain}}"] == [str(p) for p in message.forward_paths(domain)]
            match domain:
                case "a.example": return RouteChoice(next_hop="second.example.net")
                case "b.example": return refuse("550 5.4.4 no way there")
        """,
    )
    with PolicyTest(path) as t:
        answer = t.message(recipients=["user@a.example", "user@b.example", "user@c.example"])
        refused = t.route("b.example", answer)

        assert RouteChoice(next_hop="second.example.net") == t.route("a.example", answer)
        assert isinstance(refused, Verdict)
        assert refused.reply is not None
        assert 550 == refused.reply.code
        assert RouteChoice(next_hop="first.example.net") == t.route("c.example", answer)


@pytest.mark.parametrize("kind_of_hook", ["def", "async def"])
def test_observers_hear_of_their_outcome(tmp_path: Path, kind_of_hook: str) -> None:
    path = write(
        tmp_path,
        "".join(
            f"""
heard_{name} = []
{kind_of_hook} {name}(attempt): heard_{name}.append((str(attempt.forward_path), attempt.reply.code))
"""
            for name in ("delivered", "deferred", "failed")
        ),
    )
    with PolicyTest(path) as t:
        for reply in ("250 2.0.0 ok", "451 4.3.0 later", "550 5.1.1 no such user", "250 fine"):
            t.attempt(reply)
        assert t.policy.script is not None
        heard = t.policy.script.hooks["failed"].__globals__

        assert [250, 250] == [code for _, code in heard["heard_delivered"]]
        assert [("user@example.test", 451)] == heard["heard_deferred"]
        assert [("user@example.test", 550)] == heard["heard_failed"]


def test_an_observer_in_trouble_is_reported_and_harms_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, "def failed(attempt): 1 / 0\nasync def deferred(attempt): 1 / 0\n")
    with PolicyTest(path, strict=False) as t:
        t.attempt("550 5.1.1 no")
        t.attempt("450 4.2.1 later")

        assert [("failed", "raised"), ("deferred", "raised")] == [(x.hook, x.kind) for x in t.troubles]


# ---- reload ----------------------------------------------------------------------------------------------------------


def test_a_reload_exchanges_the_script_for_later_sessions(tmp_path: Path, session: Session) -> None:
    path = write(tmp_path, "from pymta.policy import *\ndef connect(session): return refuse('old')\n")
    holder = PolicyHolder(path, report=Reports(), limits=Limits())
    old = holder.current
    write(
        tmp_path,
        "from pymta.policy import *\ndef connect(session): return refuse('new')\ndef helo(session): ...\n",
    )
    new = holder.reload()
    assert old.on_connect is not None
    assert new.on_connect is not None

    assert new is holder.current
    assert "554 5.7.1 old" == str(cast(Verdict, old.on_connect(session)).reply)
    assert "554 5.7.1 new" == str(cast(Verdict, new.on_connect(session)).reply)


def test_a_reload_that_fails_changes_nothing(tmp_path: Path) -> None:
    reports = Reports()
    path = write(tmp_path, "def connect(session): ...\n")
    holder = PolicyHolder(path, report=reports, limits=Limits())
    before = holder.current
    write(tmp_path, "def connect(session): ...\nimport nothing_like_this\n")
    with pytest.raises(ScriptError, match=r"policy\.py:2: ModuleNotFoundError"):
        holder.reload()
    with pytest.raises(ScriptError, match="no such file"):
        holder.replace(tmp_path / "nowhere.py", Limits())
    write(tmp_path, "def helo(session): ...\n")
    holder.reload()

    assert before is not holder.current
    assert ["warning"] == reports.kinds


def test_a_server_without_a_script_has_no_hooks() -> None:
    holder = PolicyHolder(None, report=Reports(), limits=Limits())

    assert holder.current.on_message is None
    assert holder.reload().on_message is None


# ---- annotations that cannot be read ---------------------------------------------------------------------------------


class Unreadable:
    """A queued message whose annotations a later pymta wrote."""

    id = "unreadable"
    envelope = Envelope(None, ["user@example.test"])
    annotations = b"\xc1"


@pytest.mark.parametrize(
    "source", ["", "def route(message, domain): ...\n", "def route(message, domain): message.tags\n"]
)
def test_mail_does_not_leave_without_the_route_that_it_was_given(tmp_path: Path, source: str) -> None:
    """
    Whether or not a hook asks for them, it waits; observers get no tags and go on.
    """
    reports = Reports()
    policy = policy_of(tmp_path, source, reports)
    queued = cast(QueuedMessage, Unreadable())
    if policy.on_route is None:
        verdict = policy.chosen_route(QueuedMail(queued))
    else:
        verdict = cast(Verdict, policy.on_route(queued, "example.test"))

    assert isinstance(verdict, Verdict)
    assert str(verdict.reply).startswith("451 4.3.0")
    assert ["raised"] == reports.kinds
    assert {} == tags_of(queued.annotations)
