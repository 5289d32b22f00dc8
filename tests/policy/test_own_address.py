"""What an account may call itself in MAIL FROM, From and Sender."""

import inspect

import pytest

from pymta._core import Address, Envelope, IncomingMessage, Spool
from pymta.directory import Account, Alias, Directory, Domain, NotKnownYet, TableLookup
from pymta.policy.checks.own_address import author_check, reverse_path_check
from pymta.policy.session import Listener, Session
from pymta.testing import FakeClock

ALICE = Account(name="alice@x.example", addresses=("@else.example",))
TABLES = (
    ["x.example"],
    [ALICE, "bob@x.example"],
    [Alias(address="info@x.example", targets=("alice@x.example",), members_may_send=True)],
)
DIRECTORY = Directory(TableLookup(*TABLES))


class Protocol:
    envelope = Envelope(None, [])


def session(identity: Account | None = ALICE) -> Session:
    made = Session(
        id="s1",
        peer_address="198.51.100.1",
        peer_port=25,
        listener=Listener("x", "submission"),
        clock=FakeClock(),
        protocol=Protocol(),
    )
    made.identity = identity
    made.account = None if identity is None else identity.name
    return made


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("alice@x.example", True),
        ("Alice+news@X.example", True),
        ("info@x.example", True),
        ("any@else.example", True),
        (None, True),
        ("bob@x.example", False),
        ("alice@far.example", False),
        ("postmaster", False),
    ],
)
def test_a_reverse_path_is_the_account_s_own(path: str | None, allowed: bool) -> None:
    verdict = reverse_path_check(session(), None if path is None else Address(path), DIRECTORY)

    assert not inspect.iscoroutine(verdict)
    if allowed:
        assert verdict is None
    else:
        assert verdict is not None
        assert "550 5.7.1 that is not an address of yours" == str(verdict.reply)  # type: ignore[union-attr] # no coroutine


def test_whom_a_script_vouched_for_is_the_script_s_affair() -> None:
    assert reverse_path_check(session(None), Address("anybody@far.example"), DIRECTORY) is None


@pytest.mark.parametrize(
    ("fields", "reply"),
    [
        ("From: alice@x.example", ""),
        ("From: Alice <info@x.example>", ""),
        ("From: alice@x.example, any@else.example", ""),
        ("From: alice@x.example\r\nSender: alice@x.example", ""),
        ("From: bob@x.example", "550 5.7.1"),
        ("From: alice@x.example, bob@x.example", "550 5.7.1"),
        ("From: alice@x.example\r\nSender: bob@x.example", "550 5.7.1"),
        ("From: alice@x.example\r\nFrom: alice@x.example", "550 5.6.0"),
        ('From: "alice@x.example" <bob@x.example>', "550 5.7.1"),
        ("From: alice@x.example <bob@x.example>", "550 5.7.1"),
        ("From: alice@x.example (x) <bob@x.example>", "550 5.7.1"),
        ("From: <alice@x.example> bob@x.example", "550 5.6.0"),
        ("From: undisclosed:;", "550 5.6.0"),
        ("From:", "550 5.6.0"),
        ("fRoM: bob@x.example", "550 5.7.1"),
    ],
)
def test_an_author_is_the_account_s_own(tmp_path: object, fields: str, reply: str) -> None:
    spool = Spool(str(tmp_path), now_ms=0)
    content = f"{fields}\r\nSubject: x\r\n\r\nx\r\n".encode()
    message = IncomingMessage.from_content(spool, Envelope("alice@x.example", ["y@far.example"]), content)
    verdict = author_check(session(), message, DIRECTORY)
    spool.close()

    assert reply == ("" if verdict is None else str(verdict.reply)[:9])  # type: ignore[union-attr] # no coroutine


async def test_a_directory_that_is_asked_elsewhere_is_waited_for() -> None:
    class Far(TableLookup):
        known = False

        def alias(self, address: str) -> Alias | None:
            if not self.known:

                async def fetch() -> None:
                    self.known = True

                raise NotKnownYet(fetch)
            return super().alias(address)

    answer = reverse_path_check(session(), Address("bob@x.example"), Directory(Far(*TABLES)))

    assert inspect.iscoroutine(answer)
    verdict = await answer
    assert verdict is not None
    assert "550 5.7.1" == str(verdict.reply)[:9]
    assert Domain(name="x.example") == Far(*TABLES).domain("x.example")
